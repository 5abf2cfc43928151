/*
 * A fault in words, for someone who has never seen paging: what the program did,
 * what is there, what the page table says, and what the mistake most likely is.
 */
#include <kernel/fault.h>
#include <kernel/printk.h>

/* Text that grows in a buffer; `length` counts on where the buffer ends. */
typedef struct text {
    char *buffer;
    size_t size;
    size_t length;
} text_t;

#define ADD(text, ...) \
    ((text)->length += (size_t)format_text( \
        (text)->length < (text)->size ? (text)->buffer + (text)->length : NULL, \
        (text)->length < (text)->size ? (text)->size - (text)->length : 0, __VA_ARGS__))

/* Addresses below this one are NULL with the offset of a member or an element. */
#define NEAR_NULL 0x10000u

/* How far below an area an address still looks like an overrun of a neighbour. */
#define NEAR_AREA (16 * PAGE_SIZE)

static bool is_there(const fault_t *fault)
{
    return fault->has_area && fault->address >= fault->area_base &&
           fault->address < fault->area_end;
}

static const char *verb_of(const fault_t *fault)
{
    if ((fault->code & FAULT_EXECUTE) != 0)
        return "tried to execute code at";
    return (fault->code & FAULT_WRITE) != 0 ? "tried to write to" : "tried to read from";
}

static void add_area(text_t *text, size_t base, size_t end, int flags, const char *name)
{
    ADD(text, "%08zx-%08zx (%s%s%s%s%s%s)", base, end,
        (flags & VMA_RIGHTS) == 0 ? "no rights" : "",
        (flags & VMA_READ) != 0 ? "read" : "",
        (flags & VMA_WRITE) == 0 ? "" : (flags & VMA_READ) != 0 ? ", write" : "write",
        (flags & VMA_EXEC) == 0 ? "" : (flags & (VMA_READ | VMA_WRITE)) != 0 ? ", execute"
                                                                              : "execute",
        name[0] != '\0' ? "; " : "", name);
}

/* A distance a person can grasp: bytes, then KiB, then MiB. */
static void add_distance(text_t *text, size_t bytes)
{
    if (bytes < 64 * KIB)
        ADD(text, "%zu bytes", bytes);
    else if (bytes < 64 * MIB)
        ADD(text, "%zu KiB", bytes / KIB);
    else
        ADD(text, "%zu MiB", bytes / MIB);
}

/* What is at the address: the area, or the neighbours. */
static void add_surroundings(text_t *text, const fault_t *fault)
{
    if (is_there(fault)) {
        ADD(text, "\nThe address lies in the area ");
        add_area(text, fault->area_base, fault->area_end, fault->area_flags, fault->area_name);
        ADD(text, ", ");
        add_distance(text, fault->address - fault->area_base);
        ADD(text, " from its start.");
        return;
    }
    ADD(text, "\nNothing is mapped there.");
    if (fault->has_below) {
        ADD(text, " The nearest area below is ");
        add_area(text, fault->below_base, fault->below_end, fault->below_flags,
                 fault->below_name);
        ADD(text, ", which ends ");
        add_distance(text, fault->address - fault->below_end);
        ADD(text, " before.");
    }
    if (fault->has_area) {
        ADD(text, " The nearest area above is ");
        add_area(text, fault->area_base, fault->area_end, fault->area_flags, fault->area_name);
        ADD(text, ", which begins ");
        add_distance(text, fault->area_base - fault->address);
        ADD(text, " further on.");
    }
    if (!fault->has_below && !fault->has_area)
        ADD(text, " The program has no memory at all.");
}

static void add_entry(text_t *text, const fault_t *fault)
{
    mmu_entry_t entry = fault->entry;

    if (entry == 0) {
        ADD(text, "\nThe page table has no entry for this page.");
    } else if ((entry & MMU_PRESENT) != 0) {
        ADD(text, "\nThe page table has frame %08zx here, %s%s%s.", mmu_frame(entry),
            (entry & MMU_WRITE) != 0 ? "writable" : "read-only",
            (entry & MMU_NOEXEC) != 0 && mmu_can_forbid_execution() ? ", never executed" : "",
            (entry & MMU_OBJECT) != 0 ? ", shared" : "");
    } else if ((entry & MMU_HELD) != 0) {
        ADD(text, "\nThe page table keeps frame %08zx for this page, out of reach.",
            mmu_frame(entry));
    } else {
        ADD(text, "\nThe page table has a swapped-out page here.");
    }
}

