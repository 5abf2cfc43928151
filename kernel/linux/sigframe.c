/*
 * What a signal handler finds on its stack, and sigreturn reads again: Linux's
 * layout for i386. From the upper end down: the floating-point state, then the
 * frame, whose first word is where the handler returns to.
 *
 * Everything that is read back is hostile. Selectors become ones of privilege 3 and
 * may still name no segment: then trap.c makes the fault of the way back one of the
 * program, or loads the null selector. Of EFLAGS a program changes what POPF would
 * let it change, and never IOPL, IF, VM.
 */
#include <kernel/string.h>
#include <x86/features.h>
#include <x86/fpu_legacy.h>
#include "linux.h"

typedef struct sigcontext {
    uint32_t gs, fs, es, ds;
    uint32_t edi, esi, ebp, esp, ebx, edx, ecx, eax;
    uint32_t trap, error;
    uint32_t eip, cs, eflags, esp_again, ss;
    uint32_t fpstate;           /* address; 0: no floating-point state */
    uint32_t mask;              /* the lower half of the mask before */
    uint32_t cr2;
} sigcontext_t;

/* Of a handler without SA_SIGINFO; between `context` and `tail` lies unused space. */
typedef struct classic_frame {
    uint32_t return_address;
    uint32_t signal;
    sigcontext_t context;
} classic_frame_t;

typedef struct classic_tail {
    uint32_t mask_high;
    uint8_t code[8];
} classic_tail_t;

enum { CLASSIC_TAIL = 720, CLASSIC_SIZE = CLASSIC_TAIL + sizeof(classic_tail_t) };

typedef struct siginfo {
    int32_t signal, error, code;
    uint32_t address;           /* or pid */
    uint32_t uid;
    int32_t status;             /* SIGCHLD */
    uint32_t unused[26];
} siginfo_t;

typedef struct ucontext {
    uint32_t flags, link;
    signal_stack_t stack;
    sigcontext_t context;
    signal_set_t mask;
} ucontext_t;

/* Of a handler with SA_SIGINFO. */
typedef struct info_frame {
    uint32_t return_address;
    uint32_t signal;
    uint32_t info_address, context_address;
    siginfo_t info;
    ucontext_t context;
    uint8_t code[8];
} info_frame_t;

static_assert(sizeof(sigcontext_t) == 88, "Linux's struct sigcontext of i386");
static_assert(sizeof(siginfo_t) == 128, "Linux's siginfo_t");
static_assert(sizeof(ucontext_t) == 116, "Linux's struct ucontext");
static_assert(CLASSIC_SIZE == 732, "Linux's struct sigframe of i386");
static_assert(sizeof(info_frame_t) == 268, "Linux's struct rt_sigframe of i386");
static_assert(sizeof(signal_action_t) == 20, "Linux's struct sigaction of i386");

/* Without SA_RESTORER a handler returns to these, on the stack: they work where the
 * stack can be executed. pop eax; mov eax, 119; int 0x80; and mov eax, 173; int 0x80 */
static const uint8_t classic_code[8] = { 0x58, 0xb8, 119, 0, 0, 0, 0xcd, 0x80 };
static const uint8_t info_code[8] = { 0xb8, 173, 0, 0, 0, 0xcd, 0x80, 0 };

enum {
    FXSAVE_SIZE = 512,
    FXSAVE_USED = 464,          /* what lies behind is the kernel's to say: nothing */
    FPU_ALIGN = 64,
    ONLY_FSAVE = 0xffff,
};

/* CF PF AF ZF SF TF DF OF RF AC */
#define EFLAGS_RESTORED 0x00050dd5u
#define EFLAGS_CLEARED  (EFLAGS_DF | EFLAGS_TF | 0x00010000u)   /* in a handler: and RF */

/* --- Floating-point state */

static size_t fpu_size(void)
{
    return cpu_features.fxsr ? FXSAVE_SIZE : 0;
}

/* Where it goes below esp: what FXSAVE writes is aligned, or else what FSAVE does. */
static uint32_t fpu_place(uint32_t esp)
{
    if (cpu_features.fxsr)
        return (uint32_t)align_down(esp - FXSAVE_SIZE, FPU_ALIGN) - sizeof(fpu_legacy_t);
    return (uint32_t)align_down(esp - sizeof(fpu_legacy_t), FPU_ALIGN);
}

