// Large leaves: a slot backed at once, splitting, putting together, rights of pages.
// A large leaf maps one block of the buddy. Once a region of 2 MiB or 1 GiB has a table it keeps it, for processors may
// have cached it and guest_peek() may know it: while a large leaf stands in its place, the record of the block's second
// frame, of the third for 1 GiB, which the buddy has no use for, says where it is.
#include "arch/panic.h"
#include "arch/string.h"
#include "mm/mm.h"
#include "mm/space_impl.h"

enum { REGION = 512, ORDER = 9 }; // pages of a 2-MiB leaf, and parts of any large one

static uint64_t pages_of(unsigned level)
{
    return 1ull << 9 * level;
}

static uint32_t *spare_of(pfn_t block, unsigned level)
{
    return &frames.frames[block.v + level].next;
}

pfn_t large_spare(pfn_t block, enum ept_level level)
{
    uint32_t spare = *spare_of(block, level);
    return spare ? pfn(spare) : PFN_NONE;
}

uint64_t space_leaf_pages(struct space *s, gfn_t page)
{
    unsigned level;
    lock_take(&s->lock);
    bool there = *ept_find(&s->ept, gfn_to_gpa(page), &level) & EPT_RIGHTS;
    lock_release(&s->lock);
    return there ? pages_of(level) : 0;
}

// ---- Backing a slot at once ----

// No table below stands there, so that nothing of it is backed and all of it promised.
static bool fits(struct space *s, const struct slot *t, uint64_t gfn, unsigned level)
{
    uint64_t pages = pages_of(level);
    unsigned free_level;
    if (!ept_level_is_there((enum ept_level)level) || gfn % pages || t->first + t->pages - gfn < pages)
        return false;
    bool there = *ept_find(&s->ept, gpa(gfn << PAGE_SHIFT), &free_level) & EPT_RIGHTS;
    return !there && free_level >= level;
}

// A large leaf for promised pages; false: there is no such block, or memory types differ in it.
static bool populate_large(struct space *s, const struct slot *t, uint64_t gfn, unsigned level)
{
    uint64_t pages = pages_of(level);
    pfn_t f = fits(s, t, gfn, level) ? buddy_alloc_promised(&frames, 9 * level, s->owner) : PFN_NONE;
    if (pfn_is_none(f))
        return false;
    memset(pfn_to_virt(f), 0, pages * PAGE_SIZE);
    *spare_of(f, level) = 0;
    uint64_t bits = dirty_leaf(t, t->flags & SLOT_RAM);
    if (ept_map(&s->ept, gpa(gfn << PAGE_SHIFT), pfn_to_hpa(f), (enum ept_level)level, bits) == E_OK) {
        s->promised -= pages;
        return true;
    }
    enum error e = buddy_free_promised(&frames, f, s->owner);
    assert(e == E_OK);
    return false;
}

static uint64_t populate(struct space *s, const struct slot *t, uint64_t gfn)
{
    for (unsigned level = EPT_1G; level > EPT_4K; level--)
        if (populate_large(s, t, gfn, level))
            return pages_of(level);
    space_back(s, t, gfn);
    return 1;
}

void space_populate(struct space *s, gfn_t page)
{
    lock_take(&s->lock);
    const struct slot *t = slot_of(s, page.v);
    for (uint64_t gfn = t->first; gfn < t->first + t->pages;)
        gfn += populate(s, t, gfn);
    lock_release(&s->lock);
}

// ---- Splitting and putting together ----

static pfn_t frame_of(uint64_t entry)
{
    return pfn((entry & EPT_ADDRESS) >> PAGE_SHIFT);
}

static void unfold(struct space *s, uint64_t *entry, unsigned level, pfn_t table)
{
    enum error e = buddy_split(&frames, frame_of(*entry), ORDER * (level - 1), s->owner);
    assert(e == E_OK);
    ept_split_leaf(entry, level, table);
}

void large_unfold(struct space *s, uint64_t *entry, enum ept_level level)
{
    unfold(s, entry, level, large_spare(frame_of(*entry), level));
}

// A table for what a leaf covers that never had one: no table in it has been kept either.
static pfn_t first_table(struct space *s, pfn_t f, unsigned level)
{
    pfn_t table = space_take_table(&s->ept);
    if (pfn_is_none(table))
        return PFN_NONE;
    s->ept.tables++;
    for (uint64_t i = 0; level == EPT_1G && i < pages_of(level); i += REGION)
        *spare_of(pfn(f.v + i), EPT_2M) = 0;
    return table;
}

