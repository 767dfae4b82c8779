// Leaves that go together again. Where pages are alike, after a log of writes has ended or rights have changed, they
// become one leaf and one block: first regions of 2 MiB, then of 1 GiB. The quarantine, which visits spaces between
// exits and when processors idle, has it done in portions.
#include "mm/space_impl.h"

enum { REGION = 512, GIB = REGION * REGION };
enum { LOOKS = 48 }; // a portion, or one fold

void space_tidy_later(struct space *s, uint64_t first, uint64_t end)
{
    bool none = space_is_tidy(s);
    s->tidy = none ? first : min_u64(s->tidy, first);
    s->tidy_end = none ? end : max_u64(s->tidy_end, end);
}

// What a log that has ended may have taken from leaves: the right to write, or flags that keep them from being noted.
// Whether it had.
static bool restore(const struct slot *t, uint64_t *entry, uint64_t count)
{
    uint64_t all = dirty_leaf(t, t->flags & SLOT_WRITE), changed = 0;
    for (; count > 0; count--, entry++) {
        uint64_t was = *entry, lacks = all & ~was;
        if (likely(!lacks) || !(was & EPT_RIGHTS))
            continue;
        if (was & EPT_NO_WRITE)
            lacks &= ~EPT_WRITE;
        changed |= lacks;
        __atomic_fetch_or(entry, lacks, __ATOMIC_RELAXED);
    }
    return changed;
}

// The next page behind `gfn` that is in a slot, for want of one the end.
static uint64_t next_slot(const struct space *s, uint64_t gfn)
{
    uint64_t next = s->tidy_end;
    for (unsigned i = 0; i < s->slot_count; i++)
        if (s->slot[i].first > gfn)
            next = min_u64(next, s->slot[i].first);
    return next;
}

// Small leaves from `gfn`, whose entry is `leaf`, to the end of its region. Whether it is to be looked at once more:
// as one leaf, or because what was restored may go together now.
static bool fold_region(struct space *s, const struct slot *t, uint64_t gfn, uint64_t *leaf)
{
    return space_merge(s, t, gfn, EPT_2M) ||
           restore(t, leaf, min_u64(REGION - gfn % REGION, t->first + t->pages - gfn));
}

// Looks at what is next; false: that was a fold. Stays at a region that it folded, whose GiB is next then.
// `may_fold`: else it stays before it.
static bool look(struct space *s, bool may_fold)
{
    uint64_t gfn = s->tidy;
    const struct slot *t = slot_of(s, gfn);
    if (!t || !(t->flags & SLOT_RAM) || t->dirty) {
        s->tidy = next_slot(s, gfn);
        return true;
    }
    unsigned level;
    uint64_t *entry = ept_find(&s->ept, gpa(gfn << PAGE_SHIFT), &level);
    bool small = level == EPT_4K;
    uint64_t next = (gfn | ((1ull << 9 * (small ? EPT_2M : level)) - 1)) + 1;
    bool folds = small || next % GIB == 0 || next >= s->tidy_end;
    if (folds && !may_fold)
        return false;
    if (small && fold_region(s, t, gfn, entry))
        return false;
    if (!small)
        restore(t, entry, 1);
    if (!small && folds)
        space_merge(s, t, gfn, EPT_1G);
    s->tidy = min_u64(next, s->tidy_end);
    return !folds;
}

void space_tidy(struct space *s)
{
    for (unsigned i = 0; i < LOOKS && !space_is_tidy(s) && look(s, i == 0); i++)
        ;
}
