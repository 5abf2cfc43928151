/*
 * The address space, in one place.
 *
 *  00000000 +-----------------------------------+
 *           | never mapped: NULL faults         |
 *  00001000 +-----------------------------------+
 *           | kernel image, boot structures,    |  virtual = physical,
 *           | low RAM                           |  supervisor, global
 *  00400000 +-----------------------------------+ USER_BASE
 *           | user mspace                       |  in the linear space:
 *           |                                   |  RAM, virtual = physical
 *  C0000000 +-----------------------------------+ SEGMENT_BASE
 *           | kernel segment: the kmalloc heap  |
 *  CFD00000 +-----------------------------------+ SEGMENT_SIDE_BASE
 *           | the heap's notes of its pages     |
 *  D0000000 +-----------------------------------+ FRAME_TABLE_BASE
 *           | frame table                       |
 *  D0800000 +-----------------------------------+ TABLE_WINDOW_BASE
 *           | page tables, one page each        |
 *  D4800000 +-----------------------------------+ DIRECTORY_WINDOW_BASE
 *           | top-level page tables             |
 *  D5000000 +-----------------------------------+ TEMPORARY_BASE
 *           | temporary slots                   |
 *  D5400000 +-----------------------------------+ KSPACE_BASE
 *           | kernel mspace: kmap, stacks       |
 *  DFE00000 +-----------------------------------+ GUARD_BASE
 *           | guarded buffers of the heap       |
 *  E0000000 +-----------------------------------+ DEVICE_BASE
 *           | devices, physical = virtual       |
 *  FFFFFFFF +-----------------------------------+
 *
 * On a 64-bit host the tests run the same layout; KERNEL_BIAS moves its kernel
 * part to addresses that a process can have. The walkers of the i386 formats
 * never look at those upper bits.
 */
#ifndef KERNEL_LAYOUT_H
#define KERNEL_LAYOUT_H

#include <assert.h>
#include <kernel/types.h>

#ifndef KERNEL_BIAS
#define KERNEL_BIAS 0
#endif

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096u
#define PAGE_MASK  (PAGE_SIZE - 1)

#define KIB 1024u
#define MIB (1024u * KIB)
#define GIB (1024u * MIB)

#define IMAGE_BASE  0x00100000u    /* where linker.ld puts the kernel */
#define LOW_END     0x00400000u    /* image and low RAM, mapped everywhere */
#define VIDEO_BASE  0x000a0000u    /* adapters and ROMs: mapped by kmap only */
#define VIDEO_END   0x00100000u

#define USER_BASE   0x00400000u
#define USER_END    0xc0000000u
#define MAP_BASE    0x40000000u    /* where a program's mappings begin */

/* RAM from here on is outside the linear space: counted, never used. */
#define LINEAR_END  0xc0000000u

#define KERNEL_BASE ((size_t)KERNEL_BIAS + 0xc0000000u)

#define SEGMENT_BASE          (KERNEL_BASE + 0x00000000u)
#define SEGMENT_END           (KERNEL_BASE + 0x0fd00000u)
#define SEGMENT_SIDE_BASE     (KERNEL_BASE + 0x0fd00000u)
#define SEGMENT_SIDE_END      (KERNEL_BASE + 0x10000000u)
#define FRAME_TABLE_BASE      (KERNEL_BASE + 0x10000000u)
#define FRAME_TABLE_END       (KERNEL_BASE + 0x10800000u)
#define TABLE_WINDOW_BASE     (KERNEL_BASE + 0x10800000u)
#define TABLE_WINDOW_END      (KERNEL_BASE + 0x14800000u)
#define DIRECTORY_WINDOW_BASE (KERNEL_BASE + 0x14800000u)
#define DIRECTORY_WINDOW_END  (KERNEL_BASE + 0x15000000u)
#define TEMPORARY_BASE        (KERNEL_BASE + 0x15000000u)
#define TEMPORARY_END         (KERNEL_BASE + 0x15400000u)
#define KSPACE_BASE           (KERNEL_BASE + 0x15400000u)
#define KSPACE_END            (KERNEL_BASE + 0x1fe00000u)
#define GUARD_BASE            (KERNEL_BASE + 0x1fe00000u)
#define GUARD_END             (KERNEL_BASE + 0x20000000u)
#define DEVICE_BASE           (KERNEL_BASE + 0x20000000u)
/* The end is 4 GiB, which a 32-bit size_t cannot hold: compare lengths. */
#define DEVICE_LENGTH         0x20000000u

static_assert(USER_BASE == LOW_END, "the user part begins above low RAM");
static_assert((LINEAR_END >> PAGE_SHIFT) * 7 <= FRAME_TABLE_END - FRAME_TABLE_BASE,
              "there is room for the frame table, and the blocks behind it");

#endif
