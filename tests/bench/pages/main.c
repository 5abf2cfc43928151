/*
 * Page traces through the real page allocator, a plain list and a binary buddy:
 * time for an operation, and how much memory is left in whole blocks.
 *
 * usage: pages BITS ROUNDS TRACE...     (unpacked traces; writes TSV)
 *        pages BITS ROUNDS order0|mixed ALLOCATOR TRACE     (for a profiler)
 *
 * Times are taken in turns, one allocator after the other, round by round; of
 * each replay the fastest round counts.
 */
#include <kernel/layout.h>
#include <kernel/panic.h>
#include <kernel/physical.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "baseline.h"
#include "machine.h"
#include "plan.h"

#define TIMED_FILL  50u
#define SEED_COUNT  4u
#define SEED        2463534242u     /* Marsaglia's */

/* A little more RAM than the plan wants: the frame table is in it. */
#define TABLE_ROOM(page_count) (((page_count) + RAM_BASE / PAGE_SIZE) / 512 + 1)

/* ---- the allocators as one interface */

static ALWAYS_INLINE page_t grove_alloc(unsigned order)
{
    if (order == 0)
        return alloc_physical_page(OWNER_ANON);
    return page_range((size_t)1 << order, (size_t)PAGE_SIZE << order, 0, OWNER_KERNEL);
}

static ALWAYS_INLINE int grove_free(page_t page, unsigned order)
{
    return order == 0 ? free_physical_page(page) : page_range_free(page, (size_t)1 << order);
}

static void grove_init(const boot_range_t *range)
{
    (void)range;            /* machine_start has done it */
}

static ALWAYS_INLINE page_t list_alloc_order(unsigned order)
{
    (void)order;
    return list_alloc();
}

static ALWAYS_INLINE int list_free_order(page_t page, unsigned order)
{
    (void)order;
    return list_free(page);
}

typedef page_t alloc_call_t(unsigned order);
typedef int free_call_t(page_t page, unsigned order);

/*
 * The loop that is timed; inlined once for each allocator, so that its calls are
 * direct. => how many operations failed
 */
static ALWAYS_INLINE size_t replay(const uint32_t *op, const uint32_t *end, page_t *held,
                                   bool mixed, alloc_call_t *alloc, free_call_t *give)
{
    size_t failed = 0;

    for (; op < end; op++) {
        unsigned order = mixed ? op_order(*op) : 0;
        page_t *place = &held[*op & OP_ID_MASK];

        if (*op & OP_ALLOC) {
            *place = alloc(order);
            failed += *place == PAGE_NONE;
        } else if (*place != PAGE_NONE) {
            failed += give(*place, order) != 0;
        }
    }
    return failed;
}

typedef size_t replay_call_t(const uint32_t *op, const uint32_t *end, page_t *held);

#define REPLAY(name, mixed, alloc, give) \
    static NOINLINE size_t name(const uint32_t *op, const uint32_t *end, page_t *held) \
    { \
        return replay(op, end, held, mixed, alloc, give); \
    }

REPLAY(replay_grove_0, false, grove_alloc, grove_free)
REPLAY(replay_grove, true, grove_alloc, grove_free)
REPLAY(replay_list_0, false, list_alloc_order, list_free_order)
REPLAY(replay_buddy_0, false, buddy_alloc, buddy_free)
REPLAY(replay_buddy, true, buddy_alloc, buddy_free)
REPLAY(replay_nothing_0, false, nothing_alloc, nothing_free)
REPLAY(replay_nothing, true, nothing_alloc, nothing_free)

typedef enum kind { GROVE, LIST, BUDDY, NOTHING, KINDS } kind_t;

