/* The heap as the kernel builds it: NO_VOID, gap registries of four words. */
#include "kheap_segment_cases.h"
#include "kheap_cache_damage_cases.h"
#include "kheap_slab_realloc_cases.h"
#include "kheap_slab_damage_cases.h"
#include "kheap_damage_cases.h"
#include "kheap_full_quarantine_cases.h"
#include "kheap_full_damage_cases.h"
#include "kheap_leaks_cases.h"
