/*
 * mmbench_latency.h - single write faults: latency; and what instructions do not show,
 * counted by the kernel: events. Linux has the same counters, by these names, where it
 * is built to count them.
 */
#ifndef MMBENCH_LATENCY_H
#define MMBENCH_LATENCY_H

#include "mmbench_memory.h"

enum { SINGLE_FAULTS = 8192 };

static u32 single_fault[SINGLE_FAULTS];

/* Shell sort: falling gaps, n log^2 n. */
static void sort(u32 *values, u32 count)
{
	u32 gap, i, k;

	for (gap = count / 2; gap != 0; gap /= 2)
		for (i = gap; i < count; i++) {
			u32 value = values[i];

			for (k = i; k >= gap && values[k - gap] > value; k -= gap)
				values[k] = values[k - gap];
			values[k] = value;
		}
}

/* Each fault by itself: the middle, 99 of 100, the longest. */
static void test_latency(void)
{
	static const char name[] = "latency.write_median";
	long r = map_anon(SINGLE_FAULTS, PROT_READ | PROT_WRITE);
	u8 *p = (u8 *)r;
	u32 i;

	if (failed(name, r))
		return;
	for (i = 0; i < SINGLE_FAULTS; i++)
		single_fault[i] = (u32)touch_write(p + i * PAGE, 1);
	unmap(p, SINGLE_FAULTS);
	sort(single_fault, SINGLE_FAULTS);
	report(name, (struct sum){ single_fault[SINGLE_FAULTS / 2], 1 });
	report("latency.write_p99", (struct sum){ single_fault[SINGLE_FAULTS / 100 * 99], 1 });
	report("latency.write_max", (struct sum){ single_fault[SINGLE_FAULTS - 1], 1 });
}

/* What the processor's memory of page tables was told. */
struct events {
	u32 all;		/* loads of CR3 */
	u32 one;		/* INVLPG */
};

static char vmstat[8192];

/* The number behind a name in /proc/vmstat. => 0: it is not there */
static u32 counter(const char *name)
{
	const char *at = vmstat;
	u32 value = 0;

	while (*at) {
		const char *word = name;

		while (*word && *word == *at)
			word++, at++;
		if (!*word && *at == ' ')
			break;
		while (*at && *at++ != '\n')
			;
	}
	if (!*at)
		return 0;
	for (at++; *at >= '0' && *at <= '9'; at++)
		value = value * 10 + (u32)(*at - '0');
	return value;
}

/* => 0 if there are no such counters */
static int read_events(struct events *events)
{
	long fd = sys3(SYS_open, (long)"/proc/vmstat", O_RDONLY, 0);
	long n = is_err(fd) ? fd : sys3(SYS_read, fd, (long)vmstat, sizeof vmstat - 1);

	if (!is_err(fd))
		sys1(SYS_close, fd);
	vmstat[is_err(n) ? 0 : n] = 0;
	events->all = counter("nr_tlb_local_flush_all");
	events->one = counter("nr_tlb_local_flush_one");
	return events->all != 0 || events->one != 0;
}

/* The events of run(p), without those of asking for them. */
static int count_events(void (*run)(u8 *p), u8 *p, struct events *events)
{
	struct events at[3];

	if (!read_events(&at[0]) || !read_events(&at[1]))
		return 0;
	run(p);
	read_events(&at[2]);
	events->all = at[2].all - at[1].all - (at[1].all - at[0].all);
	events->one = at[2].one - at[1].one - (at[1].one - at[0].one);
	return 1;
}

static void write_bulk(u8 *p)
{
	touch_write(p, BULK);
}

static void call_often(u8 *p)
{
	u32 i;

	(void)p;
	for (i = 0; i < CALLS; i++)
		sys0(SYS_getppid);
}

static void protect_bulk(u8 *p)
{
	sys_mprotect(p, BULK * PAGE, PROT_READ);
}

static void unmap_bulk(u8 *p)
{
	unmap(p, BULK);
}

/* Pages that a child, which has ended, had too: each write copies or takes over. */
static void write_shared(u8 *p)
{
	long pid = sys0(SYS_fork);

	if (pid == 0) {
		touch_write(p, BULK);
		sys_exit(0);
	}
	reap(pid);
}

static void test_events(void)
{
	static const char name[] = "events.fault_cr3_1000";
	long r = map_anon(BULK, PROT_READ | PROT_WRITE);
	u8 *p = (u8 *)r;
	struct events e;

	if (failed(name, r))
		return;
	if (!count_events(write_bulk, p, &e)) {
		unmap(p, BULK);
		return;		/* not counted here */
	}
	report(name, (struct sum){ (u64)e.all * 1000, BULK });
	report("events.fault_invlpg", (struct sum){ e.one, BULK });
	count_events(call_often, p, &e);
	report("events.call_cr3_1000", (struct sum){ (u64)e.all * 1000, CALLS });
	count_events(protect_bulk, p, &e);
	report("events.protect_4096_cr3", (struct sum){ e.all, 1 });
	report("events.protect_4096_invlpg", (struct sum){ e.one, 1 });
	sys_mprotect(p, BULK * PAGE, PROT_READ | PROT_WRITE);
	count_events(write_shared, p, &e);
	report("events.copy_cr3_1000", (struct sum){ (u64)e.all * 1000, BULK });
	report("events.copy_invlpg", (struct sum){ e.one, BULK });
	/* With the frames, which the allocator links by writing to them. */
	count_events(unmap_bulk, p, &e);
	report("events.free_4096_cr3", (struct sum){ e.all, 1 });
	r = map_anon(BULK, PROT_READ);
	if (failed("events.unmap_4096_cr3", r))
		return;
	p = (u8 *)r;
	touch_read(p, BULK);
	count_events(unmap_bulk, p, &e);
	report("events.unmap_4096_cr3", (struct sum){ e.all, 1 });
	report("events.unmap_4096_invlpg", (struct sum){ e.one, 1 });
}

#endif
