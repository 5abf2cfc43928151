// status: 139
// stderr: protect_none \(pid \d+\) .*SIGSEGV
/*
 * An area without rights keeps its place and gives no access.
 */
#include "user.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    char *memory = map_pages(2, PROT_NONE);

    check("not readable", !is_readable(memory));
    check("not writable", !is_writable(memory));
    show("its place is taken", map_at((size_t)memory, PAGE, PROT_RW,
                                      MAP_ANON_PRIVATE | MAP_FIXED_NOREPLACE, -1, 0));
    say("%d\n", *(volatile char *)memory);
    say("still alive\n");
    return 0;
}
