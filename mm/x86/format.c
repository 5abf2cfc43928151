/*
 * The formats for those who need one by name.
 */
#include "walk.h"

const paging_format_t format_2level = walk_2level;
const paging_format_t format_pae = walk_pae;
const paging_format_t format_long = walk_long;
