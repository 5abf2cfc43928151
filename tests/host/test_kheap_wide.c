/* The heap that keeps voids, with gap registries as large as the documents': voids everywhere. */
#include "kheap_cases.h"
#include "kheap_cache_cases.h"
#include "kheap_slab_cases.h"
#include "kheap_check_cases.h"
