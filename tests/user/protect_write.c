/*
 * A page that was touched and lost its rights: the kernel reads it for the program no
 * more than the program itself may; with a right again its data is back.
 */
#include "user.h"

int main(int argc, char **argv)
{
    char *page = map_pages(1, PROT_RW);

    (void)argc, (void)argv;
    page[0] = '!';
    page[PAGE - 1] = '\n';
    show("mprotect", call(SYS_mprotect, page, PAGE, PROT_NONE));
    show("write of a byte", call(SYS_write, 1, page, 1));
    show("write of the last byte", call(SYS_write, 1, page + PAGE - 1, 1));
    show("read into it", call(SYS_getrandom, page, 1, 0));
    show("a path in it", call(SYS_access, page, 0));
    show("mprotect", call(SYS_mprotect, page, PAGE, PROT_READ));
    show("write of a byte", call(SYS_write, 1, page, 1));
    show("write of the last byte", call(SYS_write, 1, page + PAGE - 1, 1));
    show("read into it", call(SYS_getrandom, page, 1, 0));
    check("the data is there", page[0] == '!' && page[PAGE - 1] == '\n');
    show("mprotect", call(SYS_mprotect, page, PAGE, PROT_RW));
    page[1] = '?';
    show("write of two bytes", call(SYS_write, 1, page, 2));
    return 0;
}
