/*
 * The panic dump: registers, backtrace, the walk of the faulting address, and
 * whether a kernel stack ran into its guard.
 */
#include <kernel/console.h>
#include <kernel/doctor.h>
#include <kernel/dump.h>
#include <kernel/kheap_guard.h>
#include <kernel/panic.h>
#include <kernel/printk.h>
#include <kernel/string.h>
#include <kernel/symbols.h>
#include <kernel/task.h>
#include <kernel/virtual.h>
#include <x86/cpu.h>

enum { FRAMES_MAX = 24, SENTENCE_SIZE = 256 };

extern const char boot_stack_guard[], boot_stack[], boot_stack_top[];
/* linker.ld */
extern const char heap_text[], heap_text_end[];
extern const char image_text[], image_rodata[], image_data[], image_end[];

static uint32_t stack_pointer(const trap_frame_t *frame)
{
    bool ring_change = trap_from_user(frame) || frame->vector == TRAP_DOUBLE_FAULT;

    return ring_change ? frame->esp : (uint32_t)&frame->esp;
}

void dump_registers(const trap_frame_t *frame)
{
    printk("  eip %08x  cs %04x  eflags %08x\n", frame->eip, frame->cs, frame->eflags);
    printk("  eax %08x  ebx %08x  ecx %08x  edx %08x\n", frame->eax, frame->ebx, frame->ecx,
           frame->edx);
    printk("  esi %08x  edi %08x  ebp %08x  esp %08x\n", frame->esi, frame->edi, frame->ebp,
           stack_pointer(frame));
}

/* Stacks are where kernel data may be; anything else ends a backtrace. */
static bool is_stack(uint32_t ebp)
{
    if ((ebp & 3) != 0)
        return false;
    if (ebp >= (uint32_t)boot_stack && ebp <= (uint32_t)boot_stack_top - 8)
        return true;
    return ebp >= KSPACE_BASE && ebp < KSPACE_END - 8 &&
           get_translation(current_pagetable(), ebp) != NO_TRANSLATION &&
           get_translation(current_pagetable(), ebp + 4) != NO_TRANSLATION;
}

/*
 * One line of a backtrace. A return address belongs to the call before it, which
 * may be its function's last instruction.
 */
static void print_function(uint32_t eip, bool is_return)
{
    uint32_t offset = 0;
    const char *name = symbol_find(eip - is_return, &offset);

    printk("  %08x  %s+%#x\n", eip, name != NULL ? name : "?",
           name != NULL ? offset + is_return : 0);
}

static void print_callers(uint32_t eip, uint32_t ebp)
{
    for (unsigned i = 0; i < FRAMES_MAX && eip != 0; i++) {
        print_function(eip, true);
        if (!is_stack(ebp))
            break;
        eip = ((const uint32_t *)ebp)[1];
        ebp = *(const uint32_t *)ebp;
    }
}

void dump_backtrace(uint32_t eip, uint32_t ebp)
{
    printk("backtrace:\n");
    print_callers(eip, ebp);
}

size_t dump_heap_caller(void)
{
    uint32_t ebp = cpu_frame_pointer();

    for (unsigned i = 0; i < FRAMES_MAX && is_stack(ebp); i++) {
        uint32_t eip = ((const uint32_t *)ebp)[1];

        if (eip < (uint32_t)heap_text || eip >= (uint32_t)heap_text_end)
            return eip;
        ebp = *(const uint32_t *)ebp;
    }
    return 0;
}

const char *dump_symbol(size_t address, size_t *offset)
{
    uint32_t before = 0;
    const char *name = symbol_find(address - 1, &before);

    *offset = before + 1;
    return name;
}

/*
 * Whether a function has pushed its frame pointer: its first instructions do, and
 * are done. The compiler leaves them out of those that need no stack.
 */
static bool has_frame(uint32_t eip)
{
    static const uint8_t prologue[] = { 0x55, 0x89, 0xe5 };     /* push ebp; mov ebp, esp */
    uint32_t offset;

    return symbol_find(eip, &offset) != NULL && offset >= sizeof(prologue) &&
           memcmp((const void *)(eip - offset), prologue, sizeof(prologue)) == 0;
}

