/*
 * Traps of programs: page faults are resolved where they can be; whatever else a
 * program may not do ends it, with a report that says what it did.
 */
#include <kernel/linear.h>
#include <kernel/printk.h>
#include <kernel/task.h>
#include <kernel/usercopy.h>
#include <x86/cpu.h>
#include <x86/fpu_legacy.h>

enum { CODE_FPU = -1, CODE_DEBUG = -2 };    /* the processor says which it is */

/* What a trap in ring 3 means to the program (as on Linux). */
static const struct trap_meaning {
    uint8_t vector;
    uint8_t signal;
    int16_t code;           /* si_code; but for SI_KERNEL and BUS_ADRALN si_addr is eip */
    const char *text;
} trap_meanings[] = {
    { TRAP_DIVIDE, SIGFPE, FPE_INTDIV,
      "it divided by zero, or the quotient was too large" },
    { TRAP_DEBUG, SIGTRAP, CODE_DEBUG,
      "it stepped with the trap flag set, or met a breakpoint" },
    { TRAP_BREAKPOINT, SIGTRAP, SI_KERNEL,
      "it executed a breakpoint (int3)" },
    { TRAP_OVERFLOW, SIGSEGV, SI_KERNEL,
      "it executed `into` with the overflow flag set" },
    { TRAP_BOUND, SIGSEGV, SI_KERNEL,
      "an index was outside the range that `bound` names" },
    { TRAP_INVALID_OPCODE, SIGILL, ILL_ILLOPN,
      "this processor does not know the instruction" },
    { TRAP_NO_FPU, SIGSEGV, SI_KERNEL,
      "it needs a floating-point unit, and there is none" },
    { TRAP_INVALID_TSS, SIGSEGV, SI_KERNEL,
      "it loaded a segment that is no segment" },
    { TRAP_NO_SEGMENT, SIGBUS, SI_KERNEL,
      "it loaded a segment that is not present" },
    { TRAP_STACK_SEGMENT, SIGBUS, SI_KERNEL,
      "its stack access was outside the stack segment" },
    { TRAP_PROTECTION, SIGSEGV, SI_KERNEL,
      "the instruction is privileged, or it broke the rules of a segment" },
    { TRAP_FPU_ERROR, SIGFPE, CODE_FPU,
      "a floating-point operation failed" },
    { TRAP_ALIGNMENT, SIGBUS, BUS_ADRALN,
      "its access was not aligned, and it asked for that to be checked" },
    { TRAP_SIMD_ERROR, SIGFPE, CODE_FPU,
      "an SSE operation failed" },
};

/* => si_code of the exception that comes first in Linux's order; 0: there is none */
static int fpu_exception_code(bool sse)
{
    static const struct { uint8_t bits, code; } codes[] = {
        { 0x01, FPE_FLTINV }, { 0x04, FPE_FLTDIV }, { 0x08, FPE_FLTOVF },
        { 0x12, FPE_FLTUND }, { 0x20, FPE_FLTRES },
    };
    const unsigned raised = fpu_exceptions(sse);

    for (size_t i = 0; i < ARRAY_LENGTH(codes); i++)
        if ((raised & codes[i].bits) != 0)
            return codes[i].code;
    return 0;
}

static const struct trap_meaning *meaning_of(unsigned vector)
{
    for (size_t i = 0; i < ARRAY_LENGTH(trap_meanings); i++)
        if (trap_meanings[i].vector == vector)
            return &trap_meanings[i];
    return NULL;
}

static const char *signal_name(int signal)
{
    static const char *const names[] = {        /* from 1 on */
        "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE",
        "SIGKILL", "SIGUSR1", "SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM",
        "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU",
        "SIGURG", "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO",
        "SIGPWR", "SIGSYS",
    };

    static_assert(ARRAY_LENGTH(names) == SIGSYS, "in the order of their numbers");
    return (size_t)signal <= ARRAY_LENGTH(names) ? names[signal - 1] : "a real-time signal";
}

/* --- The report */

static void report_registers(const trap_frame_t *frame)
{
    const task_t *task = task_current;
    uint16_t fs = task->fs, gs = task->gs;

    trap_save_segments(&fs, &gs);
    printk("  eax %08x  ebx %08x  ecx %08x  edx %08x\n", frame->eax, frame->ebx, frame->ecx,
           frame->edx);
    printk("  esi %08x  edi %08x  ebp %08x  esp %08x\n", frame->esi, frame->edi, frame->ebp,
           frame->esp);
    printk("  eip %08x  eflags %08x  cs %02x ss %02x ds %02x es %02x fs %02x gs %02x\n",
           frame->eip, frame->eflags, frame->cs, frame->ss & 0xffff, frame->ds & 0xffff,
           frame->es & 0xffff, fs, gs);
}

