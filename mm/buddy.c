#include "mm/buddy.h"
#include "arch/panic.h"
#include "arch/string.h"

void buddy_init(struct buddy *b, struct frame *records, uint64_t count)
{
    memset(b, 0, sizeof(*b));
    b->frames = records;
    b->count = count;
    b->batch_max = BUDDY_BATCH_MAX;
}

// ---- Free lists: doubly linked through the records, 0 ends a list ----

// `r`: the record of `f`.
static inline void push(struct buddy *b, struct frame *r, uint32_t f, unsigned order)
{
    uint32_t next = b->list[order];
    r->next = next;
    r->prev = 0;
    r->kind = frame_kind(FRAME_FREE, order);
    if (next)
        b->frames[next].prev = f;
    else
        b->nonempty |= 1u << order;
    b->list[order] = f;
}

static inline void unlink(struct buddy *b, struct frame *r, unsigned order)
{
    if (r->next)
        b->frames[r->next].prev = r->prev;
    if (r->prev)
        b->frames[r->prev].next = r->next;
    else if (!(b->list[order] = r->next))
        b->nonempty &= ~(1u << order);
}

// ---- Blocks, under the lock ----

// Puts a block on its list, merged with its buddies as far as they are free.
static inline void insert(struct buddy *b, uint32_t f, unsigned order)
{
    for (; order < BUDDY_ORDERS - 1; order++) {
        uint32_t other = f ^ 1u << order;
        struct frame *r = &b->frames[other];
        if (other >= b->count || r->kind != frame_kind(FRAME_FREE, order))
            break;
        unlink(b, r, order);
        b->frames[f | other].state = FRAME_NONE; // the upper of the two is now inside the bigger block
        f &= other;
    }
    push(b, &b->frames[f], f, order);
}

// Takes a block off the lists, the smallest that fits, and cuts it down; 0: none. Promises are the caller's.
static inline uint32_t take(struct buddy *b, unsigned order, uint16_t owner)
{
    uint32_t fitting = b->nonempty & ~0u << order;
    if (unlikely(!fitting))
        return 0;
    unsigned k = (unsigned)__builtin_ctz(fitting);
    uint32_t f = b->list[k];
    struct frame *r = &b->frames[f];
    if ((b->list[k] = r->next))
        b->frames[r->next].prev = 0;
    else
        b->nonempty &= ~(1u << k);
    while (k-- > order)
        push(b, r + (1u << k), f + (1u << k), k);
    r->owner = owner;
    r->kind = frame_kind(FRAME_USED, order);
    b->free -= 1u << order;
    return f;
}

static void charge(struct buddy *b, uint16_t owner, uint32_t pages)
{
    __atomic_fetch_add(&b->account[owner].pages, pages, __ATOMIC_RELAXED);
}

// The head of the block that frame `f` lies in, f itself or lower; 0: in none.
static uint32_t head_of(const struct buddy *b, uint32_t f)
{
    for (unsigned order = 0; order < BUDDY_ORDERS; order++) {
        uint32_t head = f & ~0u << order;
        const struct frame *r = &b->frames[head];
        if (r->state != FRAME_NONE)
            return r->order >= order ? head : 0;
    }
    return 0;
}

// Why `f` cannot be freed by `owner`: the sentence for a mistake, off the fast path.
static noinline_cold enum error blame(const struct buddy *b, uint64_t f)
{
    uint32_t head = f < b->count ? head_of(b, (uint32_t)f) : 0;
    if (!head)
        return E_FOREIGN;
    if (b->frames[head].state == FRAME_FREE)
        return E_DOUBLE_FREE;
    return head == f ? E_FOREIGN : E_INVALID;
}

static bool is_owned_block(const struct buddy *b, pfn_t f, uint16_t owner)
{
    return f.v < b->count && b->frames[f.v].state == FRAME_USED && b->frames[f.v].owner == owner;
}

// ---- Interface ----

