/*
 * Words that QEMU's user adds to the command line:
 * -fw_cfg name=opt/grove/append,string=WORDS
 */
#ifndef KERNEL_FW_CFG_H
#define KERNEL_FW_CFG_H

#include <kernel/types.h>

/*
 * Append those words, after a space, to a command line in a buffer.
 *
 * => 0: also when there are none, or this is not QEMU; -E2BIG: no room, buffer
 *    unchanged
 */
int fw_cfg_append_words(char *words, size_t size);

#endif
