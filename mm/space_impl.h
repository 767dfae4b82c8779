// What a space is made of, for inlines of the entry path. Everybody else uses mm/space.h.
#pragma once
#include "arch/list.h"
#include "arch/lock.h"
#include "mm/ept.h"
#include "mm/quarantine.h"

enum { SPACE_SLOTS = 8 };

struct slot {
    uint64_t first, pages; // gfn
    uint64_t flags;        // enum slot_flags
    uint64_t leaf;         // what a new leaf of it has beside the address; 0: space_leaf_bits() knows
    uint64_t *dirty;       // mm/dirty.c: a bit a page; NULL: not logged
};

struct space {
    uint64_t generation; // drawn anew whenever something was unmapped
    uint64_t eptp;       // value of the VMCS field
    struct lock lock;    // slots, tables, chains below
    uint16_t owner;
    bool dying;
    bool borrowing; // tables made now are for a window: nothing was promised for them
    uint8_t slot_count;
    struct ept ept;
    uint64_t promised;    // pages promised to this space by the buddy and not taken yet
    uint64_t held, least; // pages of RAM that it has, touched or not; of them, what it was promised
    struct slot slot[SPACE_SLOTS];
    uint64_t
        link; // first gfn of the GiB where a shared directory is linked, none of which is in a slot; ~0: none
    bool queued;            // the quarantine has something to do with this space
    struct list quarantine; // on its list, except while somebody works on it; guarded by its lock
    uint32_t waiting;       // frames that wait for `waiting_for`: chain through struct frame's next; 0: none
    uint32_t arriving;      // frames unmapped since
    // The same for frames of other spaces: chains through struct frame's prev.
    uint32_t returning, leaving;
    uint64_t waiting_for; // generation
    uint64_t tidy,
        tidy_end; // mm/tidy.c: gfns among which there may be leaves to put together; none if they are equal
};

static inline struct slot *slot_of(struct space *s, uint64_t gfn)
{
    for (struct slot *t = s->slot, *end = t + s->slot_count; t < end; t++)
        if (gfn - t->first < t->pages)
            return t;
    return NULL;
}

// Makes sure that `gfn` of RAM slot `t` is backed: the entry of its leaf. The lock is held. NULL: a hole of the
// balloon.
uint64_t *space_back(struct space *s, const struct slot *t, uint64_t gfn);
// What a 4-KiB leaf for frame `f` in slot `t` has beside the address.
uint64_t space_leaf_bits(const struct slot *t, pfn_t f);
// What `leaf` is while the slot is not logged.
uint64_t slot_leaf(const struct slot *t);
// Tables of a space, charged to its owner (struct ept's take).
pfn_t space_take_table(struct ept *e);

// Whether the page behind an entry without rights is a hole of the balloon.
static inline bool slot_is_hole(const struct slot *t, uint64_t entry)
{
    return entry & EPT_GIVEN || t->flags & SLOT_BALLOON;
}

// ---- Dirty log (mm/dirty.c). The lock is held. ----
// The rights and flags of a new leaf of the slot: `bits`, less or more.
uint64_t dirty_leaf(const struct slot *t, uint64_t bits);
// A write to what may not be written: allows and notes it. E_DENIED: the page or its slot forbid it; E_NO_MEMORY.
enum error dirty_allow_write(struct space *s, struct slot *t, uint64_t gfn);
void dirty_mark(struct slot *t, uint64_t gfn, uint64_t pages); // if it is logged
void dirty_free(struct space *s, struct slot *t);

// ---- Large leaves (mm/large.c). The lock is held. ----
// Makes leaves of that size around `gfn`, where a larger one is. E_EXISTS: it is lent; E_NO_MEMORY.
enum error space_split(struct space *s, uint64_t gfn, enum ept_level to);
// Makes one leaf of `level`, EPT_2M or EPT_1G, of what is around `gfn` in `t`, if that goes together. Whether it did.
bool space_merge(struct space *s, const struct slot *t, uint64_t gfn, enum ept_level level);
// The table that stood in the place of a large leaf before that was merged: PFN_NONE if none did.
pfn_t large_spare(pfn_t block, enum ept_level level);
// Makes a table of that again, and of the leaf a table's entry. No spare is needed of 2-MiB leaves in it.
void large_unfold(struct space *s, uint64_t *entry, enum ept_level level);

// ---- Leaves that go together again (mm/tidy.c). The lock is held. ----
// Pages [first, end) may go together now: space_changed() follows, and the quarantine looks.
void space_tidy_later(struct space *s, uint64_t first, uint64_t end);
// One such portion, about 11,000 instructions.
void space_tidy(struct space *s);
static inline bool space_is_tidy(const struct space *s)
{
    return s->tidy == s->tidy_end;
}

// The other space's end of a frame that was lent: nobody there can reach it any more.
void lent_is_over(pfn_t f);
// Its owner has no use for the frame any more: frees it, or leaves that to whom it is lent.
void lent_abandon(pfn_t f, uint16_t owner);

// Draws a new generation, newer than all before.
uint64_t generation_draw(void);
// With the space's lock held: what it unmapped or left behind is the quarantine's affair from now on.
void quarantine_put(struct space *s);
// With the space's lock held: translations were taken away, whole or in part. A new generation, and who runs it is
// told.
static inline void space_changed(struct space *s)
{
    __atomic_store_n(&s->generation, generation_draw(), __ATOMIC_SEQ_CST);
    quarantine_put(s);
}

// Whether the processor owes space_enter() a call before it enters a guest of `s`.
static inline bool seat_stale(const struct space *s, const struct seat *seat)
{
    return seat->space != s || seat->generation != __atomic_load_n(&s->generation, __ATOMIC_RELAXED);
}

// Before entry to a guest of `s`, when the space or its generation is not what this processor's seat says
// (seat_stale). Returns true when an all-context INVEPT is owed before entry. No lock.
static inline bool space_enter(struct space *s, struct seat *seat)
{
    if (seat->space != s) {
        // Not passed until compared. The exchange is a full fence: we are seen here before we read below.
        __atomic_store_n(&seat->generation, 0, __ATOMIC_RELAXED);
        (void)__atomic_exchange_n(&seat->space, s, __ATOMIC_SEQ_CST);
    }
    uint64_t generation = __atomic_load_n(&s->generation, __ATOMIC_SEQ_CST);
    bool owed = generation > seat->flushed;
    // All entries of generations up to this one are cleared already, and the INVEPT comes after this read.
    if (unlikely(owed))
        seat->flushed = __atomic_load_n(&quarantine_newest, __ATOMIC_SEQ_CST);
    // The guest does not run before that INVEPT, so we count as passed from here.
    __atomic_store_n(&seat->generation, generation, __ATOMIC_RELEASE);
    return owed;
}
