/* The heap as the kernel builds it: NO_VOID, gap registries of four words. */
#include "kheap_cases.h"
#include "kheap_cache_cases.h"
#include "kheap_slab_cases.h"
#include "kheap_check_cases.h"