/* The function that was interrupted, and its callers. */
static void dump_interrupted(const trap_frame_t *frame)
{
    uint32_t esp = stack_pointer(frame);
    uint32_t offset;
    uint32_t caller = !has_frame(frame->eip) && is_stack(esp) ? *(const uint32_t *)esp : 0;

    printk("backtrace:\n");
    print_function(frame->eip, false);
    if (symbol_find(caller, &offset) != NULL)
        print_function(caller, true);
    if (is_stack(frame->ebp))
        print_callers(((const uint32_t *)frame->ebp)[1], *(const uint32_t *)frame->ebp);
}

/* What the kernel knows about the address. => NULL: nothing */
static const char *about(size_t address)
{
    if (address < PAGE_SIZE)
        return "page 0: a NULL pointer, or a small offset from one, was used";
    if (address >= (size_t)image_text && address < (size_t)image_rodata)
        return "the kernel's code, which is only read and executed";
    if (address >= (size_t)image_rodata && address < (size_t)image_data)
        return "a constant of the kernel, which is only read";
    if (address >= (size_t)image_data && address < (size_t)image_end)
        return "the kernel's data, which is never executed";
    if (address >= USER_BASE && address < USER_END)
        return "a program's part, which the kernel touches in copies only";
    return NULL;
}

/* A double fault has no error code: its access is not known. */
static const char *access_of(const trap_frame_t *frame, const char *use, const char *execute,
                             const char *write, const char *read)
{
    if (frame->vector == TRAP_DOUBLE_FAULT)
        return use;
    if ((frame->error & FAULT_EXECUTE) != 0)
        return execute;
    return (frame->error & FAULT_WRITE) != 0 ? write : read;
}

/* Whose stack has its guard page at the address, or else what is there? */
static void explain_place(const trap_frame_t *frame, size_t address)
{
    size_t page = align_down(address, PAGE_SIZE);
    char text[SENTENCE_SIZE];

    if (page == (size_t)boot_stack_guard)
        printk("This is the guard page below the first task's kernel stack: the stack "
               "overflowed.\n");
    else if (task_current != NULL && task_current->kernel_stack != 0 &&
             page == task_current->kernel_stack - PAGE_SIZE)
        printk("This is the guard page below the kernel stack of task %d (%s): the stack "
               "overflowed.\n", task_current->pid, task_current->name);
    else if (about(address) != NULL)
        printk("This is %s.\n", about(address));
    else if (kheap_guard_explain(&kernel_heap, address,
                                 access_of(frame, "use", "execution", "write", "read"), text,
                                 sizeof(text)))
        printk("This is a %s.\n", text);
}

static void explain_address(const trap_frame_t *frame)
{
    size_t address = cpu_cr2();

    printk("The kernel tried to %s address %#zx.\n",
           access_of(frame, "use", "execute", "write to", "read"), address);
    explain_place(frame, address);
    printk("What the processor finds there:\n");
    doctor_walk(current_pagetable(), address);
}

static void dump_and_stop(bool first)
{
    const trap_frame_t *frame = trap_fatal_frame;

    if (!first)
        machine_stop(MACHINE_PANIC);
    if (frame != NULL) {
        if (frame->vector == TRAP_PAGE_FAULT || frame->vector == TRAP_DOUBLE_FAULT)
            explain_address(frame);
        dump_registers(frame);
        dump_interrupted(frame);
    } else {
        const uint32_t *ebp = (const uint32_t *)cpu_frame_pointer();

        dump_backtrace(ebp[1], ebp[0]);
    }
    if (task_current != NULL && task_current->name[0] != '\0')
        printk("running: task %d (%s)\n", task_current->pid, task_current->name);
    machine_stop(MACHINE_PANIC);
}

void dump_init(void)
{
    panic_set_hook(dump_and_stop);
}