static const struct allocator {
    const char *name;
    void (*init)(const boot_range_t *range);
    alloc_call_t *alloc;
    free_call_t *give;
    replay_call_t *replay[2];       /* order 0, mixed; NULL: cannot */
} allocators[KINDS] = {
    [GROVE] = { "grove", grove_init, grove_alloc, grove_free,
                { replay_grove_0, replay_grove } },
    [LIST] = { "list", list_init, list_alloc_order, list_free_order,
               { replay_list_0, NULL } },
    [BUDDY] = { "buddy", buddy_init, buddy_alloc, buddy_free,
                { replay_buddy_0, replay_buddy } },
    [NOTHING] = { "nothing", nothing_init, nothing_alloc, nothing_free,
                  { replay_nothing_0, replay_nothing } },
};

static const char *const orders_name[2] = { "order0", "mixed" };

/* ---- results */

/* One line. The reference is what the ratio is to; limit 0: none is asked for. */
static void print_row(const char *bits, const char *trace, bool mixed, const char *figure,
                      const double value[KINDS], kind_t reference, double limit)
{
    double ratio = value[reference] > 0 ? value[GROVE] / value[reference] : 1;
    double spent = value[reference] - value[NOTHING];

    printf("%s\t%s\t%s\t%s", bits, trace, orders_name[mixed], figure);
    for (kind_t kind = GROVE; kind < KINDS; kind++) {
        if (value[kind] < 0)
            printf("\tNA");
        else
            printf("\t%.2f", value[kind]);
    }
    printf("\t%.3f", ratio);
    if (value[NOTHING] > 0 && spent > 0)
        printf("\t%.3f", (value[GROVE] - value[NOTHING]) / spent);
    else
        printf("\tNA");
    if (limit > 0)
        printf("\t%.2f\t%s\n", limit, ratio <= limit ? "yes" : "NO");
    else
        printf("\tNA\tNA\n");
}

/* ---- time */

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/*
 * One turn: a new machine, all replays; best[] keeps the fastest of each.
 *
 * Each round has the stack elsewhere within its page: where its addresses meet
 * those of the pages' first bytes, in their low 12 bits, stores get in each
 * other's way, which is nobody's merit.
 */
static NOINLINE void time_turn(const struct allocator *allocator, const plan_t *plan,
                               bool mixed, unsigned round, page_t *held,
                               double best[PLAN_REPLAYS])
{
    void *volatile elsewhere = __builtin_alloca(64 + round * 272 % PAGE_SIZE);
    boot_range_t range = machine_start(plan->page_count + TABLE_ROOM(plan->page_count));
    const uint32_t *op = plan->op;

    (void)elsewhere;
    allocator->init(&range);
    memset(held, 0, plan->id_count * sizeof(*held));
    for (unsigned i = 0; i < PLAN_REPLAYS; i++) {
        const uint32_t *end = plan->op + plan->end[i];
        double start = now();
        size_t failed = allocator->replay[mixed](op, end, held);
        double spent = now() - start;

        if (failed != 0)
            panic("%s: %zu operations failed", allocator->name, failed);
        if (best[i] == 0 || spent < best[i])
            best[i] = spent;
        op = end;
    }
}

static void time_all(const char *bits, const char *name, const trace_t *trace, bool mixed,
                     unsigned rounds)
{
    plan_t *plan = plan_make(trace, TIMED_FILL, SEED);
    page_t *held = calloc(plan->id_count, sizeof(*held));
    double best[KINDS][PLAN_REPLAYS] = { 0 };
    double visits[KINDS] = { -1, -1, -1, -1 };
    double fresh[KINDS], aged[KINDS], all[KINDS];
    kind_t reference = mixed ? BUDDY : LIST;

    for (unsigned round = 0; round < rounds; round++) {
        for (kind_t kind = GROVE; kind < KINDS; kind++)
            if (allocators[kind].replay[mixed] != NULL) {
                time_turn(&allocators[kind], plan, mixed, round, held, best[kind]);
                if (kind == GROVE)
                    visits[GROVE] = (double)machine_visits;
            }
    }
    for (kind_t kind = GROVE; kind < KINDS; kind++) {
        double sum = 0;

        for (unsigned i = 0; i < PLAN_REPLAYS; i++)
            sum += best[kind][i];
        fresh[kind] = aged[kind] = all[kind] = -1;
        if (allocators[kind].replay[mixed] == NULL)
            continue;
        fresh[kind] = best[kind][0] / (double)plan->end[0];
        aged[kind] = (sum - best[kind][0]) / (double)(plan->count - plan->end[0]);
        all[kind] = sum / (double)plan->count;
    }
    print_row(bits, name, mixed, "ns_fresh", fresh, reference, 0);
    print_row(bits, name, mixed, "ns_aged", aged, reference, 0);
    print_row(bits, name, mixed, "ns_all", all, reference, mixed ? 0.85 : 1.10);
    visits[GROVE] *= 1000 / (double)plan->count;
    printf("%s\t%s\t%s\tvisits_per_1000\t%.2f\tNA\tNA\tNA\tNA\tNA\tNA\tNA\n", bits, name,
           orders_name[mixed], visits[GROVE]);
    plan_delete(plan);
    free(held);
}

