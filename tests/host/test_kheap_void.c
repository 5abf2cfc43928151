/*
 * The heap that keeps voids, in a release build: 16 bytes on 64-bit; on 32-bit
 * none can come about.
 */
#include "kheap_cases.h"
#include "kheap_cache_cases.h"
#include "kheap_slab_cases.h"
#include "kheap_check_cases.h"
