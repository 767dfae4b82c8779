#include "mm/quarantine.h"
#include "arch/panic.h"
#include "mm/mm.h"
#include "mm/space_impl.h"

enum { RELEASE_BATCH = 64 }; // frames one poll gives back

struct seat seats[PCPU_MAX];

uint64_t quarantine_newest; // the generation drawn last

// Spaces that have something to give back. The lock is held for a few instructions only, and innermost.
static struct {
    struct lock lock;
    struct list spaces;
    uint32_t queued; // on the list or being worked on
} quarantine = {
    .spaces = {&quarantine.spaces, &quarantine.spaces}
};

uint64_t generation_draw(void)
{
    return __atomic_add_fetch(&quarantine_newest, 1, __ATOMIC_SEQ_CST);
}

// ---- Seats ----

void space_leave(uint32_t pcpu)
{
    __atomic_store_n(&seats[pcpu].space, NULL, __ATOMIC_RELEASE);
}

// Whether no processor runs `s` with a generation older than `generation`; those that do are kicked.
static bool passed(const struct space *s, uint64_t generation, bool kick)
{
    bool all = true;
    for (uint32_t i = 0; i < PCPU_MAX; i++) {
        if (__atomic_load_n(&seats[i].space, __ATOMIC_SEQ_CST) != s ||
            __atomic_load_n(&seats[i].generation, __ATOMIC_ACQUIRE) >= generation)
            continue;
        all = false;
        if (kick)
            pcpu_kick(&pcpus[i]);
    }
    return all;
}

bool space_has_passed(const struct space *s)
{
    return passed(s, __atomic_load_n(&s->generation, __ATOMIC_SEQ_CST), false);
}

// ---- The list ----

static void put_back(struct space *s)
{
    lock_take(&quarantine.lock);
    list_push_back(&quarantine.spaces, &s->quarantine);
    lock_release(&quarantine.lock);
}

void quarantine_put(struct space *s)
{
    if (!s->queued) {
        s->queued = true;
        __atomic_fetch_add(&quarantine.queued, 1, __ATOMIC_RELAXED);
        put_back(s);
    }
    passed(s, s->dying ? ~0ull : s->generation, true);
}

static struct space *pop(void)
{
    struct space *s = NULL;
    lock_take(&quarantine.lock);
    if (!list_empty(&quarantine.spaces)) {
        s = list_entry(quarantine.spaces.next, struct space, quarantine);
        list_remove(&s->quarantine);
    }
    lock_release(&quarantine.lock);
    return s;
}

// ---- Giving back ----

static void free_frame(const struct space *s, pfn_t f)
{
    enum error e = buddy_free(&frames, f, s->owner);
    assert(e == E_OK);
}

// What nobody can reach any more: own frames, and behind them the other spaces'.
struct batch {
    uint32_t frame[RELEASE_BATCH];
    unsigned own, all;
};

static void advance(struct space *s)
{
    s->waiting = s->arriving;
    s->returning = s->leaving;
    s->arriving = s->leaving = 0;
    s->waiting_for = s->generation;
}

// Cuts up to RELEASE_BATCH frames off the space's chains. The space's lock is held.
static void cut(struct space *s, struct batch *b)
{
    unsigned n = 0;
    *b = (struct batch){.all = 0};
    if (!(s->waiting | s->returning))
        advance(s);
    if (!(s->waiting | s->returning) || !passed(s, s->dying ? ~0ull : s->waiting_for, false))
        return;
    for (; s->waiting && n < RELEASE_BATCH; s->waiting = frames.frames[s->waiting].next)
        b->frame[n++] = s->waiting;
    b->own = n;
    for (; s->returning && n < RELEASE_BATCH; s->returning = frames.frames[s->returning].prev)
        b->frame[n++] = s->returning;
    b->all = n;
}

static void release(const struct space *s, const struct batch *b)
{
    for (unsigned i = 0; i < b->own; i++)
        free_frame(s, pfn(b->frame[i]));
    for (unsigned i = b->own; i < b->all; i++)
        lent_is_over(pfn(b->frame[i]));
}

// The leaf of a dead space. Its block's record knows how large it is; a large leaf may have kept a table. What a 1-GiB
// leaf has kept, tables of its regions too, is taken apart like any other tree.
static bool gone(struct ept *e, uint64_t *entry, enum ept_level level)
{
    struct space *s = container_of(e, struct space, ept);
    pfn_t f = pfn((*entry & EPT_ADDRESS) >> PAGE_SHIFT);
    if (frames.frames[f.v].owner != s->owner) {
        lent_is_over(f);
        return true;
    }
    pfn_t spare = level == EPT_4K ? PFN_NONE : large_spare(f, level);
    if (level == EPT_1G && !pfn_is_none(spare)) {
        large_unfold(s, entry, level);
        return false;
    }
    if (!pfn_is_none(spare)) {
        e->give(e, spare);
        e->tables--;
    }
    lent_abandon(f, s->owner);
    return true;
}

// A dead space without waiting frames: its tree, then itself. True when it is no more.
static bool bury(struct space *s)
{
    if (!passed(s, ~0ull, false) || !ept_reap(&s->ept, RELEASE_BATCH, gone))
        return false;
    enum error e = object_free(&space_cache, s, s->owner);
    assert(e == E_OK);
    return true;
}

// One portion of work on a space that is off the list. True when the quarantine has no more to do with it: not before
// its frames have gone back, for they go back in its name, and it may end at once.
static bool work(struct space *s)
{
    struct batch batch;
    lock_take(&s->lock);
    cut(s, &batch);
    if (!batch.all && !s->dying)
        space_tidy(s);
    lock_release(&s->lock);
    release(s, &batch);
    lock_take(&s->lock);
    bool empty = !(s->waiting | s->arriving | s->returning | s->leaving), dying = s->dying;
    bool done = empty && !dying && space_is_tidy(s);
    if (done)
        s->queued = false; // the next unmapping puts it on the list again
    lock_release(&s->lock);
    return done || (empty && dying && !batch.all && bury(s));
}

bool quarantine_poll(void)
{
    if (!__atomic_load_n(&quarantine.queued, __ATOMIC_RELAXED))
        return false;
    struct space *s = pop();
    if (!s)
        return true; // another processor works on the last one
    if (work(s))
        __atomic_fetch_sub(&quarantine.queued, 1, __ATOMIC_RELAXED);
    else
        put_back(s);
    return __atomic_load_n(&quarantine.queued, __ATOMIC_RELAXED);
}
