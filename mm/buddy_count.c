// Counts of blocks by order, over all records: for the report and for the check that all memory came back.
#include "arch/string.h"
#include "mm/buddy.h"

static uint64_t pages_at(const struct buddy *b, uint64_t f)
{
    return b->frames[f].state == FRAME_NONE ? 1 : 1ull << b->frames[f].order;
}

static void count_free(const struct buddy *b, uint32_t *blocks)
{
    for (unsigned order = 0; order < BUDDY_ORDERS; order++)
        for (uint32_t f = b->list[order]; f; f = b->frames[f].next)
            blocks[order]++;
}

static void count_used(const struct buddy *b, uint16_t owner, uint32_t *blocks)
{
    for (uint64_t f = 0; f < b->count; f += pages_at(b, f))
        if (b->frames[f].state == FRAME_USED && b->frames[f].owner == owner)
            blocks[b->frames[f].order]++;
}

seldom void buddy_count_blocks(struct buddy *b, uint16_t owner, uint32_t blocks[BUDDY_ORDERS])
{
    memset(blocks, 0, BUDDY_ORDERS * sizeof *blocks);
    lock_take(&b->lock);
    if (owner == OWNER_NONE)
        count_free(b, blocks);
    else
        count_used(b, owner, blocks);
    lock_release(&b->lock);
}

// The frames [f, end) in the largest blocks that alignment allows, which is how they end up when merged.
static void cut(uint64_t f, uint64_t end, uint32_t *blocks)
{
    while (f < end) {
        unsigned order = 0;
        while (order < BUDDY_ORDERS - 1 && f % (2ull << order) == 0 && f + (2ull << order) <= end)
            order++;
        blocks[order]++;
        f += 1ull << order;
    }
}

seldom void buddy_count_at_rest(struct buddy *b, uint16_t keeper, uint32_t blocks[BUDDY_ORDERS])
{
    uint64_t run = 0; // where the run of frames began that would be free
    memset(blocks, 0, BUDDY_ORDERS * sizeof *blocks);
    lock_take(&b->lock);
    for (uint64_t f = 0; f < b->count; f += pages_at(b, f)) {
        const struct frame *r = &b->frames[f];
        if (r->state == FRAME_FREE || (r->state == FRAME_USED && r->owner != keeper))
            continue;
        cut(run, f, blocks);
        run = f + pages_at(b, f);
    }
    cut(run, b->count, blocks);
    lock_release(&b->lock);
}
