// enosys: 17 222 223 251 100000
// stderr: (?s)\A(?!.*call 222\b.*call 222\b).*call 222\b
/*
 * Calls that no Linux has: ENOSYS, and one line a number in the kernel's log.
 */
#include "user.h"

int main(int argc, char **argv)
{
    static const int numbers[] = { 17, 222, 223, 251, 222, 100000, 0x7fffffff, -1, -2 };

    (void)argc, (void)argv;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        say("%d", numbers[i]);
        show("", call(numbers[i], 1, 2, 3, 4, 5, 6));
    }
    return 0;
}