/* ---- whole blocks */

typedef struct whole {
    double left[2];         /* of 2 MiB, of 4 MiB */
} whole_t;

static uint8_t used[(RAM_BASE + RAM_MAX) / PAGE_SIZE];

/* The block that an allocator handed out or takes back: in range, aligned, nobody else's. */
static void mark(const boot_range_t *range, page_t page, unsigned order, bool taken)
{
    size_t length = (size_t)PAGE_SIZE << order;

    if (page < range->base || page + length > range->end || (page & (length - 1)) != 0)
        panic("block %#zx of order %u is out of range or not aligned", page, order);
    for (size_t at = page; at < page + length; at += PAGE_SIZE) {
        if (used[at >> PAGE_SHIFT] == taken)
            panic("page %#zx is handed out twice or not at all", at);
        used[at >> PAGE_SHIFT] = taken;
    }
}

static size_t count_whole(const boot_range_t *range, size_t length)
{
    size_t whole = 0;

    for (size_t at = align_up((size_t)range->base, length); at + length <= range->end;
         at += length)
        whole += memchr(&used[at >> PAGE_SHIFT], 1, length >> PAGE_SHIFT) == NULL;
    return whole;
}

/* Replay with every page watched. => blocks whole after the first and the last; failures */
static size_t watch(const struct allocator *allocator, const plan_t *plan, whole_t *fresh,
                    whole_t *aged)
{
    boot_range_t range = machine_start(plan->page_count + TABLE_ROOM(plan->page_count));
    page_t *held = calloc(plan->id_count, sizeof(*held));
    size_t failed = 0;

    memset(used, 0, sizeof(used));
    allocator->init(&range);
    for (size_t i = 0; i < plan->count; i++) {
        uint32_t op = plan->op[i];
        page_t *place = &held[op & OP_ID_MASK];

        if (op & OP_ALLOC) {
            *place = allocator->alloc(op_order(op));
            if (*place != PAGE_NONE)
                mark(&range, *place, op_order(op), true);
            failed += *place == PAGE_NONE;
        } else if (*place != PAGE_NONE) {
            mark(&range, *place, op_order(op), false);
            if (allocator->give(*place, op_order(op)) != 0)
                panic("%s refuses its own block", allocator->name);
        }
        if (i + 1 == plan->end[0] || i + 1 == plan->count) {
            whole_t *whole = i + 1 == plan->count ? aged : fresh;

            whole->left[0] += (double)count_whole(&range, 2 * MIB) / SEED_COUNT;
            whole->left[1] += (double)count_whole(&range, 4 * MIB) / SEED_COUNT;
        }
    }
    free(held);
    return failed;
}

static void print_whole(const char *bits, const char *name, bool mixed, unsigned fill,
                        const char *when, size_t size, const double value[KINDS])
{
    char figure[64];
    bool as_many = value[GROVE] >= value[BUDDY];

    snprintf(figure, sizeof(figure), "whole_%zuM_fill%u_%s", size, fill, when);
    printf("%s\t%s\t%s\t%s\t%.2f\tNA\t%.2f\tNA\t%.3f\tNA\t1.00\t%s\n", bits, name,
           orders_name[mixed], figure, value[GROVE], value[BUDDY],
           value[BUDDY] > 0 ? value[GROVE] / value[BUDDY] : 1, as_many ? "yes" : "NO");
}

