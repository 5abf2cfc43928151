/*
 * The serial console (COM1), and the ways QEMU offers to leave the machine.
 */
#ifndef KERNEL_CONSOLE_H
#define KERNEL_CONSOLE_H

#include <kernel/types.h>

/* Set up COM1 at 115,200 baud and make it printk's output. */
void console_init(void);

/* Write text; a line feed becomes CR LF. */
void console_write(const char *text, size_t length);

/* A byte, or -1 when none is waiting. */
int console_read(void);

/*
 * Read one line into a buffer, echoing, with backspace; waits.
 *
 * => its length, without the line end; buffer is NUL-terminated; -EINTR: Ctrl-C
 */
int console_read_line(char *buffer, size_t size);

/* The two debug ports that tools/grove-run listens on. */
void debug_port_write(const char *text, size_t length);     /* 0xE9 */
void debug_port_status(uint8_t status);                     /* 0xEA */

typedef enum machine_end {
    MACHINE_ENDED = 0,      /* as it should be */
    MACHINE_PANIC = 1,
    MACHINE_REFUSED = 2,    /* a clear message was printed: bad input, failed tests */
} machine_end_t;

/*
 * Leave QEMU through its isa-debug-exit device, if the word `exit` allows it;
 * else halt.
 */
_Noreturn void machine_stop(machine_end_t how);

/* Power off where QEMU's ACPI port is; else halt. */
_Noreturn void machine_power_off(void);

/* Whether machine_stop may use the exit device: the word `exit`. */
void machine_set_exit(bool allowed);

#endif