/* The bytes at eip, as far as they can be read. */
static void report_code(const trap_frame_t *frame)
{
    uint8_t code[12];
    size_t length = 0;

    while (length < sizeof code && copy_from_user(&code[length], frame->eip + length, 1) == 0)
        length++;
    if (length == 0)
        return;
    printk("  code at eip:");
    for (size_t i = 0; i < length; i++)
        printk(" %02x", code[i]);
    printk("\n");
}

enum { REPORT_COLUMNS = 78, REPORT_INDENT = 2 };

/* How much of the text goes on one line: up to its end, or the last blank that fits. */
static size_t line_length(const char *text)
{
    const size_t most = REPORT_COLUMNS - REPORT_INDENT;
    size_t length = 0, blank = 0;

    while (text[length] != '\0' && text[length] != '\n') {
        if (text[length] == ' ')
            blank = length;
        if (++length > most && blank > 0)
            return blank;
    }
    return length;
}

/* Text of several lines, each indented and broken to fit. */
static void report_lines(const char *text)
{
    while (*text != '\0') {
        size_t length = line_length(text);

        printk("%*s%.*s\n", REPORT_INDENT, "", (int)length, text);
        text += length;
        if (*text != '\0')
            text++;
    }
}

/*
 * Where the walk of the tables ends for this address: in no table, or in which
 * entry.
 */
static void explain_entry(size_t address, char *text, size_t size)
{
    page_t directory = task_current->mspace->directory;
    int length = format_text(text, size, "page tables: directory %08zx", directory);
    mmu_place_t place;

    text += length;
    size -= (size_t)length;
    if (address < USER_BASE || address >= USER_END) {
        format_text(text, size, "; the address is in the kernel's part");
        return;
    }
    mmu_entry_t entry = mmu_find(directory, address, &place);

    if (place.entry == NULL) {
        format_text(text, size, " -> no table covers the address");
        return;
    }
    if ((entry & MMU_PRESENT) != 0)
        format_text(text, size, " -> entry %08zx: present, %s%s", entry,
                    (entry & MMU_WRITE) != 0 ? "writable" : "read-only",
                    (entry & MMU_NOEXEC) != 0 ? ", not executable" : "");
    else
        format_text(text, size, " -> entry %08zx: %s", entry,
                    entry == 0 ? "nothing" : "not present");
}

static void report_fault(const trap_frame_t *frame, const fault_t *fault)
{
    char text[768];

    printk("  The instruction at %08x did it.\n", frame->eip);
    fault_explain(fault, text, sizeof text);
    report_lines(text);
    explain_entry(fault->address, text, sizeof text);
    report_lines(text);
}

static void report(int signal, const trap_frame_t *frame, const fault_t *fault)
{
    const struct trap_meaning *meaning = meaning_of(frame->vector);

    printk("%s (pid %d) is killed by signal %d (%s): ", task_current->name, task_current->pid,
           signal, signal_name(signal));
    if (fault == NULL && frame->vector == TRAP_SYSTEM_CALL) {
        printk("sent by itself%s\n", signal == SIGINT ? ", or by Ctrl-C" : "");
        return;
    }
    printk("%s\n", trap_name(frame->vector));
    if (fault != NULL)
        report_fault(frame, fault);
    else if (meaning != NULL)
        printk("  At %08x: %s (error code 0x%x).\n", frame->eip, meaning->text, frame->error);
    report_registers(frame);
    report_code(frame);
}

void task_kill(int signal, const trap_frame_t *frame, const fault_t *fault)
{
    if (fault != NULL && fault->reason == FAULT_NO_MEMORY)
        oom_report(task_current);
    else
        report(signal, frame, fault);
    task_exit(signal);
}

void task_kill_other(task_t *task, int signal)
{
    printk("%s (pid %d) is killed by signal %d (%s): sent by %s (pid %d)\n", task->name, task->pid,
           signal, signal_name(signal), task_current->name, task_current->pid);
    task_end(task, signal);
}

