/*
 * Page faults in words: what fault_explain says to a person.
 */
#include <kernel/errno.h>
#include <space.h>

#include <stdio.h>
#include <string.h>

static void check_text(const char *expected)
{
    char text[1024];
    char small[40];
    int length = fault_explain(&space_fault, text, sizeof(text));

    CHECK_STR(text, expected);
    CHECK_EQ(length, strlen(text));
    /* Cut to fit, and its length all the same. */
    CHECK_EQ(fault_explain(&space_fault, small, sizeof(small)), length);
    CHECK_EQ(strlen(small), sizeof(small) - 1);
    CHECK(strncmp(small, text, sizeof(small) - 1) == 0);
    CHECK_EQ(fault_explain(&space_fault, NULL, 0), length);
}

static bool says(const char *part)
{
    char text[1024];

    fault_explain(&space_fault, text, sizeof(text));
    if (strstr(text, part) == NULL)
        printf("# %s\n", text);
    return strstr(text, part) != NULL;
}

TEST(fault_explain_in_plain_sentences)
{
    mspace_t *ms = space_start("pae", 600);
    test_file_t file;
    uint8_t byte;

    test_file_init(&file, "/bin/tour", PAGES(2));
    CHECK(!space_write(0, 1));
    check_text("The program tried to write to address 00000000.\n"
               "Nothing is mapped there. The program has no memory at all.\n"
               "The page table has no entry for this page.\n"
               "Most likely a NULL pointer was used.");
    CHECK(mspace_map(ms, AT(0), PAGES(4), &file.ino, 0, 0, VMA_TEXT_SEGMENT));
    CHECK(!space_read(24, &byte));
    check_text("The program tried to read from address 00000018.\n"
               "Nothing is mapped there. The nearest area above is 40000000-40004000 "
               "(read, execute; /bin/tour), which begins 1023 MiB further on.\n"
               "The page table has no entry for this page.\n"
               "Most likely a NULL pointer was used, with an offset of 24 bytes: a member of a "
               "structure, or an element of an array.");
    CHECK(!space_write(AT(0) + 16, 1));
    check_text("The program tried to write to address 40000010.\n"
               "The address lies in the area 40000000-40004000 (read, execute; /bin/tour), "
               "16 bytes from its start.\n"
               "The page table has no entry for this page.\n"
               "This is the program's code, which is read-only. Most likely a wild pointer was "
               "written through.");
    CHECK(!space_read(AT(2), &byte));
    CHECK(says("\nThe page lies wholly past the end of the mapped file. Most likely the file is "
               "shorter than the program believes."));
    space_map(ms, AT(8), PAGES(2), ANON_RW);
    CHECK(space_write(AT(8), 1));
    CHECK(!space_execute(AT(8)));
    CHECK(says("The program tried to execute code at address 40008000."));
    CHECK(says("writable, never executed."));
    CHECK(says("This is data, not code."));
    CHECK(!space_write(AT(10), 1));
    CHECK(says("Nothing is mapped there. The nearest area below is 40008000-4000a000 "
               "(read, write), which ends 0 bytes before.\n"));
    CHECK(says("Most likely the program ran past the end of the area below."));
    CHECK(!space_write(AT(100), 1));
    CHECK(says("Most likely the pointer was never set, was overwritten, or points to memory "
               "that was freed."));
    CHECK_EQ(mspace_protect(ms, AT(8), PAGES(1), VMA_READ), 0);
    CHECK(!space_write(AT(8), 1));
    CHECK(says("read-only"));
    CHECK(says("Most likely a constant (a string literal, say) was written to."));
    CHECK_EQ(mspace_protect(ms, AT(8), PAGES(1), 0), 0);
    CHECK(!space_read(AT(8), &byte));
    CHECK(says("(no rights)"));
    CHECK(says("for this page, out of reach."));
    CHECK(says("The area grants no access at all: it is a guard, or its rights were taken away "
               "with mprotect."));
    CHECK_EQ(mspace_unmap(ms, AT(8), PAGES(2)), 0);
    CHECK(!space_read(AT(8) + 4, &byte));
    CHECK(says("The program itself unmapped this address shortly before: most likely memory was "
               "used after it was freed."));
    CHECK(!space_read(0xfffff000, &byte));
    CHECK(says("This address belongs to the kernel; programs have 00400000 to bfffffff."));
    CHECK_EQ(mspace_set_stack(ms, AT(600), PAGES(2), PAGES(64)), 0);
    CHECK(!space_write(AT(535), 1));
    CHECK(says("The stack is full: it may not grow below 40218000. Most likely a function calls "
               "itself without end, or has very large local variables."));
    CHECK_EQ(mspace_kill(ms, AT(0), PAGES(1)), 0);
    CHECK(!space_read(AT(0), &byte));
    CHECK(says("The area was taken away from the program and waits to be reclaimed."));
    CHECK_EQ(mspace_scavenge(ms), 1);
    space_map(ms, AT(8), PAGES(1), VMA_ANON | VMA_WRITE | VMA_EXEC);
    physical_fail_after(1);
    CHECK(!space_write(AT(8), 1));
    CHECK(says("(write, execute)"));
    CHECK(says("the machine has no free memory for the page."));
    file.error = -EIO;
    CHECK(!space_read(AT(1), &byte));
    CHECK(says("The page could not be read from its file or disk."));
    mspace_sweep(ms);
    inode_release(&file.ino);
    space_stop(ms);
}

TEST(fault_explain_what_is_not_the_programs_fault)
{
    mspace_t *ms = space_start("2level", 32);

    space_fault = (fault_t){ .address = AT(0), .reason = FAULT_KERNEL_BUG, .entry = 0x5000 };
    CHECK(says("The kernel, on behalf of the program, tried to read from address 40000000."));
    CHECK(says("The page table has a swapped-out page here."));
    CHECK(says("The page table and the processor disagree about this page."));
    space_fault.code = FAULT_RESERVED;
    CHECK(says("A reserved bit is set in a page table."));
    space_fault.reason = FAULT_RESOLVED;
    CHECK(says("there is nothing wrong."));
    space_fault.has_area = true;
    space_fault.area_end = USER_END;
    space_fault.area_flags = VMA_ANON | VMA_EXEC;
    CHECK(says("(execute)"));
    space_stop(ms);
}
