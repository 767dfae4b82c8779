// Which pages of a slot were written since somebody looked last: mm/dirty.h.
//
// What is known to be dirty stands in the slot's bitmap: all of it at first, what the hypervisor writes, and as the
// method has it:
//   bits      the processor sets the dirty flag of a leaf; flags are looked at when the log is read
//   pml       it also notes the address in a page of the vCPU, whose contents come here (dirty_note)
//   protect   leaves lose the right to write, and the first write to each is an EPT violation
// A page counts as clean when its leaf would make its next write known. A leaf larger than a page never does: it may
// not be written as long as one of its pages is clean, whatever the method, and its first write splits it.
// SDM "Accessed and Dirty Flags for EPT", "Page-Modification Logging".
#include "mm/dirty.h"
#include "arch/string.h"
#include "mm/mm.h"
#include "mm/space_impl.h"

enum {
    WORD = 64,
    PART = PAGE_SIZE / sizeof(uint64_t), // words of a frame
    REGION = 512,
    READ_BUDGET = 14000,
    STRIDE = 8,
    COST_STRIDE = 16,
    COST_LOOK = 200,
    COST_PAGE = 40
};

enum dirty_method dirty_method = DIRTY_PROTECT;

static const char *const method_words[] = {
#define X(name, word) [DIRTY_##name] = word,
    DIRTY_METHODS(X)
#undef X
};

const char *dirty_method_word(enum dirty_method m)
{
    return method_words[m];
}

// ---- The bitmap ----

static unsigned order_of(const struct slot *t)
{
    unsigned order = 0;
    while ((uint64_t)PAGE_SIZE << order < align_up(t->pages, WORD) / 8)
        order++;
    return order;
}

// The RAM slot of `page`, the lock taken; NULL: none, and the lock is free.
static struct slot *open_slot(struct space *s, gfn_t page)
{
    lock_take(&s->lock);
    struct slot *t = slot_of(s, page.v);
    if (t && t->flags & SLOT_RAM)
        return t;
    lock_release(&s->lock);
    return NULL;
}

void dirty_mark(struct slot *t, uint64_t gfn, uint64_t pages)
{
    for (uint64_t i = gfn - t->first; t->dirty && i < gfn - t->first + pages; i++)
        t->dirty[i / WORD] |= 1ull << i % WORD;
}

// The frames of the bitmap: a large one is too much to fill in one go. Until it is looked at, a frame stands for ones
// alone, whatever it has; its record says whether it was filled.
static uint32_t *filled(const struct slot *t, uint64_t part)
{
    return &frames.frames[hpa_to_pfn(virt_to_hpa(t->dirty)).v + part].next;
}

static void fill_none(const struct slot *t)
{
    for (uint64_t part = 0; part * PART * WORD < t->pages; part++)
        *filled(t, part) = false;
}

// All that have some of these words, at least one. The last word of all has no bits for pages that are not there.
static void fill(const struct slot *t, uint64_t word, uint64_t words)
{
    for (uint64_t part = word / PART; part <= (word + words - 1) / PART; part++) {
        if (*filled(t, part))
            continue;
        *filled(t, part) = true;
        memset(t->dirty + part * PART, 0xff, PART * sizeof(uint64_t));
        if (t->pages % WORD && t->pages / WORD / PART == part)
            t->dirty[t->pages / WORD] = (1ull << t->pages % WORD) - 1;
    }
}

enum error dirty_start(struct space *s, gfn_t page)
{
    struct slot *t = open_slot(s, page);
    if (!t)
        return E_BAD_ADDRESS;
    enum error e = t->dirty ? E_EXISTS : t->first % WORD ? E_UNSUPPORTED : E_OK;
    pfn_t f = e == E_OK ? buddy_alloc_or_fail(&frames, order_of(t), s->owner) : PFN_NONE;
    if (e == E_OK && pfn_is_none(f))
        e = E_NO_MEMORY;
    if (e == E_OK) {
        t->dirty = pfn_to_virt(f);
        t->leaf = 0; // first touches come to us
        fill_none(t);
    }
    lock_release(&s->lock);
    return e;
}