static seldom enum error check_new(const struct buddy *b, pfn_t first, pfn_t end)
{
    if (first.v == 0 || first.v >= end.v || end.v > b->count)
        return E_INVALID;
    if (head_of(b, (uint32_t)first.v) || head_of(b, (uint32_t)end.v - 1))
        return E_DOUBLE_FREE;
    return E_OK;
}

seldom enum error buddy_add(struct buddy *b, pfn_t first, pfn_t end)
{
    lock_take(&b->lock);
    enum error e = check_new(b, first, end);
    for (uint64_t f = first.v; e == E_OK && f < end.v;) {
        unsigned aligned = (unsigned)__builtin_ctzll(f), fits = 63u - (unsigned)__builtin_clzll(end.v - f);
        unsigned order = aligned < fits ? aligned : fits;
        if (order > BUDDY_ORDERS - 1)
            order = BUDDY_ORDERS - 1;
        insert(b, (uint32_t)f, order);
        f += 1ull << order;
    }
    if (e == E_OK) {
        b->total += end.v - first.v;
        b->free += end.v - first.v;
    }
    lock_release(&b->lock);
    return e;
}

// A larger block has to be cut, or there is none. The lock is held, and released here.
static __attribute__((noinline)) pfn_t alloc_slow(struct buddy *b, unsigned order, uint16_t owner, bool may)
{
    uint32_t f = may ? take(b, order, owner) : 0;
    lock_release(&b->lock);
    if (!f)
        return PFN_NONE;
    charge(b, owner, 1u << order);
    return pfn(f);
}

pfn_t buddy_alloc(struct buddy *b, unsigned order, uint16_t owner)
{
    if (unlikely(order >= BUDDY_ORDERS))
        return PFN_NONE;
    uint32_t pages = 1u << order;
    lock_take(&b->lock);
    uint32_t f = b->list[order];
    bool may = b->free - b->promised >= pages;
    if (unlikely(!f || !may))
        return alloc_slow(b, order, owner, may);
    struct frame *r = &b->frames[f];
    unlink(b, r, order);
    r->owner = owner;
    r->kind = frame_kind(FRAME_USED, order);
    b->free -= pages;
    lock_release(&b->lock);
    charge(b, owner, pages);
    return pfn(f);
}

pfn_t buddy_alloc_promised(struct buddy *b, unsigned order, uint16_t owner)
{
    uint32_t pages = 1u << order;
    if (order && buddy_fails(b, owner))
        return PFN_NONE;
    lock_take(&b->lock);
    assert(b->promised >= pages && b->free >= b->promised);
    uint32_t f = take(b, order, owner);
    if (f)
        b->promised -= pages;
    lock_release(&b->lock);
    if (!f)
        return PFN_NONE;
    charge(b, owner, pages);
    return pfn(f);
}

// One block of 2^order pages, its pages allocated one by one.
static unsigned take_pages(struct buddy *b, uint32_t *to, unsigned order, uint16_t owner)
{
    uint32_t f = take(b, order, owner);
    if (!f)
        return 0;
    unsigned pages = 1u << order;
    struct frame *r = &b->frames[f];
    for (unsigned i = 0; i < pages; i++, r++) {
        r->owner = owner;
        r->kind = frame_kind(FRAME_USED, 0);
        to[i] = f + i;
    }
    return pages;
}

unsigned buddy_alloc_batch(struct buddy *b, uint32_t *to, unsigned n, uint16_t owner, uint64_t redeem)
{
    unsigned got = 0;
    lock_take(&b->lock);
    assert(b->promised >= redeem);
    b->promised -= redeem;
    n = (unsigned)min_u64(min_u64(n, b->free - b->promised), b->batch_max);
    for (unsigned order = 4; got < n;) {
        unsigned more = 1u << order <= n - got ? take_pages(b, to + got, order, owner) : 0;
        if (!more)
            order--; // ends at 0: there are n pages, so single ones never run out
        got += more;
    }
    lock_release(&b->lock);
    charge(b, owner, got);
    return got;
}

