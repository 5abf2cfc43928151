/*
 * The heap that keeps voids, in a release build: 16 bytes on 64-bit; on 32-bit
 * none can come about.
 */
#include "kheap_segment_cases.h"
#include "kheap_cache_damage_cases.h"
#include "kheap_slab_realloc_cases.h"
#include "kheap_slab_damage_cases.h"
#include "kheap_damage_cases.h"
#include "kheap_full_quarantine_cases.h"
#include "kheap_full_damage_cases.h"
#include "kheap_leaks_cases.h"