void dirty_free(struct space *s, struct slot *t)
{
    if (t->dirty)
        buddy_free(&frames, hpa_to_pfn(virt_to_hpa(t->dirty)), s->owner);
    t->dirty = NULL;
    t->leaf = slot_leaf(t);
}

// Leaves stay as they are at first: the right to write comes back with the next write to each, or when leaves are put
// together again.
enum error dirty_stop(struct space *s, gfn_t page)
{
    struct slot *t = open_slot(s, page);
    if (!t)
        return E_BAD_ADDRESS;
    enum error e = t->dirty ? E_OK : E_NOT_FOUND;
    dirty_free(s, t);
    if (e == E_OK) {
        space_tidy_later(s, t->first, t->first + t->pages);
        space_changed(s);
    }
    lock_release(&s->lock);
    return e;
}

// ---- What a leaf looks like ----

uint64_t dirty_leaf(const struct slot *t, uint64_t bits)
{
    if (t->dirty)
        return dirty_method == DIRTY_PROTECT ? bits & ~EPT_WRITE : bits;
    return dirty_method == DIRTY_PML ? bits | EPT_ACCESSED | EPT_DIRTY : bits; // or it would be noted
}

static uint64_t clean_mask(void)
{
    return dirty_method == DIRTY_PROTECT ? EPT_WRITE : EPT_DIRTY;
}

// Clean small leaves where a large one was, which nobody could write.
static void clean_region(struct space *s, uint64_t gfn)
{
    unsigned level;
    uint64_t *leaf = ept_find(&s->ept, gpa(gfn / REGION * REGION << PAGE_SHIFT), &level);
    for (unsigned i = 0; i < REGION; i++)
        leaf[i] = (leaf[i] & ~EPT_DIRTY) | (dirty_method == DIRTY_PROTECT ? 0 : EPT_WRITE);
}

enum error dirty_allow_write(struct space *s, struct slot *t, uint64_t gfn)
{
    unsigned level;
    uint64_t *entry = ept_find(&s->ept, gpa(gfn << PAGE_SHIFT), &level), pages = 1;
    if (!(*entry & EPT_RIGHTS) || *entry & EPT_NO_WRITE || !(t->flags & SLOT_WRITE))
        return E_DENIED;
    if (level != EPT_4K && t->dirty) {
        enum error e = space_split(s, gfn, EPT_4K);
        if (e == E_NO_MEMORY)
            return e;
        if (e == E_OK)
            clean_region(s, gfn);
        else // lent as a whole: written as a whole
            pages = REGION;
        entry = ept_find(&s->ept, gpa(gfn << PAGE_SHIFT), &level);
    }
    dirty_mark(t, pages == 1 ? gfn : gfn / REGION * REGION, pages);
    __atomic_fetch_or(entry, EPT_WRITE | EPT_DIRTY, __ATOMIC_RELAXED);
    return E_OK;
}

// ---- Looking ----

// All of eight words, or flags of eight leaves. Written out: Os and Oz unroll nothing.
static inline uint64_t any_of(const uint64_t *w)
{
    return w[0] | w[1] | w[2] | w[3] | w[4] | w[5] | w[6] | w[7];
}

// The flags of 64 leaves of one page table, of which mostly none is set.
static uint64_t flagged(const uint64_t *leaf)
{
    uint64_t bits = 0, any = 0;
    for (unsigned i = 0; i < WORD; i += STRIDE)
        any |= any_of(leaf + i);
    if (!(any & EPT_DIRTY))
        return 0;
    for (unsigned i = WORD; i-- > 0;)
        bits = bits << 1 | (leaf[i] >> 9 & 1);
    return bits;
}
_Static_assert(EPT_DIRTY == 1 << 9, "flagged() looks at bit 9");

