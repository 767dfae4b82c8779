#include "kernel/bench.h"
#include "arch/cpu.h"
#include "arch/log.h"
#include "mm/mm.h"

enum { RUNS = 64, ORDER_2M = 9, ASIDE = 16 };

static uint64_t alloc_ticks(pfn_t *f, unsigned order)
{
    uint64_t before = rdtsc().v;
    *f = buddy_alloc(&frames, order, OWNER_TEST);
    return rdtsc().v - before;
}

static uint64_t free_ticks(pfn_t f)
{
    uint64_t before = rdtsc().v;
    buddy_free(&frames, f, OWNER_TEST);
    return rdtsc().v - before;
}

static void sort(uint64_t *v, unsigned n)
{
    for (unsigned i = 1; i < n; i++)
        for (unsigned k = i; k > 0 && v[k - 1] > v[k]; k--) {
            uint64_t x = v[k];
            v[k] = v[k - 1];
            v[k - 1] = x;
        }
}

static void report(const char *name, const char *what, uint64_t *ticks)
{
    uint64_t sum = 0;
    sort(ticks, RUNS);
    for (unsigned i = 0; i < RUNS; i++)
        sum += ticks[i];
    log_info("bench %s-%s %lu ticks", name, what, ticks[RUNS / 4]);
    log_info("bench %s-%s-mean %lu ticks", name, what, sum / RUNS);
}

// RUNS blocks, all taken, then all given back in the same order: half of them need no cutting or merging, and the first
// figure is of these; the second is the mean of all. The list is empty at first, however the image's size left it; with
// `beside`, one block whose buddy is in use is on it while the others are given back.
static void measure(const char *name, unsigned order, bool beside)
{
    pfn_t f[RUNS], aside[ASIDE + 2];
    uint64_t taking[RUNS], giving[RUNS], begun = rdtsc().v, own = rdtsc().v - begun;
    unsigned n = 0, held = 0;
    while (frames.list[order] && held < ASIDE)
        aside[held++] = buddy_alloc(&frames, order, OWNER_TEST);
    for (unsigned i = 0; i < 2; i++) // buddies
        aside[held++] = buddy_alloc(&frames, order, OWNER_TEST);
    for (; n < RUNS; n++) {
        taking[n] = alloc_ticks(&f[n], order) - own;
        if (pfn_is_none(f[n]))
            break;
    }
    if (beside)
        buddy_free(&frames, aside[--held], OWNER_TEST);
    for (unsigned i = 0; i < n; i++)
        giving[i] = free_ticks(f[i]) - own;
    while (held > 0)
        buddy_free(&frames, aside[--held], OWNER_TEST);
    if (n < RUNS)
        return;
    if (!beside)
        report(name, "alloc", taking);
    report(name, "free", giving);
}

void bench_report(void)
{
    measure("buddy-4k", 0, false);
    measure("buddy-4k-beside", 0, true);
    measure("buddy-2m", ORDER_2M, false);
}
