// Pages of one space in another: lent, taken back, and what happens when either side dies first.
// A frame's record says whether it is lent. Only its owner's lock allows LENT_OUT; what ends it is atomic, because the
// two ends come from different spaces: the owner's abandons it, or the other's is over, whichever comes last frees.
#include "arch/panic.h"
#include "mm/mm.h"
#include "mm/space_impl.h"

enum { LARGE_PAGES = 512 };

static void free_frame(pfn_t f, uint16_t owner)
{
    enum error e = buddy_free(&frames, f, owner);
    assert(e == E_OK);
}

void lent_is_over(pfn_t f)
{
    struct frame *r = &frames.frames[f.v];
    uint16_t owner = r->owner; // belongs to nobody else before it is over
    if (__atomic_exchange_n(&r->lent, LENT_NOT, __ATOMIC_ACQ_REL) == LENT_ORPHAN)
        free_frame(f, owner);
}

void lent_abandon(pfn_t f, uint16_t owner)
{
    uint32_t out = LENT_OUT;
    if (!__atomic_compare_exchange_n(&frames.frames[f.v].lent, &out, LENT_ORPHAN, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE))
        free_frame(f, owner);
}

// ---- Lending ----

// The frame behind a page of a RAM slot, which is backed if need be; a larger leaf than what is lent is split. The
// owner's lock is held.
static enum error find(struct space *s, const struct slot *t, gfn_t page, bool large, pfn_t *f)
{
    unsigned level, to = large ? EPT_2M : EPT_4K;
    const uint64_t *entry = ept_find(&s->ept, gfn_to_gpa(page), &level);
    bool there = *entry & EPT_RIGHTS;
    enum error e = E_OK;
    if (large && (!there || level < to))
        return E_UNSUPPORTED;
    if (!there) {
        entry = space_back(s, t, page.v);
    } else if (level > to) {
        e = space_split(s, page.v, to);
        entry = ept_find(&s->ept, gfn_to_gpa(page), &level);
    }
    if (!entry)
        return E_BAD_ADDRESS;
    *f = pfn((*entry & EPT_ADDRESS) >> PAGE_SHIFT);
    return e;
}

// Marks the frame as lent, so that it stays where it is.
static enum error pin(struct space *owner, gfn_t page, bool large, enum slot_flags rights, pfn_t *f)
{
    lock_take(&owner->lock);
    const struct slot *t = slot_of(owner, page.v);
    enum error e = !t || !(t->flags & SLOT_RAM) ? E_BAD_ADDRESS : rights & ~t->flags ? E_DENIED : E_OK;
    if (e == E_OK)
        e = find(owner, t, page, large, f);
    if (e == E_OK && frames.frames[f->v].lent != LENT_NOT)
        e = E_EXISTS;
    if (e == E_OK)
        __atomic_store_n(&frames.frames[f->v].lent, LENT_OUT, __ATOMIC_RELEASE);
    lock_release(&owner->lock);
    return e;
}

static bool in_window(struct space *s, gfn_t at, uint64_t pages)
{
    const struct slot *t = slot_of(s, at.v);
    return t && t->flags & SLOT_WINDOW && pages <= t->first + t->pages - at.v;
}

static enum error show(struct space *to, gfn_t at, bool large, pfn_t f, enum slot_flags rights)
{
    uint64_t bits = (uint64_t)rights | EPT_FOREIGN | EPT_ACCESSED | EPT_DIRTY;
    enum error e = E_BAD_ADDRESS;
    lock_take(&to->lock);
    to->borrowing = true;
    if (in_window(to, at, large ? LARGE_PAGES : 1))
        e = ept_map(&to->ept, gfn_to_gpa(at), pfn_to_hpa(f), large ? EPT_2M : EPT_4K, bits);
    to->borrowing = false;
    lock_release(&to->lock);
    return e;
}

enum error space_lend(struct space *owner, gfn_t page, bool large, struct space *to, gfn_t at,
                      enum slot_flags rights)
{
    pfn_t f;
    if (owner == to || !(rights & SLOT_READ) || rights & ~SLOT_RAM ||
        (large && (page.v | at.v) % LARGE_PAGES))
        return E_INVALID;
    enum error e = pin(owner, page, large, rights, &f);
    if (e != E_OK)
        return e;
    e = show(to, at, large, f, rights);
    if (e != E_OK)
        lent_is_over(f);
    return e;
}

// ---- Taking back ----

enum error space_take_back(struct space *to, gfn_t at, bool large)
{
    uint64_t was;
    lock_take(&to->lock);
    enum error e = in_window(to, at, 1) ? ept_unmap(&to->ept, gfn_to_gpa(at), large ? EPT_2M : EPT_4K, &was)
                                        : E_NOT_FOUND;
    if (e == E_OK) {
        uint32_t f = (uint32_t)((was & EPT_ADDRESS) >> PAGE_SHIFT);
        frames.frames[f].prev = to->leaving;
        to->leaving = f;
        space_changed(to);
    }
    lock_release(&to->lock);
    return e == E_INVALID ? E_NOT_FOUND : e;
}