static enum error split_once(struct space *s, uint64_t *entry, unsigned level)
{
    pfn_t f = frame_of(*entry), table = large_spare(f, level);
    if (frames.frames[f.v].lent != LENT_NOT)
        return E_EXISTS;
    if (pfn_is_none(table))
        table = first_table(s, f, level);
    if (pfn_is_none(table))
        return E_NO_MEMORY;
    unfold(s, entry, level, table);
    return E_OK;
}

enum error space_split(struct space *s, uint64_t gfn, enum ept_level to)
{
    enum error e = E_OK;
    unsigned level;
    for (;;) {
        uint64_t *entry = ept_find(&s->ept, gpa(gfn << PAGE_SHIFT), &level);
        if (level <= (unsigned)to || e != E_OK)
            return e;
        e = split_once(s, entry, level);
    }
}

// The frames become one block, or nothing happens.
bool space_merge(struct space *s, const struct slot *t, uint64_t gfn, enum ept_level level)
{
    uint64_t pages = pages_of(level), first = gfn / pages * pages;
    gpa_t at = gpa(first << PAGE_SHIFT);
    if (first < t->first || first + pages > t->first + t->pages)
        return false;
    uint64_t leaf = ept_sum(&s->ept, at, level);
    pfn_t f = frame_of(leaf);
    if (!leaf || buddy_join(&frames, f, ORDER * level, ORDER * (level - 1u), s->owner) != E_OK)
        return false;
    *spare_of(f, level) = (uint32_t)ept_merge(&s->ept, at, level, leaf).v;
    return true;
}

// ---- Rights ----

enum { RIGHTS_BUDGET = 8000, COST_SET = 200, COST_BACK = 600 }; // instructions

static bool is_whole_leaf(struct space *s, uint64_t gfn, uint64_t pages)
{
    unsigned level;
    uint64_t entry = *ept_find(&s->ept, gpa(gfn << PAGE_SHIFT), &level);
    return level == EPT_2M && entry & EPT_RIGHTS && pages == REGION;
}

static enum error set_page(struct space *s, struct slot *t, uint64_t gfn, uint64_t bits)
{
    const uint64_t *entry = space_back(s, t, gfn);
    if (!entry)
        return E_BAD_ADDRESS;
    enum error e = *entry & EPT_LARGE ? space_split(s, gfn, EPT_4K) : E_OK;
    if (e == E_OK)
        e = ept_protect(&s->ept, gpa(gfn << PAGE_SHIFT), bits);
    return e;
}

// Pages of one region, as many as a handler may. What may be written from now on is not told of before it was read
// again.
static enum error set_region(struct space *s, struct slot *t, uint64_t gfn, uint64_t pages, uint64_t bits,
                             uint64_t *done)
{
    enum error e = E_OK;
    if (is_whole_leaf(s, gfn, pages)) {
        *done = pages;
        dirty_mark(t, gfn, pages);
        return ept_protect(&s->ept, gpa(gfn << PAGE_SHIFT), bits);
    }
    for (uint64_t promised = s->promised, cost = 0; e == E_OK && *done < pages && cost < RIGHTS_BUDGET;) {
        e = set_page(s, t, gfn + *done, bits);
        *done += e == E_OK;
        cost = *done * COST_SET + (promised - s->promised) * COST_BACK;
    }
    dirty_mark(t, gfn, *done);
    if ((gfn + *done) % REGION == 0 && !t->dirty)
        space_merge(s, t, gfn, EPT_2M);
    return *done ? E_OK : e;
}

enum error space_set_rights(struct space *s, gfn_t first, uint64_t pages, unsigned rights, uint64_t *done)
{
    *done = 0;
    if (rights == SLOT_EXEC && !ept_features.exec_only)
        return E_UNSUPPORTED;
    if (rights & ~(unsigned)SLOT_RAM || !ept_rights_are_sane(rights))
        return E_INVALID;
    lock_take(&s->lock);
    struct slot *t = slot_of(s, first.v);
    bool inside = t && t->flags & SLOT_RAM && pages <= t->first + t->pages - first.v;
    enum error e = !inside ? E_BAD_ADDRESS : rights & ~t->flags ? E_DENIED : E_OK;
    if (e == E_OK && pages) {
        uint64_t bits = rights | (rights & SLOT_WRITE ? 0 : EPT_NO_WRITE);
        e = set_region(s, t, first.v, min_u64(pages, REGION - first.v % REGION), bits, done);
        space_tidy_later(s, first.v / REGION * REGION, first.v + 1);
        space_changed(s);
    }
    lock_release(&s->lock);
    return e;
}
