/*
 * Accesses that may fault: the page fault's handler is replaced for as long as
 * one instruction takes.
 */
#include <kernel/boot_info.h>
#include <kernel/linear.h>
#include <kernel/string.h>
#include <kernel/task.h>
#include <kernel/trap.h>
#include <kernel/virtual.h>
#include <test.h>
#include <test_hooks.h>
#include <x86/cpu.h>

#include "probe.h"

uint32_t probe_load_byte(size_t address);
void probe_store_byte(size_t address, uint32_t value);
void probe_call(size_t address);
extern const char probe_load[], probe_store[], probe_return[];

/* -mregparm=3: arguments in EAX, EDX, ECX. */
__asm__(".text\n"
        "probe_load_byte:\n"
        "probe_load:\n"
        "    movzbl (%eax), %eax\n"
        "    ret\n"
        "probe_store_byte:\n"
        "probe_store:\n"
        "    movb %dl, (%eax)\n"
        "probe_return:\n"
        "    ret\n"
        "probe_call:\n"
        "    call *%eax\n"
        "    ret\n");

static struct probe {
    outcome_t outcome;
    size_t target;
    trap_handler_t *before;
} probe;

static bool caught(trap_frame_t *frame)
{
    size_t eip = frame->eip;

    if (trap_from_user(frame) || (eip != (size_t)probe_load && eip != (size_t)probe_store &&
                                  eip != probe.target))
        return probe.before(frame);
    probe.outcome.faulted = true;
    probe.outcome.code = frame->error;
    probe.outcome.address = cpu_cr2();
    frame->eip = (uint32_t)probe_return;
    return true;
}

static void begin(size_t target)
{
    probe.outcome = (outcome_t){ 0 };
    probe.target = target;
    probe.before = trap_set_handler(TRAP_PAGE_FAULT, caught);
}

static outcome_t end(void)
{
    trap_set_handler(TRAP_PAGE_FAULT, probe.before);
    return probe.outcome;
}

outcome_t probe_read(size_t address)
{
    uint32_t value;
    outcome_t outcome;

    begin(0);
    value = probe_load_byte(address);
    outcome = end();
    outcome.value = (uint8_t)value;
    return outcome;
}

outcome_t probe_write(size_t address, uint8_t value)
{
    begin(0);
    probe_store_byte(address, value);
    return end();
}

outcome_t probe_execute(size_t address)
{
    begin(address);
    probe_call(address);
    return end();
}

bool reads(size_t vaddr, uint8_t value)
{
    outcome_t outcome = probe_read(vaddr);

    return !outcome.faulted && outcome.value == value;
}

bool faults(outcome_t outcome, size_t vaddr, unsigned code)
{
    return outcome.faulted && outcome.address == vaddr && outcome.code == code;
}

/* ---- frames */

page_t frame_with(uint32_t word)
{
    page_t page = alloc_physical_page(OWNER_ANON);

    CHECK(page != PAGE_NONE);
    *(uint32_t *)mmu_temporary_map(0, page) = word;
    mmu_temporary_unmap(0);
    return page;
}

page_t high_frame_with(uint32_t word)
{
    static page_t low[LOW_END / PAGE_SIZE];
    size_t count = 0;
    page_t page = frame_with(word);

    while (page < LOW_END) {
        low[count++] = page;
        page = frame_with(word);
    }
    while (count > 0)
        free_physical_page(low[--count]);
    return page;
}

uint32_t frame_word(page_t page)
{
    uint32_t word = *(const uint32_t *)mmu_temporary_map(0, page);

    mmu_temporary_unmap(0);
    return word;
}

/* ---- failures */

static uint64_t failures_before;

void fail_nth(size_t n)
{
    failures_before = physical_figures()->failures;
    physical_fail_after(n);
}

bool nth_failed(void)
{
    physical_fail_after(0);
    return physical_figures()->failures != failures_before;
}

bool test_is_named(void)
{
    const char *name = test_current()->name;
    size_t length;
    const char *names = boot_info_word(&boot_info, "test", &length);

    return names != NULL && memmem(names, length, name, strlen(name)) != NULL;
}

/* ---- spaces */

void start_clean(void)
{
    while (linear_space_depth() > 0)
        leave_linear_space();
    physical_fail_after(0);
    stand_in(NULL);
}

void stand_in(mspace_t *mspace)
{
    task_current->mspace = mspace;
    switch_pagetable(mspace != NULL ? mspace->directory : kernel_pagetable());
}

mspace_t *enter_new_space(void)
{
    mspace_t *mspace;

    start_clean();
    mspace = mspace_create();
    CHECK(mspace != NULL);
    stand_in(mspace);
    return mspace;
}

void leave_space(mspace_t *mspace)
{
    stand_in(NULL);
    CHECK_OK(mspace_check(mspace));
    CHECK_OK(memory_check());
    mspace_close(mspace);
}

/* ---- the second reader (Intel SDM 3A, figures 4-2 and 4-5) */

static page_t step_2level(page_t root, size_t vaddr, unsigned level, page_t *place)
{
    page_t table = root;

    if (level == 0) {
        uint32_t entry = *(const uint32_t *)physical_ptr(root + 4 * (vaddr >> 22));

        table = (entry & 0x81) == 1 ? entry & 0xfffff000 : PAGE_NONE;
    }
    *place = table + 4 * (level == 0 ? vaddr >> 12 & 1023 : vaddr >> 22);
    return table;
}

static page_t step_pae(page_t root, size_t vaddr, unsigned level, page_t *place)
{
    page_t table = root;
    uint64_t entry;

    *place = table + 8 * (vaddr >> 30);
    if (level == 2)
        return table;
    entry = *(const uint64_t *)physical_ptr(*place);
    table = (entry & 1) == 1 ? (page_t)(entry & 0xfffff000) : PAGE_NONE;
    *place = table + 8 * (vaddr >> 21 & 511);
    if (level == 1 || table == PAGE_NONE)
        return table;
    entry = *(const uint64_t *)physical_ptr(*place);
    table = (entry & 0x81) == 1 ? (page_t)(entry & 0xfffff000) : PAGE_NONE;
    *place = table + 8 * (vaddr >> 12 & 511);
    return table;
}

uint64_t physical_entry(page_t root, size_t vaddr, unsigned level, page_t *table,
                        const uint64_t *change)
{
    bool pae = strcmp(virtual_format_name(), "pae") == 0;
    uint64_t entry = 0;
    page_t place;

    enter_linear_space();
    *table = pae ? step_pae(root, vaddr, level, &place) : step_2level(root, vaddr, level, &place);
    if (*table != PAGE_NONE) {
        uint32_t *at = physical_ptr(place);

        entry = pae ? at[0] | (uint64_t)at[1] << 32 : at[0];
        if (change != NULL) {
            at[0] = (uint32_t)*change;
            if (pae)
                at[1] = (uint32_t)(*change >> 32);
        }
    }
    leave_linear_space();
    return entry;
}
