// Pages that a machine gives back to the box, and holes that get pages again. A page below `least` in number is
// promised to the space; when it gives one, it has taken another elsewhere: pages that it takes come from what is
// promised to nobody.
#include "mm/mm.h"
#include "mm/space_impl.h"

enum { GIVE_BATCH = 32, TAKE_BATCH = 16 }; // pages a call

uint64_t space_held(const struct space *s)
{
    return __atomic_load_n(&s->held, __ATOMIC_RELAXED);
}

// The entry of a page in its table, made if need be. No table is promised for a slot that is all holes at first: it
// counts as a page that the space holds, or it could have any number of them.
static uint64_t *own_entry(struct space *s, const struct slot *t, uint64_t gfn)
{
    uint32_t before = s->ept.tables;
    s->borrowing = t->flags & SLOT_BALLOON;
    uint64_t *entry = ept_entry(&s->ept, gpa(gfn << PAGE_SHIFT));
    s->held += s->borrowing ? s->ept.tables - before : 0;
    s->borrowing = false;
    return entry;
}

// A page that was never touched is a promise only.
static enum error give_promise(struct space *s, const struct slot *t, uint64_t gfn)
{
    *own_entry(s, t, gfn) = EPT_GIVEN; // the table was promised
    buddy_unreserve(&frames, 1);
    s->promised--;
    return E_OK;
}

// `entry`: of its leaf, in a table of `level`.
static enum error give_frame(struct space *s, uint64_t gfn, uint64_t *entry, unsigned level)
{
    if (level != EPT_4K) {
        enum error e = space_split(s, gfn, EPT_4K);
        if (e != E_OK)
            return e;
        entry = ept_find(&s->ept, gpa(gfn << PAGE_SHIFT), &level);
    }
    uint32_t f = (uint32_t)((*entry & EPT_ADDRESS) >> PAGE_SHIFT);
    if (frames.frames[f].lent != LENT_NOT)
        return E_EXISTS;
    __atomic_store_n(entry, EPT_GIVEN, __ATOMIC_RELEASE);
    frames.frames[f].next = s->arriving;
    s->arriving = f;
    return E_OK;
}

static enum error give(struct space *s, struct slot *t, uint64_t gfn)
{
    unsigned level;
    uint64_t *entry = ept_find(&s->ept, gpa(gfn << PAGE_SHIFT), &level);
    bool there = *entry & EPT_RIGHTS;
    if (!there && slot_is_hole(t, *entry))
        return E_NOT_FOUND;
    if (s->held == s->least)
        return E_DENIED;
    enum error e = there ? give_frame(s, gfn, entry, level) : give_promise(s, t, gfn);
    s->held -= e == E_OK;
    return e;
}

static enum error take(struct space *s, struct slot *t, uint64_t gfn)
{
    unsigned level;
    uint64_t *entry = ept_find(&s->ept, gpa(gfn << PAGE_SHIFT), &level);
    if (*entry & EPT_RIGHTS || !slot_is_hole(t, *entry))
        return E_EXISTS;
    if (level != EPT_4K)
        entry = own_entry(s, t, gfn);
    pfn_t f = entry ? frame_cache_take(frame_cache_here(), s->owner) : PFN_NONE;
    if (pfn_is_none(f))
        return E_NO_MEMORY;
    __atomic_store_n(entry, pfn_to_hpa(f).v | space_leaf_bits(t, f), __ATOMIC_RELEASE);
    dirty_mark(t, gfn, 1);
    s->held++;
    return E_OK;
}

// `one` for each page of the slot, as far as it goes, `batch` pages at most.
static inline enum error each(struct space *s, gfn_t first, uint64_t pages, uint64_t batch, uint64_t *done,
                              enum error (*one)(struct space *s, struct slot *t, uint64_t gfn))
{
    struct slot *t = slot_of(s, first.v);
    if (!t || !(t->flags & SLOT_RAM) || pages > t->first + t->pages - first.v)
        return E_BAD_ADDRESS;
    enum error e = E_OK;
    for (; e == E_OK && *done < min_u64(pages, batch); *done += e == E_OK)
        e = one(s, t, first.v + *done);
    return *done ? E_OK : e;
}

enum error space_give(struct space *s, gfn_t first, uint64_t pages, uint64_t *done)
{
    *done = 0;
    lock_take(&s->lock);
    uint32_t before = s->arriving;
    enum error e = each(s, first, pages, GIVE_BATCH, done, give);
    if (s->arriving != before)
        space_changed(s);
    lock_release(&s->lock);
    return e;
}

enum error space_take(struct space *s, gfn_t first, uint64_t pages, uint64_t most, uint64_t *done)
{
    *done = 0;
    lock_take(&s->lock);
    uint64_t room = s->held < most ? most - s->held : 0;
    bool full = pages && !room;
    enum error e = full ? E_AGAIN : each(s, first, pages, min_u64(TAKE_BATCH, room), done, take);
    lock_release(&s->lock);
    return e;
}
