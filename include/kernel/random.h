/*
 * Numbers that differ from one start to the next: for AT_RANDOM and getrandom.
 *
 * They come from the time-stamp counter. They are not secret: nothing that needs
 * cryptography may rest on them.
 */
#ifndef KERNEL_RANDOM_H
#define KERNEL_RANDOM_H

#include <stddef.h>

void random_fill(void *buffer, size_t length);

#endif