static void count_all(const char *bits, const char *name, const trace_t *trace, bool mixed)
{
    for (unsigned fill = 25; fill <= 75; fill += 25) {
        whole_t fresh[KINDS] = { 0 };
        whole_t aged[KINDS] = { 0 };
        size_t failed[KINDS] = { 0 };

        for (unsigned seed = 0; seed < SEED_COUNT; seed++) {
            plan_t *plan = plan_make(trace, fill, SEED + seed);

            failed[GROVE] += watch(&allocators[GROVE], plan, &fresh[GROVE], &aged[GROVE]);
            failed[BUDDY] += watch(&allocators[BUDDY], plan, &fresh[BUDDY], &aged[BUDDY]);
            plan_delete(plan);
        }
        for (unsigned i = 0; i < 2; i++) {
            print_whole(bits, name, mixed, fill, "fresh", 2 << i,
                        (double[KINDS]){ [GROVE] = fresh[GROVE].left[i],
                                         [BUDDY] = fresh[BUDDY].left[i] });
            print_whole(bits, name, mixed, fill, "aged", 2 << i,
                        (double[KINDS]){ [GROVE] = aged[GROVE].left[i],
                                         [BUDDY] = aged[BUDDY].left[i] });
        }
        if (failed[GROVE] != 0 || failed[BUDDY] != 0)
            printf("%s\t%s\t%s\tfailed_fill%u\t%zu\tNA\t%zu\tNA\tNA\tNA\tNA\tNA\n", bits, name,
                   orders_name[mixed], fill, failed[GROVE], failed[BUDDY]);
    }
}

/* ---- */

/* The name between the last slash and the first dot after it. */
static const char *short_name(const char *path)
{
    static char name[64];
    const char *slash = strrchr(path, '/');

    snprintf(name, sizeof(name), "%s", slash != NULL ? slash + 1 : path);
    name[strcspn(name, ".")] = '\0';
    return name;
}

/* Nothing but one allocator's replays, for a profiler. */
static int run_only(const char *which, bool mixed, unsigned rounds, const trace_t *trace)
{
    for (kind_t kind = GROVE; kind < KINDS; kind++) {
        if (strcmp(which, allocators[kind].name) == 0 && allocators[kind].replay[mixed]) {
            plan_t *plan = plan_make(trace, TIMED_FILL, SEED);
            page_t *held = calloc(plan->id_count, sizeof(*held));
            double best[PLAN_REPLAYS] = { 0 };

            while (rounds-- > 0)
                time_turn(&allocators[kind], plan, mixed, rounds, held, best);
            printf("%s %s: %.2f ns fresh\n", which, orders_name[mixed],
                   best[0] / (double)plan->end[0]);
            return 0;
        }
    }
    return 2;
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 0;

    if (argc < 4 || rounds == 0) {
        fputs("usage: pages BITS ROUNDS TRACE...\n"
              "       pages BITS ROUNDS order0|mixed ALLOCATOR TRACE\n", stderr);
        return 2;
    }
    machine_map_ram();
    for (unsigned mixed = 0; mixed < 2; mixed++)
        if (argc == 6 && strcmp(argv[3], orders_name[mixed]) == 0) {
            trace_t *trace = trace_load(argv[5]);

            return run_only(argv[4], mixed, rounds, mixed ? trace : trace_order_0(trace));
        }
    for (int i = 3; i < argc; i++) {
        const char *name = short_name(argv[i]);
        trace_t *whole = trace_load(argv[i]);
        trace_t *single = trace_order_0(whole);

        time_all(argv[1], name, single, false, rounds);
        time_all(argv[1], name, whole, true, rounds);
        count_all(argv[1], name, single, false);
        count_all(argv[1], name, whole, true);
        fflush(stdout);
    }
    return 0;
}
