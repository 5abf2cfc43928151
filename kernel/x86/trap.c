/*
 * Traps in C: the tables the processor wants, who handles what, and the faults
 * that the way back to ring 3 can meet.
 */
#include <kernel/console.h>
#include <kernel/panic.h>
#include <kernel/printk.h>
#include <kernel/string.h>
#include <kernel/trap.h>
#include <x86/cpu.h>
#include <x86/features.h>
#include <x86/tables.h>

enum {
    VECTOR_COUNT = 256,
    STUB_COUNT = 48,
    IRQ_FIRST = 32,
    IRQ_COUNT = 16,
    SMAP_BYTES = 3,
};

/* entry.asm */
extern const uint32_t trap_stubs[STUB_COUNT];
extern const uint32_t trap_system_call_stub, trap_spurious_stub;
extern const char trap_restore_ds[], trap_restore_es[], trap_restore_iret[];
extern const char usercopy_start[], usercopy_end[], usercopy_fixup[];
extern const char segments_fs[], segments_gs[];
extern const struct smap_site {
    uint8_t *site;
    uint32_t opcode;
} smap_sites[], smap_sites_end[];
void trap_dispatch(trap_frame_t *frame);
void trap_refused(trap_frame_t *frame);
_Noreturn void trap_double_fault(void);

static bool nobody(trap_frame_t *frame)
{
    (void)frame;
    return false;
}

/* entry.asm calls that of the page fault, which has one at all times. */
trap_handler_t *trap_handlers[VECTOR_COUNT] = { [TRAP_PAGE_FAULT] = nobody };
const trap_frame_t *trap_fatal_frame;

/* entry.asm calls it on int 0x80, without looking at the rest. */
trap_system_call_t *trap_system_call;

trap_handler_t *trap_set_handler(unsigned vector, trap_handler_t *handler)
{
    ASSERT(vector < VECTOR_COUNT && vector != TRAP_SYSTEM_CALL && handler != NULL);
    trap_handler_t *before = trap_handlers[vector];

    trap_handlers[vector] = handler;
    return before;
}

void trap_set_system_call(trap_system_call_t *handler)
{
    trap_system_call = handler;
}

const char *trap_name(unsigned vector)
{
    static const char *const names[] = {
        "divide error", "debug trap", "non-maskable interrupt", "breakpoint", "overflow",
        "bound range exceeded", "invalid opcode", "no coprocessor", "double fault",
        "coprocessor segment overrun", "invalid TSS", "segment not present",
        "stack segment fault", "general protection fault", "page fault", "reserved trap",
        "floating-point error", "alignment check", "machine check", "SIMD error",
    };

    return vector < ARRAY_LENGTH(names) ? names[vector] : "unknown trap";
}

/* ---- faults of the kernel's own that are expected */

/*
 * The way back pops what the program had in DS and ES. If the descriptor has
 * gone meanwhile, the program gets the null selector.
 */
static bool fix_segment_pop(trap_frame_t *frame)
{
    uint32_t *popped = &frame->esp;     /* no ring change: the stack goes on here */

    if (frame->eip != (uint32_t)trap_restore_ds && frame->eip != (uint32_t)trap_restore_es)
        return false;
    *popped = 0;
    return true;
}

static bool fix_segment_load(trap_frame_t *frame)
{
    if (frame->eip != (uint32_t)segments_fs && frame->eip != (uint32_t)segments_gs)
        return false;
    frame->eax = 0;
    return true;
}

/*
 * IRET refused what the program left in SS: a fault of the program. The words
 * that IRET was to load follow the frame.
 */
static bool fix_iret(const trap_frame_t *frame, trap_frame_t *user)
{
    const uint32_t *words = &frame->esp;

    if (frame->eip != (uint32_t)trap_restore_iret)
        return false;
    *user = *frame;
    user->eip = words[0];
    user->cs = words[1];
    user->eflags = words[2];
    user->esp = words[3];
    user->ss = words[4];
    return true;
}

/*
 * The program has a handler for that fault: go to ring 3 with its registers. They
 * belong where those lay that IRET took, above this frame and all of the stack.
 */
static _Noreturn void return_again(trap_frame_t *frame, const trap_frame_t *user)
{
    trap_frame_t *place = CONTAINER_OF(&frame->esp, trap_frame_t, eip);

    *place = *user;
    trap_return(place);
}

bool trap_is_in_copy(const trap_frame_t *frame)
{
    return frame->eip >= (uint32_t)usercopy_start && frame->eip < (uint32_t)usercopy_end;
}

static bool fix_usercopy(trap_frame_t *frame)
{
    if (!trap_is_in_copy(frame))
        return false;
    frame->eip = (uint32_t)usercopy_fixup;
    return true;
}