/* The likely mistake behind an address where nothing is mapped. */
static void add_guess_no_area(text_t *text, const fault_t *fault)
{
    size_t address = fault->address;

    if (address == 0)
        ADD(text, "\nMost likely a NULL pointer was used.");
    else if (address < NEAR_NULL)
        ADD(text, "\nMost likely a NULL pointer was used, with an offset of %zu bytes: a member "
            "of a structure, or an element of an array.", address);
    else if (address >= USER_END || address < USER_BASE)
        ADD(text, "\nThis address belongs to the kernel; programs have %08x to %08x. Most likely "
            "the pointer was never set, or was overwritten.", USER_BASE, USER_END - 1);
    else if (fault->was_unmapped)
        ADD(text, "\nThe program itself unmapped this address shortly before: most likely memory "
            "was used after it was freed.");
    else if (fault->has_below && address - fault->below_end < NEAR_AREA)
        ADD(text, "\nMost likely the program ran past the end of the area below.");
    else
        ADD(text, "\nMost likely the pointer was never set, was overwritten, or points to memory "
            "that was freed.");
}

static void add_guess_no_right(text_t *text, const fault_t *fault)
{
    int flags = fault->area_flags;

    if ((flags & VMA_RIGHTS) == 0)
        ADD(text, "\nThe area grants no access at all: it is a guard, or its rights were taken "
            "away with mprotect.");
    else if ((fault->code & FAULT_EXECUTE) != 0)
        ADD(text, "\nThis is data, not code. Most likely a function pointer or a return address "
            "was overwritten.");
    else if ((flags & VMA_EXEC) != 0)
        ADD(text, "\nThis is the program's code, which is read-only. Most likely a wild pointer "
            "was written through.");
    else
        ADD(text, "\nThis memory is read-only. Most likely a constant (a string literal, say) "
            "was written to.");
}

static void add_guess(text_t *text, const fault_t *fault)
{
    switch (fault->reason) {
    case FAULT_RESOLVED:
        ADD(text, "\nThe fault was resolved: there is nothing wrong.");
        break;
    case FAULT_NO_AREA:
        add_guess_no_area(text, fault);
        break;
    case FAULT_STACK_LIMIT:
        ADD(text, "\nThe stack is full: it may not grow below %08zx. Most likely a function calls "
            "itself without end, or has very large local variables.", fault->stack_base);
        break;
    case FAULT_NO_RIGHT:
        add_guess_no_right(text, fault);
        break;
    case FAULT_DEAD_AREA:
        ADD(text, "\nThe area was taken away from the program and waits to be reclaimed.");
        break;
    case FAULT_PAST_END:
        ADD(text, "\nThe page lies wholly past the end of the mapped file. Most likely the file "
            "is shorter than the program believes.");
        break;
    case FAULT_IO:
        ADD(text, "\nThe page could not be read from its file or disk.");
        break;
    case FAULT_NO_MEMORY:
        ADD(text, "\nThe program did nothing wrong: the machine has no free memory for the page.");
        break;
    case FAULT_KERNEL_BUG:
        ADD(text, "\nThe program did nothing wrong: this is a bug in the kernel. %s",
            (fault->code & FAULT_RESERVED) != 0
            ? "A reserved bit is set in a page table."
            : "The page table and the processor disagree about this page.");
        break;
    }
}

int fault_explain(const fault_t *fault, char *buffer, size_t size)
{
    text_t text = { buffer, size, 0 };

    ADD(&text, "%s %s address %08zx.",
        (fault->code & FAULT_USER) != 0 ? "The program" : "The kernel, on behalf of the program,",
        verb_of(fault), fault->address);
    add_surroundings(&text, fault);
    add_entry(&text, fault);
    add_guess(&text, fault);
    return (int)text.length;
}
