/*
 * The formats for those who need one by name.
 */
#include "walk.h"

const paging_format_t format_2level = FORMAT_2LEVEL;
const paging_format_t format_pae = FORMAT_PAE;
const paging_format_t format_long = FORMAT_LONG;