/* Write the processor's state, which stays as it is. => 0, -EFAULT */
static int push_fpu(uint32_t at)
{
    fpu_state_t *state = task_current->fpu;
    fpu_legacy_t legacy;

    fpu_save(state);
    fpu_restore(state);                 /* FSAVE empties the registers */
    if (cpu_features.fxsr) {
        memset(state->bytes + FXSAVE_USED, 0, FXSAVE_SIZE - FXSAVE_USED);
        fpu_to_legacy(state, &legacy);
    } else {
        memcpy(&legacy, state->bytes, FPU_FSAVE_SIZE);
    }
    legacy.status_copy = (uint16_t)legacy.status;
    legacy.magic = cpu_features.fxsr ? 0 : ONLY_FSAVE;
    if (copy_to_user(at, &legacy, sizeof legacy) != 0)
        return -EFAULT;
    return copy_to_user(at + sizeof legacy, state->bytes, fpu_size());
}

static void empty_fpu(void)
{
    fpu_reset(task_current->fpu);
    fpu_restore(task_current->fpu);
}

/*
 * Load what a program wrote at `at`; 0: an empty state.
 *
 * => -EFAULT: an empty state
 */
static int pop_fpu(uint32_t at)
{
    fpu_state_t state;
    fpu_legacy_t legacy;

    empty_fpu();
    if (at == 0)
        return 0;
    memset(&state, 0, sizeof state);
    if (copy_from_user(&legacy, at, sizeof legacy) != 0
        || copy_from_user(state.bytes, at + sizeof legacy, fpu_size()) != 0)
        return -EFAULT;
    if (cpu_features.fxsr)
        fpu_from_legacy(&state, &legacy);
    else
        memcpy(state.bytes, &legacy, FPU_FSAVE_SIZE);
    fpu_make_loadable(&state);
    *task_current->fpu = state;
    fpu_restore(task_current->fpu);
    return 0;
}

/* --- Registers */

static void fill_context(sigcontext_t *context, const trap_frame_t *frame, uint32_t fpstate,
                         signal_set_t mask)
{
    const signal_state_t *state = &task_current->signals;
    uint16_t fs, gs;

    trap_save_segments(&fs, &gs);
    *context = (sigcontext_t){
        .gs = gs, .fs = fs, .es = frame->es & 0xffff, .ds = frame->ds & 0xffff,
        .edi = frame->edi, .esi = frame->esi, .ebp = frame->ebp, .esp = frame->esp,
        .ebx = frame->ebx, .edx = frame->edx, .ecx = frame->ecx, .eax = frame->eax,
        .trap = state->trap, .error = state->error,
        .eip = frame->eip, .cs = frame->cs & 0xffff, .eflags = frame->eflags,
        .esp_again = frame->esp, .ss = frame->ss & 0xffff,
        .fpstate = fpstate, .mask = (uint32_t)mask, .cr2 = state->address,
    };
}

static void load_registers(trap_frame_t *frame, const sigcontext_t *context)
{
    trap_load_segments((uint16_t)context->fs, (uint16_t)context->gs);
    frame->es = context->es & 0xffff;
    frame->ds = context->ds & 0xffff;
    frame->edi = context->edi;
    frame->esi = context->esi;
    frame->ebp = context->ebp;
    frame->esp = context->esp;
    frame->ebx = context->ebx;
    frame->edx = context->edx;
    frame->ecx = context->ecx;
    frame->eax = context->eax;
    frame->eip = context->eip;
    frame->cs = (context->cs & 0xffff) | 3;
    frame->ss = (context->ss & 0xffff) | 3;
    frame->eflags = (frame->eflags & ~EFLAGS_RESTORED) | (context->eflags & EFLAGS_RESTORED);
}

/* Begin the handler: regparm functions find the arguments in eax, edx, ecx. */
static void enter_handler(trap_frame_t *frame, const signal_action_t *action, uint32_t esp,
                          int signal)
{
    frame->esp = esp;
    frame->eip = action->handler;
    frame->eax = (uint32_t)signal;
    frame->edx = frame->ecx = 0;
    frame->cs = SELECTOR_USER_CODE;
    frame->ss = frame->ds = frame->es = SELECTOR_USER_DATA;
    frame->eflags &= ~EFLAGS_CLEARED;
    empty_fpu();
}

/* --- The two frames */

static uint32_t return_address(const signal_action_t *action, uint32_t code)
{
    return (action->flags & SA_RESTORER) != 0 ? action->restorer : code;
}

static int push_classic(trap_frame_t *frame, uint32_t at, int signal,
                        const signal_action_t *action, uint32_t fpstate, signal_set_t mask)
{
    uint32_t tail_at = at + CLASSIC_TAIL;
    classic_frame_t head;
    classic_tail_t tail;

    head.return_address =
        return_address(action, tail_at + (uint32_t)offsetof(classic_tail_t, code));
    head.signal = (uint32_t)signal;
    fill_context(&head.context, frame, fpstate, mask);
    tail.mask_high = (uint32_t)(mask >> 32);
    memcpy(tail.code, classic_code, sizeof tail.code);
    if (copy_to_user(at, &head, sizeof head) != 0
        || copy_to_user(tail_at, &tail, sizeof tail) != 0)
        return -EFAULT;
    enter_handler(frame, action, at, signal);
    return 0;
}

