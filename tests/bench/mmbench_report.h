/*
 * mmbench_report.h - the clock, and the lines that mmbench prints.
 *
 * The parts of mmbench are headers with the code in them: as one unit, in this
 * order, they compile to the same instructions as ever, which is what is counted.
 *
 * => metrics are sums of ticks over operations; report() divides and prints
 * => failed() and wrong() print the ERR line and count it; the caller gives up
 * => lines are gathered in out[] until flush(), or written at once with -u
 */
#ifndef MMBENCH_REPORT_H
#define MMBENCH_REPORT_H

#include "sys386.h"

#define NOINLINE __attribute__((noinline))

static inline u64 rdtsc(void)
{
	u32 lo, hi;
	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (u64)hi << 32 | lo;
}

static char out[16384];
static u32 out_len;
static int unbuffered;
static int errors;

static void flush(void)
{
	u32 at = 0;

	while (at < out_len) {
		long n = sys_write(1, out + at, out_len - at);
		if (n <= 0)
			break;
		at += (u32)n;
	}
	out_len = 0;
}

static void put_char(char c)
{
	if (out_len == sizeof out)
		flush();
	out[out_len++] = c;
}

static void put_str(const char *s)
{
	while (*s)
		put_char(*s++);
}

/* 64 by 32 bits, without libgcc. */
static u64 divide(u64 n, u32 d, u32 *rest)
{
	u32 hi = (u32)(n >> 32), qhi = hi / d, qlo, r = hi % d;

	__asm__("divl %4" : "=a"(qlo), "=d"(r)
		: "a"((u32)n), "d"(r), "r"(d) : "cc");
	*rest = r;
	return (u64)qhi << 32 | qlo;
}

static void put_num(u64 v)
{
	char digits[20];
	u32 n = 0, digit;

	do {
		v = divide(v, 10, &digit);
		digits[n++] = (char)('0' + digit);
	} while (v);
	while (n)
		put_char(digits[--n]);
}

static void end_line(void)
{
	put_char('\n');
	if (unbuffered)
		flush();
}

/* Ticks spent on a number of operations, summed over repetitions. */
struct sum {
	u64 ticks;
	u32 ops;
};

static void add(struct sum *s, u64 ticks, u32 ops)
{
	s->ticks += ticks;
	s->ops += ops;
}

static void report(const char *name, struct sum s)
{
	u32 rest;
	u64 tenths;

	if (!s.ops)
		return;
	tenths = divide(s.ticks * 10 + s.ops / 2, s.ops, &rest);
	put_str(name);
	put_char(' ');
	put_num(divide(tenths, 10, &rest));
	put_char('.');
	put_char((char)('0' + rest));
	end_line();
}

/* True, and an ERR line, if r is an error number. */
static int failed(const char *name, long r)
{
	if (!is_err(r))
		return 0;
	put_str(name);
	put_str(" ERR ");
	put_num((u64)-r);
	end_line();
	errors++;
	return 1;
}

/* True, and an ERR 0 line, if something that should hold does not. */
static int wrong(const char *name, int is_wrong)
{
	if (!is_wrong)
		return 0;
	put_str(name);
	put_str(" ERR 0");
	end_line();
	errors++;
	return 1;
}

#endif
