/*
 * The model of a space: an array with one element a page, changed page by page, that
 * shares nothing with mm/ but the flags. space_model.c takes steps, space_compare.c
 * holds the space against it.
 *
 * => include before libc's headers (host_test.h says why)
 */
#ifndef SPACE_MODEL_H
#define SPACE_MODEL_H

#include <space.h>

enum { MODEL_PAGES_MAX = 1024, MODEL_PROBES = 3, MODEL_FRAMES = 16 };

typedef enum resident { R_NONE, R_ZERO, R_PRIVATE, R_OBJECT, R_FOREIGN } resident_t;

typedef struct model_page {
    bool mapped;
    bool dead;
    bool shared;
    bool charged;
    bool no_reserve;
    bool grows;                 /* down */
    uint8_t rights;
    uint8_t capabilities;       /* as rights */
    int kind;
    size_t index;               /* VMA_FILE: page of the file; VMA_PHYS: frame */
    size_t below;               /* VMA_FILE: bytes below the limit, 0 .. PAGE_SIZE */
    resident_t resident;
    uint8_t value[MODEL_PROBES];
} model_page_t;

typedef struct model {
    mspace_t *mspace;
    size_t pages;
    model_page_t page[MODEL_PAGES_MAX];
    test_file_t *file;
    page_t frames;              /* VMA_PHYS areas show these MODEL_FRAMES frames */
    uint8_t frame_value[MODEL_FRAMES][MODEL_PROBES];
    size_t map_base;            /* page numbers from here on */
    size_t break_start;
    size_t break_end;
    size_t stack_base;          /* 0: no stack */
    size_t stack_end;
    size_t stack_limit;         /* pages an area may grow to */
    size_t resolved;            /* faults */
} model_t;

/* The bytes of a page that a model looks at, and their values; where the page is. */
extern const size_t model_probe_offset[MODEL_PROBES];
uint8_t *model_value(model_t *model, size_t page);
size_t model_vaddr(const model_t *model, size_t page);

/* A model of a new space of `pages` pages (its bounds are those of mspace). */
void model_init(model_t *model, mspace_t *mspace, size_t pages, test_file_t *file,
                page_t frames);

/* Whether page + 1 belongs to the area of this page. */
bool model_continues(const model_page_t *at, const model_page_t *next);

/* One random operation on both; fails the test where they differ. */
void model_step(model_t *model);

/* Compare all pages: entries, contents, counters, and the number of areas. */
void model_compare(model_t *model);

/* Lay out a stack and a break in both. */
void model_set_stack(model_t *model, size_t top, size_t length, size_t limit);
void model_set_break(model_t *model, size_t page);

#endif
