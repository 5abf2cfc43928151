/*
 * The prompt on the serial console.
 */
#ifndef KERNEL_MONITOR_H
#define KERNEL_MONITOR_H

/* Read commands and carry them out, for ever. */
_Noreturn void monitor_run(void);

/*
 * Start a program from the initial files, wait for it, and say how it ended.
 *
 * => its exit status as a shell has it (128 + signal when killed), or -1: it
 *    could not be started; that was printed
 */
int monitor_run_program(char *const argv[]);

#endif
