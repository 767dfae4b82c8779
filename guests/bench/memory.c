// The balloon and the dirty log. The machine has 8 MiB and a balloon of 1 GiB behind them.
#include "guests/bench/bench.h"

enum {
    PAGES_GIB = 262144,
    TOUCHED = 1024,
    PATIENCE = 100000,
    TAKES = 128,
    LOG_WORDS = 256,
    PAGE_BYTES = 4096
};

static uint64_t bits[LOG_WORDS];

static sword_t memory(enum memory_op op, word_t a, word_t b, word_t c)
{
    return hypercall(HC_MEMORY, op, a, b, c, (word_t)bits);
}

// Ticks a page, `batch` pages a call.
static uint64_t ticks_a_page(enum memory_op op, word_t first, word_t batch)
{
    uint64_t sum = 0;
    for (word_t done = 0; done < TAKES; done += batch) {
        uint64_t before = rdtsc();
        sword_t n = memory(op, first + done, batch, 0);
        sum += rdtsc() - before;
        if (n != (sword_t)batch)
            print("bench: %lu pages of %lu: %ld\n", (unsigned long)done, (unsigned long)batch, (long)n);
        for (unsigned i = 0; i < 4; i++)
            yield(); // what is left for later is not measured, nor in the way
    }
    return sum / TAKES;
}

// The log of [first, first + pages), however many calls it takes.
static uint64_t ticks_log(word_t me, word_t first, word_t pages)
{
    uint64_t before = rdtsc();
    for (word_t done = 0; done < pages;) {
        sword_t n = memory(LOG_READ, me, first + done, pages - done);
        if (n <= 0)
            return 0;
        done += (word_t)n;
    }
    return rdtsc() - before;
}

void measure_memory(const struct start_info *start)
{
    word_t me = start->vm_id, balloon = start->mem_bytes / PAGE_BYTES, touched = balloon - TOUCHED;
    for (unsigned i = 0;
         i < PATIENCE && memory(BALLOON_FIGURE, BALLOON_TARGET, 0, 0) < (sword_t)balloon + TAKES; i++)
        yield();
    memory(BALLOON_TAKE, balloon + 500, 1, 0); // the page table
    report("balloon-take", ticks_a_page(BALLOON_TAKE, balloon, 16), "ticks");
    report("balloon-give", ticks_a_page(BALLOON_GIVE, balloon, 32), "ticks");
    for (word_t page = touched; page < balloon; page++)
        *(volatile uint8_t *)(page * PAGE_BYTES) = 1;
    memory(LOG_START, me, 0, 0);
    ticks_log(me, touched, TOUCHED);
    ticks_log(me, balloon, PAGES_GIB);
    report("dirty-read", ticks_log(me, balloon, PAGES_GIB), "ticks");
    // Where flags of leaves are looked at, it matters whether they are there: of 4 MiB that are, made up to 1 GiB.
    report("dirty-read-bits", ticks_log(me, touched, TOUCHED) * (PAGES_GIB / TOUCHED), "ticks");
}
