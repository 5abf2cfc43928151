/*
 * clone with the flags of a fork: ids that are written, a stack of its own.
 */
#include "fork.h"

enum {
    CLONE_PARENT_SETTID = 0x00100000,
    CLONE_CHILD_CLEARTID = 0x00200000,
    CLONE_CHILD_SETTID = 0x01000000,
};

static volatile int parent_tid, child_tid;
static char stack[4 * PAGE];

int clone_on_stack(int flags, void *top, int (*run)(void));
__asm__(
    ".text\n"
    "clone_on_stack:\n"
    "    push %ebx\n"
    "    mov $120, %eax\n"
    "    mov 8(%esp), %ebx\n"
    "    mov 12(%esp), %ecx\n"
    "    mov 16(%esp), %edx\n"          /* the parent's tid is not asked for */
    "    int $0x80\n"
    "    test %eax, %eax\n"
    "    jnz 1f\n"
    "    call *%edx\n"
    "    mov %eax, %ebx\n"
    "    mov $1, %eax\n"
    "    int $0x80\n"
    "1:  pop %ebx\n"
    "    ret\n");

static int on_stack(void)
{
    char here;

    return &here >= stack && &here < stack + sizeof stack ? 33 : 1;
}

int main(int argc, char **argv)
{
    int flags = CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD;
    int pid = call(SYS_clone, flags, 0, &parent_tid, 0, &child_tid);

    (void)argc, (void)argv;
    if (pid == 0)
        leave(child_tid == call(SYS_getpid) && parent_tid == 0 ? 21 : 1);
    check("the parent's copy", parent_tid == pid);
    check("the child's is not the parent's", child_tid == 0);
    say_end("a child by clone", pid);
    pid = call(SYS_clone, flags, 0, 16, 0, 16);
    if (pid == 0)
        leave(22);
    say_end("ids to nowhere", pid);
    pid = clone_on_stack(SIGCHLD, stack + sizeof stack, on_stack);
    say_end("a stack of its own", pid);
    pid = call(SYS_fork);
    if (pid == 0)
        leave(is_error(call(SYS_getpid)) ? 1 : 23);
    say_end("fork", pid);
    return 0;
}