static bool is_segment_fault(uint32_t vector)
{
    return vector == TRAP_PROTECTION || vector == TRAP_NO_SEGMENT ||
           vector == TRAP_STACK_SEGMENT;
}

static NOINLINE bool fix_kernel_fault(trap_frame_t *frame)
{
    trap_frame_t user;

    if (frame->vector == TRAP_PAGE_FAULT)
        return fix_usercopy(frame);
    if (frame->vector == TRAP_DEBUG) {
        frame->eflags &= ~EFLAGS_TF;    /* a single step that began in ring 3 */
        return true;
    }
    if (!is_segment_fault(frame->vector))
        return false;
    if (fix_segment_pop(frame) || fix_segment_load(frame))
        return true;
    if (fix_iret(frame, &user) && trap_handlers[frame->vector] != NULL
        && trap_handlers[frame->vector](&user))
        return_again(frame, &user);
    return false;
}

/* No handler took it. */
void trap_refused(trap_frame_t *frame)
{
    if (!trap_from_user(frame) && fix_kernel_fault(frame))
        return;
    trap_fatal_frame = frame;
    panic("%s in %s, error code %#x", trap_name(frame->vector),
          trap_from_user(frame) ? "ring 3, which nobody handles" : "the kernel", frame->error);
}

/* Any trap but the system call and the page fault. */
void trap_dispatch(trap_frame_t *frame)
{
    trap_handler_t *handler = trap_handlers[frame->vector];

    if (frame->vector >= IRQ_FIRST && frame->vector < IRQ_FIRST + IRQ_COUNT)
        return;                         /* spurious: every line is masked */
    if (handler == NULL || !trap_from_user(frame) || !handler(frame))
        trap_refused(frame);
}

/* The processor switched to the double fault's own task: what it left is in the TSS. */
void trap_double_fault(void)
{
    static trap_frame_t frame;

    tables_interrupted_frame(&frame);
    frame.vector = TRAP_DOUBLE_FAULT;
    trap_fatal_frame = &frame;
    if (trap_handlers[TRAP_DOUBLE_FAULT] != NULL)
        trap_handlers[TRAP_DOUBLE_FAULT](&frame);
    panic("double fault in the kernel");
}

/* ---- setting up */

static void mask_interrupt_controllers(void)
{
    /* Initialise both 8259s so that a spurious interrupt has a vector of its
     * own (IRQ_FIRST and up), then mask every line. */
    cpu_out8(0x20, 0x11);
    cpu_out8(0xa0, 0x11);
    cpu_out8(0x21, IRQ_FIRST);
    cpu_out8(0xa1, IRQ_FIRST + 8);
    cpu_out8(0x21, 0x04);
    cpu_out8(0xa1, 0x02);
    cpu_out8(0x21, 0x01);
    cpu_out8(0xa1, 0x01);
    cpu_out8(0x21, 0xff);
    cpu_out8(0xa1, 0xff);
}

/* Put stac and clac where the processor knows them. Text is still writable. */
static void patch_smap(void)
{
    if (!cpu_features.smap)
        return;
    for (const struct smap_site *at = smap_sites; at < smap_sites_end; at++) {
        at->site[0] = 0x0f;
        at->site[1] = 0x01;
        at->site[2] = (uint8_t)at->opcode;
    }
}

/*
 * What firmware and loader left is not defined (Multiboot 0.6.96, section 3.2):
 * no feature but what Grove turns on, caches on, no second way into ring 0, no
 * breakpoints. Programs may ask for alignment checks.
 */
static void reset_processor(void)
{
    cpu_set_cr0((cpu_cr0() & ~(CR0_NW | CR0_CD)) | CR0_AM);
    cpu_set_cr4(0);
    cpu_clear_breakpoints();
    if (cpu_features.nx)
        cpu_wrmsr(MSR_EFER, 0);
    if (cpu_features.msr && cpu_features.sep)
        cpu_wrmsr(MSR_SYSENTER_CS, 0);
}

void trap_init(void)
{
    reset_processor();
    tables_load(trap_stubs, STUB_COUNT, trap_system_call_stub, trap_spurious_stub);
    mask_interrupt_controllers();
    patch_smap();
}

size_t trap_prepare_stack(size_t top, void (*entry)(void))
{
    uint32_t *stack = (uint32_t *)top;

    *--stack = 0;                       /* the return address of `entry`: none */
    *--stack = (uint32_t)entry;
    *--stack = 0;                       /* ebp: backtraces end here */
    *--stack = 0;
    *--stack = 0;
    *--stack = 0;
    return (size_t)stack;
}