void task_kill_for(int signal, const trap_frame_t *frame, const char *why)
{
    printk("%s (pid %d) is killed by signal %d (%s): %s\n", task_current->name,
           task_current->pid, signal, signal_name(signal), why);
    report_registers(frame);
    report_code(frame);
    task_exit(signal);
}

void task_check_memory(const trap_frame_t *frame)
{
    fault_t fault = { .reason = FAULT_NO_MEMORY };

    if (task_current->out_of_memory)
        task_kill(SIGKILL, frame, &fault);
}

/* --- Handlers */

/* When memory ran out, others may have to go before the current program does. */
static fault_reason_t try_again(fault_t *fault)
{
    while (UNLIKELY(fault->reason == FAULT_NO_MEMORY) && oom_make_room())
        fault_handle(task_current->mspace, fault);
    return fault->reason;
}

/* A fault in a copy between the kernel and the program. */
static bool copy_fault(fault_t *fault)
{
    mspace_t *mspace = task_current->mspace;

    if (mspace == NULL || fault->address < USER_BASE || fault->address >= USER_END
        || splock_held(&mspace->lock))
        return false;
    fault_handle(mspace, fault);
    fault_reason_t reason = try_again(fault);

    if (reason == FAULT_NO_MEMORY)
        task_current->out_of_memory = true;
    return reason == FAULT_RESOLVED;
}

/* What the page fault is to the program: a signal, or its end. */
static NOINLINE void send_fault(trap_frame_t *frame, fault_t *fault)
{
    signal_info_t info = { .code = SEGV_MAPERR, .address = fault->address };
    int signal = SIGSEGV;

    if (fault->reason == FAULT_NO_MEMORY)
        task_kill(SIGKILL, frame, fault);
    if (fault->reason == FAULT_KERNEL_BUG)
        task_kill(SIGSEGV, frame, fault);
    if (fault->reason == FAULT_PAST_END || fault->reason == FAULT_IO) {
        signal = SIGBUS;
        info.code = BUS_ADRERR;
    } else if (fault->reason == FAULT_NO_RIGHT) {
        info.code = SEGV_ACCERR;
    }
    signal_trap(signal, &info, frame, fault);
}

static NOINLINE bool kernel_page_fault(const trap_frame_t *frame, size_t address)
{
    fault_t fault = { .address = address, .code = frame->error };

    return linear_space_depth() == 0 && trap_is_in_copy(frame) && copy_fault(&fault);
}

static NOINLINE bool hard_page_fault(trap_frame_t *frame, size_t address, fault_reason_t reason)
{
    fault_t fault = { .address = address, .code = frame->error, .reason = reason };

    fault_describe(task_current->mspace, &fault);
    if (try_again(&fault) != FAULT_RESOLVED)
        send_fault(frame, &fault);
    return true;
}

static bool page_fault(trap_frame_t *frame)
{
    size_t address = cpu_cr2();
    fault_reason_t reason;

    if (UNLIKELY(!trap_from_user(frame)))
        return kernel_page_fault(frame, address);
    reason = fault_resolve(task_current->mspace, address, frame->error);
    return LIKELY(reason == FAULT_RESOLVED) || hard_page_fault(frame, address, reason);
}

/* => si_code; 0: there is nothing to tell */
static int code_of(const struct trap_meaning *meaning)
{
    if (meaning->code == CODE_FPU)
        return fpu_exception_code(meaning->vector == TRAP_SIMD_ERROR);
    if (meaning->code == CODE_DEBUG)
        return (cpu_take_dr6() & DR6_STEP) != 0 ? TRAP_TRACE : TRAP_BRKPT;
    return meaning->code;
}

/* => the address of the instruction, of the kinds that tell it */
static uint32_t address_of(const trap_frame_t *frame, int code)
{
    return code == SI_KERNEL || frame->vector == TRAP_ALIGNMENT ? 0 : frame->eip;
}

static bool other_trap(trap_frame_t *frame)
{
    const struct trap_meaning *meaning = meaning_of(frame->vector);
    signal_info_t info;

    if (!trap_from_user(frame))
        return false;
    info = (signal_info_t){ .code = code_of(meaning) };
    info.address = address_of(frame, info.code);
    if (info.code != 0)
        signal_trap(meaning->signal, &info, frame, NULL);
    return true;
}

void task_set_trap_handlers(void)
{
    trap_set_handler(TRAP_PAGE_FAULT, page_fault);
    for (size_t i = 0; i < ARRAY_LENGTH(trap_meanings); i++)
        trap_set_handler(trap_meanings[i].vector, other_trap);
}
