// Zeroed frames, kept by each processor for first touches: taken without a lock, refilled from the buddy by
// blocks of 16. Every frame in here is all zero and charged to OWNER_CACHE.
// Locking: none. A cache is used by its own processor only.
#pragma once
#include "mm/buddy.h"

enum { FRAME_CACHE_BATCH = 16, FRAME_CACHE_MAX = 64 };

struct frame_cache {
    struct buddy *buddy;
    uint32_t count;                  // frames in here, zeroed
    uint32_t charged;                // what OWNER_CACHE is charged for them: `count` before some left
    uint32_t redeemed;               // promises met from here, which the buddy does not know of yet
    uint32_t frame[FRAME_CACHE_MAX]; // page frame numbers
};

void frame_cache_init(struct frame_cache *c, struct buddy *b);

// Slow paths of the inlines below.
pfn_t frame_cache_take_slow(struct frame_cache *c, uint16_t owner, bool promised) noinline_cold;

// Takes the frame on top for `owner`. The cache is not empty.
static inline pfn_t frame_cache_pop(struct frame_cache *c, uint16_t owner)
{
    uint32_t f = c->frame[--c->count];
    c->buddy->frames[f].owner = owner;
    __atomic_fetch_add(&c->buddy->account[owner].pages, 1, __ATOMIC_RELAXED);
    return pfn(f);
}

// A zeroed frame for `owner`, who holds a promise for it: cannot fail while promises are kept.
static inline pfn_t frame_cache_take_promised(struct frame_cache *c, uint16_t owner)
{
    if (unlikely(c->count == 0))
        return frame_cache_take_slow(c, owner, true);
    c->redeemed++;
    return frame_cache_pop(c, owner);
}

// The same without a promise: PFN_NONE when the box is out of memory.
static inline pfn_t frame_cache_take(struct frame_cache *c, uint16_t owner)
{
    if (unlikely(c->count == 0))
        return frame_cache_take_slow(c, owner, false);
    return frame_cache_pop(c, owner);
}

// One batch while there is nothing better to do: about 9,000 instructions. Returns whether it did something.
bool frame_cache_refill_idle(struct frame_cache *c);

// Gives every frame back and squares the account.
void frame_cache_flush(struct frame_cache *c);

// The cache of the processor this runs on.
#ifdef MICRONOVA_HOST
extern _Thread_local struct frame_cache *host_frame_cache; // the test lets each thread be a processor
static inline struct frame_cache *frame_cache_here(void)
{
    return host_frame_cache;
}
#else
#include "arch/pcpu.h"
static inline struct frame_cache *frame_cache_here(void)
{
    return this_pcpu()->frames;
}
#endif
