// linux: no
// grove-run: --memory 8M
/*
 * So many areas that the kernel has no memory to note more of them: it says so and
 * changes nothing, and everything comes back.
 */
#include "user.h"

enum { PAGES = 400000 };

int main(int argc, char **argv)
{
    char *memory = map_pages(PAGES, PROT_NONE);
    unsigned count = 0;
    int result = 0;

    (void)argc, (void)argv;
    show("all pages that are needed later are here", -ENOMEM);
    check("like these", true);
    for (; count < PAGES && result == 0; count += 2)
        result = call(SYS_mprotect, memory + count * PAGE, PAGE, PROT_READ);
    show("in the end", result);
    check("there were thousands", count > 20000);
    show("once more", call(SYS_mprotect, memory + count * PAGE, PAGE, PROT_READ));
    show("all gone", call(SYS_munmap, memory, PAGES * PAGE));
    memory = map_pages(1000, PROT_RW);
    for (unsigned i = 0; i < 1000; i++)
        memory[i * PAGE] = 1;
    say("there is memory again\n");
    return 0;
}