// It is not the owner's to free, or it merges. The lock is held, and released here.
static __attribute__((noinline)) enum error free_slow(struct buddy *b, pfn_t f, uint16_t owner, bool promise)
{
    enum error e = is_owned_block(b, f, owner) ? E_OK : blame(b, f.v);
    unsigned order = e == E_OK ? b->frames[f.v].order : 0;
    if (e == E_OK) {
        b->free += 1u << order;
        b->promised += promise ? 1u << order : 0;
        insert(b, (uint32_t)f.v, order);
    }
    lock_release(&b->lock);
    if (e == E_OK)
        charge(b, owner, -(1u << order));
    return e;
}

enum error buddy_free(struct buddy *b, pfn_t f, uint16_t owner)
{
    struct frame *r = &b->frames[f.v];
    lock_take(&b->lock);
    if (unlikely(f.v >= b->count || r->state != FRAME_USED || r->owner != owner))
        return free_slow(b, f, owner, false);
    unsigned order = r->order;
    uint32_t pages = 1u << order;
    uint64_t other = f.v ^ pages;
    if (other >= b->count || b->frames[other].kind == frame_kind(FRAME_FREE, order))
        return free_slow(b, f, owner, false);
    b->free += pages;
    push(b, r, (uint32_t)f.v, order);
    lock_release(&b->lock);
    __atomic_fetch_sub(&b->account[owner].pages, pages, __ATOMIC_RELAXED);
    return E_OK;
}

seldom enum error buddy_free_promised(struct buddy *b, pfn_t f, uint16_t owner)
{
    lock_take(&b->lock);
    return free_slow(b, f, owner, true);
}

seldom enum error buddy_split(struct buddy *b, pfn_t f, unsigned order, uint16_t owner)
{
    lock_take(&b->lock);
    bool ok = is_owned_block(b, f, owner);
    enum error e = ok ? E_OK : blame(b, f.v);
    for (uint32_t i = 0, n = ok ? 1u << b->frames[f.v].order : 0; i < n; i += 1u << order)
        b->frames[f.v + i] = (struct frame){.owner = owner, .state = FRAME_USED, .order = (uint8_t)order};
    lock_release(&b->lock);
    return e;
}

// Blocks of 2^part pages from `r` to `end`, of `owner` and not lent.
static bool are_parts(const struct frame *r, const struct frame *end, unsigned part, uint16_t owner)
{
    for (uint16_t kind = frame_kind(FRAME_USED, part); r < end; r += 1u << part)
        if (r->kind != kind || r->owner != owner || r->lent != LENT_NOT)
            return false;
    return true;
}

enum error buddy_join(struct buddy *b, pfn_t f, unsigned order, unsigned part, uint16_t owner)
{
    struct frame *r = &b->frames[f.v];
    uint32_t pages = 1u << order;
    lock_take(&b->lock);
    bool ok = f.v % pages == 0 && f.v + pages <= b->count && are_parts(r, r + pages, part, owner);
    if (ok) {
        for (struct frame *inside = r + (1u << part); inside < r + pages; inside += 1u << part)
            *inside = (struct frame){.state = FRAME_NONE};
        r->order = (uint8_t)order;
    }
    lock_release(&b->lock);
    return ok ? E_OK : E_INVALID;
}

seldom enum error buddy_reserve(struct buddy *b, uint64_t pages)
{
    lock_take(&b->lock);
    bool ok = pages <= b->free - b->promised;
    if (ok)
        b->promised += pages;
    lock_release(&b->lock);
    return ok ? E_OK : E_NO_MEMORY;
}

seldom void buddy_unreserve(struct buddy *b, uint64_t pages)
{
    lock_take(&b->lock);
    assert(pages <= b->promised);
    b->promised -= pages;
    lock_release(&b->lock);
}

uint64_t buddy_available(struct buddy *b)
{
    lock_take(&b->lock);
    uint64_t pages = b->free - b->promised;
    lock_release(&b->lock);
    return pages;
}