static int push_info(trap_frame_t *frame, uint32_t at, int signal, const signal_action_t *action,
                     const signal_info_t *info, uint32_t fpstate, signal_set_t mask)
{
    info_frame_t user;

    memset(&user, 0, sizeof user);
    user.return_address = return_address(action, at + (uint32_t)offsetof(info_frame_t, code));
    user.signal = (uint32_t)signal;
    user.info_address = at + (uint32_t)offsetof(info_frame_t, info);
    user.context_address = at + (uint32_t)offsetof(info_frame_t, context);
    user.info.signal = signal;
    user.info.code = info->code;
    user.info.address = info->address;
    user.info.uid = info->uid;
    user.info.status = info->status;
    user.context.stack = task_current->signals.stack;
    fill_context(&user.context.context, frame, fpstate, mask);
    user.context.mask = mask;
    memcpy(user.code, info_code, sizeof user.code);
    if (copy_to_user(at, &user, sizeof user) != 0)
        return -EFAULT;
    enter_handler(frame, action, at, signal);
    frame->edx = user.info_address;
    frame->ecx = user.context_address;
    return 0;
}

/*
 * The stack pointer from which a frame goes down.
 *
 * => *bounded: on the alternate stack, whose lower end it may not cross
 */
static uint32_t stack_of(const trap_frame_t *frame, const signal_action_t *action, bool *bounded)
{
    const signal_stack_t *stack = &task_current->signals.stack;

    *bounded = (stack->flags & SS_AUTODISARM) == 0 && signal_on_stack(stack, frame->esp);
    if ((action->flags & SA_ONSTACK) == 0 || stack->size == 0 || *bounded)
        return frame->esp;
    *bounded = true;
    return stack->base + stack->size;
}

int linux_push_signal_frame(trap_frame_t *frame, int signal, const signal_action_t *action,
                            const signal_info_t *info, signal_set_t mask)
{
    bool with_info = (action->flags & SA_SIGINFO) != 0, bounded;
    uint32_t fpstate = fpu_place(stack_of(frame, action, &bounded));
    uint32_t at = fpstate - (with_info ? sizeof(info_frame_t) : CLASSIC_SIZE);

    at = (uint32_t)align_down(at + 4, 16) - 4;      /* as behind a call (i386 ABI 2.2.2) */
    if (bounded && !signal_on_stack(&task_current->signals.stack, at))
        return -EFAULT;
    if (push_fpu(fpstate) != 0)
        return -EFAULT;
    if (with_info)
        return push_info(frame, at, signal, action, info, fpstate, mask);
    return push_classic(frame, at, signal, action, fpstate, mask);
}

/* --- Returning */

/* The frame is none: the program dies of it unless it handles that as well. */
static int32_t refuse_frame(void)
{
    static const signal_info_t info = { .code = SI_KERNEL };

    signal_force(SIGSEGV, &info);
    return 0;
}

/* The restorer has popped the return address and the signal's number. */
int32_t linux_sigreturn(const trap_frame_t *call)
{
    trap_frame_t *frame = task_current->frame;
    uint32_t at = call->esp - (uint32_t)offsetof(classic_frame_t, context);
    sigcontext_t context;
    uint32_t mask_high;

    if (copy_from_user(&context, call->esp, sizeof context) != 0
        || copy_from_user(&mask_high, at + CLASSIC_TAIL, sizeof mask_high) != 0)
        return refuse_frame();
    signal_set_mask((signal_set_t)mask_high << 32 | context.mask);
    load_registers(frame, &context);
    if (pop_fpu(context.fpstate) != 0)
        return refuse_frame();
    return (int32_t)frame->eax;
}

/* The handler has popped the return address. */
int32_t linux_rt_sigreturn(const trap_frame_t *call)
{
    trap_frame_t *frame = task_current->frame;
    uint32_t at = call->esp - (uint32_t)sizeof call->esp;
    ucontext_t context;

    if (copy_from_user(&context, at + offsetof(info_frame_t, context), sizeof context) != 0)
        return refuse_frame();
    signal_set_mask(context.mask);
    load_registers(frame, &context.context);
    if (pop_fpu(context.context.fpstate) != 0)
        return refuse_frame();
    linux_set_signal_stack(&context.stack, frame->esp);     /* whatever it says */
    return (int32_t)frame->eax;
}
