// linux: no
// enosys: 90
// stderr: system call 90 with MAP_GROWSDOWN is not there
/*
 * What Grove does not do yet is logged as the call that the program made.
 */
#include "user.h"

int main(int argc, char **argv)
{
    uint32_t words[6] = { 0, PAGE, PROT_RW, MAP_ANON_PRIVATE | 0x100, (uint32_t)-1, 0 };

    (void)argc, (void)argv;
    show("old mmap, MAP_GROWSDOWN", call(SYS_old_mmap, words));
    return 0;
}
