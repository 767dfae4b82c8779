#include "tests/host/buddy_check.h"

struct tally {
    uint64_t free, blocks[BUDDY_ORDERS];
    uint32_t owned[OWNER_COUNT];
};

static const char *check_block(const struct buddy *b, uint64_t f, struct tally *t)
{
    const struct frame *r = &b->frames[f];
    uint64_t pages = 1ull << r->order;
    if (r->order >= BUDDY_ORDERS || f % pages || f + pages > b->count)
        return "a block is misplaced";
    for (uint64_t i = 1; i < pages; i++)
        if (b->frames[f + i].state != FRAME_NONE)
            return "blocks overlap";
    if (r->state == FRAME_USED) {
        t->owned[r->owner % OWNER_COUNT] += (uint32_t)pages;
        return NULL;
    }
    t->free += pages;
    t->blocks[r->order]++;
    uint64_t other = f ^ pages;
    if (r->order < BUDDY_ORDERS - 1 && other < b->count && b->frames[other].state == FRAME_FREE &&
        b->frames[other].order == r->order)
        return "two free buddies did not merge";
    return NULL;
}

static const char *check_list(const struct buddy *b, unsigned order, uint64_t blocks)
{
    uint32_t prev = 0;
    for (uint32_t f = b->list[order]; f; prev = f, f = b->frames[f].next) {
        const struct frame *r = &b->frames[f];
        if (r->state != FRAME_FREE || r->order != order || r->prev != prev)
            return "a free list is broken";
        if (blocks-- == 0)
            return "a free list is too long";
    }
    if (blocks)
        return "a free block is on no list";
    if ((b->nonempty >> order & 1) != (b->list[order] != 0))
        return "the mask of lists is wrong";
    return NULL;
}

const char *buddy_check(const struct buddy *b)
{
    static struct tally t;
    t = (struct tally){0};
    for (uint64_t f = 0; f < b->count;) {
        const char *wrong = b->frames[f].state == FRAME_NONE ? NULL : check_block(b, f, &t);
        if (wrong)
            return wrong;
        f += b->frames[f].state == FRAME_NONE ? 1 : 1ull << b->frames[f].order;
    }
    if (t.free != b->free)
        return "the free count is wrong";
    if (b->promised > b->free)
        return "more is promised than free";
    for (unsigned order = 0; order < BUDDY_ORDERS; order++) {
        const char *wrong = check_list(b, order, t.blocks[order]);
        if (wrong)
            return wrong;
    }
    for (unsigned o = 0; o < OWNER_COUNT; o++)
        if (o != OWNER_CACHE && t.owned[o] != b->account[o].pages)
            return "an owner's account is wrong";
    return NULL;
}
