/*
 * Traps: how the processor enters the kernel, and who is asked.
 *
 * The layers above register what they handle; what nobody handles in ring 0 is a
 * panic with a dump.
 */
#ifndef KERNEL_TRAP_H
#define KERNEL_TRAP_H

#include <kernel/types.h>
#include <x86/trap_frame.h>

/* Load the GDT, IDT and TSS, and mask the interrupt controller. */
void trap_init(void);

/*
 * Handle a trap from ring 3, or a page fault in ring 0.
 *
 * => true: handled, go back to where it came from
 * => false, in ring 0: a fault in a user copy becomes -EFAULT, any other a panic
 * => a handler for ring 3 always returns true, or does not return
 * => trap_set_handler takes one, and returns the one so far, or NULL
 */
typedef bool trap_handler_t(trap_frame_t *frame);
trap_handler_t *trap_set_handler(unsigned vector, trap_handler_t *handler);

/* Whether a fault in ring 0 is in a copy to or from ring 3 (usercopy.h). */
bool trap_is_in_copy(const trap_frame_t *frame);

/* What int 0x80 leads to: set before the first program runs. */
typedef void trap_system_call_t(trap_frame_t *frame);
void trap_set_system_call(trap_system_call_t *handler);

/* The stack that the next trap from ring 3 begins on: its upper end. */
void trap_set_kernel_stack(size_t top);

/*
 * Set one of the three TLS entries of the GDT (0 .. 2): a data segment of ring 3.
 *
 * => low, high: the descriptor, 0, 0 for none
 */
void trap_set_tls(unsigned index, uint32_t low, uint32_t high);

/*
 * Go to ring 3 with these registers. Does not return.
 */
_Noreturn void trap_return(trap_frame_t *frame);

/*
 * Save the kernel's registers on this stack, *save_stack = its pointer, and go
 * on where load_stack was saved (see trap_prepare_stack).
 */
void trap_switch(size_t *save_stack, size_t load_stack);

/* A stack that trap_switch can load: it begins in `entry`, which never returns. */
size_t trap_prepare_stack(size_t top, void (*entry)(void));

/* The frame of the trap that the kernel did not survive, or NULL. */
extern const trap_frame_t *trap_fatal_frame;

/* The name of a vector, for reports: "page fault". */
const char *trap_name(unsigned vector);

/*
 * Floating-point state: 512 bytes, 16-aligned, FXSAVE's format (FSAVE's on a
 * processor without FXSR).
 */
typedef struct fpu_state {
    uint8_t bytes[512];
} __attribute__((aligned(16))) fpu_state_t;

void fpu_init(void);                        /* once, at boot */
void fpu_reset(fpu_state_t *state);         /* what a new program starts with */
void fpu_save(fpu_state_t *state);
void fpu_restore(const fpu_state_t *state);

/* Load a data segment register pair for a task: %fs and %gs. */
void trap_load_segments(uint16_t fs, uint16_t gs);
void trap_save_segments(uint16_t *fs, uint16_t *gs);

#endif
