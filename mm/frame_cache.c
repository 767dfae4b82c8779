#include "mm/frame_cache.h"
#include "arch/memory.h"
#include "arch/panic.h"
#include "arch/string.h"

void frame_cache_init(struct frame_cache *c, struct buddy *b)
{
    *c = (struct frame_cache){.buddy = b};
}

// The buddy's account of OWNER_CACHE lags behind by what was taken, so that taking touches no shared line.
static void square_account(struct frame_cache *c)
{
    __atomic_fetch_sub(&c->buddy->account[OWNER_CACHE].pages, c->charged - c->count, __ATOMIC_RELAXED);
    c->charged = c->count;
}

// A batch is one block as a rule: each run of neighbours is cleared in one go.
static void clear(const uint32_t *frame, unsigned count)
{
    for (unsigned i = 0, run; i < count; i += run) {
        for (run = 1; i + run < count && frame[i + run] == frame[i] + run;)
            run++;
        memset(pfn_to_virt(pfn(frame[i])), 0, (size_t)run * PAGE_SIZE);
    }
}

static void refill(struct frame_cache *c)
{
    uint32_t *to = &c->frame[c->count];
    square_account(c);
    unsigned got = buddy_alloc_batch(c->buddy, to, FRAME_CACHE_BATCH, OWNER_CACHE, c->redeemed);
    c->redeemed = 0;
    clear(to, got);
    c->count += got;
    c->charged = c->count;
}

pfn_t frame_cache_take_slow(struct frame_cache *c, uint16_t owner, bool promised)
{
    refill(c);
    if (c->count)
        return promised ? frame_cache_take_promised(c, owner) : frame_cache_take(c, owner);
    // Everything free is promised, and this page may be one of those; or allocations are counted.
    pfn_t f = promised ? buddy_alloc_promised(c->buddy, 0, owner) : buddy_alloc_or_fail(c->buddy, 0, owner);
    if (!pfn_is_none(f))
        memset(pfn_to_virt(f), 0, PAGE_SIZE);
    return f;
}

bool frame_cache_refill_idle(struct frame_cache *c)
{
    uint32_t before = c->count;
    if (before > FRAME_CACHE_MAX - FRAME_CACHE_BATCH)
        return false;
    refill(c);
    return c->count > before;
}

void frame_cache_flush(struct frame_cache *c)
{
    square_account(c);
    while (c->count) {
        enum error e = buddy_free(c->buddy, pfn(c->frame[--c->count]), OWNER_CACHE);
        assert(e == E_OK);
    }
    c->charged = 0;
    buddy_unreserve(c->buddy, c->redeemed);
    c->redeemed = 0;
}