// Returns how many.
static uint64_t clean(uint64_t *leaf, uint64_t bits)
{
    uint64_t n = 0;
    for (uint64_t mask = clean_mask(); bits; bits &= bits - 1, n++) {
        uint64_t *entry = &leaf[__builtin_ctzll(bits)];
        if (*entry & mask)
            __atomic_fetch_and(entry, ~mask, __ATOMIC_RELAXED);
    }
    return n;
}

// One word of the log: what is dirty, which is clean from now on. Says what it cost.
static uint64_t take_word(struct space *s, struct slot *t, uint64_t gfn, uint64_t *bits)
{
    unsigned level;
    uint64_t *leaf = ept_find(&s->ept, gpa(gfn << PAGE_SHIFT), &level),
             *word = &t->dirty[(gfn - t->first) / WORD];
    bool look = dirty_method == DIRTY_BITS && level == EPT_4K;
    *bits = *word | (look ? flagged(leaf) : 0);
    *word = 0;
    uint64_t cost = COST_LOOK;
    if (level == EPT_4K)
        cost += COST_PAGE * clean(leaf, *bits);
    else if (*bits && *leaf & (EPT_WRITE | EPT_DIRTY)) // its parts are clean, too, whoever splits it
        __atomic_fetch_and(leaf, ~(EPT_WRITE | EPT_DIRTY), __ATOMIC_RELAXED);
    return cost;
}

// `words` of the log from `gfn` on, `bits` zero so far; how many of them, as far as the budget goes.
static uint64_t take_words(struct space *s, struct slot *t, uint64_t gfn, uint64_t words, uint64_t *bits,
                           bool *any)
{
    const uint64_t *known = t->dirty + (gfn - t->first) / WORD;
    bool look = dirty_method == DIRTY_BITS;
    uint64_t i = 0, cost = 0;
    while (i < words && cost < READ_BUDGET) {
        if (!look && words - i >= STRIDE && !any_of(known + i)) {
            i += STRIDE;
            cost += COST_STRIDE;
            continue;
        }
        cost += known[i] || look ? take_word(s, t, gfn + i * WORD, &bits[i]) : COST_STRIDE;
        *any |= bits[i++] != 0;
    }
    return i;
}

enum error dirty_read(struct space *s, gfn_t first, uint64_t pages, uint64_t *bits, uint64_t *done)
{
    *done = 0;
    if (first.v % WORD || !pages)
        return E_INVALID;
    struct slot *t = open_slot(s, first);
    if (!t)
        return E_BAD_ADDRESS;
    bool any = false;
    uint64_t end = min_u64(pages, t->first + t->pages - first.v), words = align_up(end, WORD) / WORD;
    enum error e = t->dirty ? E_OK : E_NOT_FOUND;
    if (e == E_OK) {
        fill(t, (first.v - t->first) / WORD, words);
        memset(bits, 0, words * sizeof(*bits));
        *done = min_u64(take_words(s, t, first.v, words, bits, &any) * WORD, end);
    }
    if (any)
        space_changed(s);
    lock_release(&s->lock);
    return e;
}

void dirty_put_back(struct space *s, gfn_t first, uint64_t pages, const uint64_t *bits)
{
    struct slot *t = open_slot(s, first);
    for (uint64_t i = 0; t && t->dirty && i < pages; i += WORD)
        t->dirty[(first.v - t->first + i) / WORD] |= bits[i / WORD];
    if (t)
        lock_release(&s->lock);
}

void dirty_note(struct space *s, const uint64_t *at, unsigned count)
{
    lock_take(&s->lock);
    for (unsigned i = 0; i < count; i++) {
        struct slot *t = slot_of(s, at[i] >> PAGE_SHIFT);
        if (t)
            dirty_mark(t, at[i] >> PAGE_SHIFT, 1);
    }
    lock_release(&s->lock);
}

void dirty_sync(struct space *s)
{
    lock_take(&s->lock);
    space_changed(s);
    lock_release(&s->lock);
}
