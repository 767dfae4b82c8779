#include "mm/space.h"
#include "arch/panic.h"
#include "arch/string.h"
#include "mm/guest_view.h"
#include "mm/mm.h"
#include "mm/space_impl.h"

struct object_cache space_cache;

static const uint64_t GFN_END = 1ull << (48 - PAGE_SHIFT); // what four levels reach

_Static_assert((int)SLOT_READ == (int)ACCESS_READ && (int)SLOT_WRITE == (int)ACCESS_WRITE &&
                   (int)SLOT_EXEC == (int)ACCESS_EXEC && SLOT_RAM == EPT_RIGHTS,
               "slot flags, accesses and EPT rights are the same three bits");

// ---- Tables: charged to the space's owner, from its promise as soon as it has one ----

pfn_t space_take_table(struct ept *e)
{
    struct space *s = container_of(e, struct space, ept);
    if (s->promised == 0 || s->borrowing)
        return frame_cache_take(frame_cache_here(), s->owner);
    s->promised--;
    return frame_cache_take_promised(frame_cache_here(), s->owner);
}

static void give_table(struct ept *e, pfn_t table)
{
    enum error error = buddy_free(&frames, table, container_of(e, struct space, ept)->owner);
    assert(error == E_OK);
}

// ---- Making and ending ----

struct space *space_create(uint16_t owner)
{
    struct space *s = object_alloc(&space_cache, owner);
    if (!s)
        return NULL;
    s->owner = owner;
    s->link = ~0ull;
    if (ept_init(&s->ept, space_take_table, give_table) != E_OK) {
        object_free(&space_cache, s, owner);
        return NULL;
    }
    s->eptp = ept_pointer(&s->ept);
    s->generation = generation_draw(); // its root may have been another's: whoever enters owes an INVEPT
    return s;
}

void space_destroy(struct space *s)
{
    lock_take(&s->lock);
    s->dying = true;
    for (unsigned i = 0; i < s->slot_count; i++)
        dirty_free(s, &s->slot[i]);
    buddy_unreserve(&frames, s->promised);
    s->promised = 0;
    quarantine_put(s);
    lock_release(&s->lock);
    quarantine_poll();
}

// At most so many tables map [first, end), the root aside.
static uint64_t tables_for(uint64_t first, uint64_t end)
{
    uint64_t n = 0;
    for (unsigned shift = 9; shift <= 27; shift += 9)
        n += ((end - 1) >> shift) - (first >> shift) + 1;
    return n;
}

uint64_t slot_leaf(const struct slot *t)
{
    bool uniform = !ept_features.memory_type && !(t->flags & (SLOT_WINDOW | SLOT_BALLOON));
    return uniform ? dirty_leaf(t, t->flags) | MT_WB << EPT_TYPE_SHIFT : 0;
}

static enum error check_slot(const struct space *s, uint64_t first, uint64_t pages, enum slot_flags flags)
{
    bool ram = !(flags & ~(SLOT_RAM | SLOT_BALLOON)) && ept_rights_are_sane(flags & SLOT_RAM);
    if (pages == 0 || (!ram && flags != SLOT_WINDOW))
        return E_INVALID;
    if (first >= GFN_END || pages > GFN_END - first)
        return E_BAD_ADDRESS;
    if (s->slot_count == SPACE_SLOTS)
        return E_TOO_BIG;
    for (unsigned i = 0; i < s->slot_count; i++)
        if (first < s->slot[i].first + s->slot[i].pages && s->slot[i].first < first + pages)
            return E_EXISTS;
    return E_OK;
}

enum { GIB_PAGES = 1 << 18 };

// Slots are dealt with as if nothing but their own were in the tables.
static void unlink_before(struct space *s, uint64_t first, uint64_t pages)
{
    if (s->link == ~0ull || s->link >= first + pages || first >= s->link + GIB_PAGES)
        return;
    ept_link(&s->ept, gpa(s->link << PAGE_SHIFT), hpa(0));
    s->link = ~0ull;
    __atomic_store_n(&s->generation, generation_draw(), __ATOMIC_SEQ_CST);
}

enum error space_add_slot(struct space *s, gfn_t base, uint64_t pages, enum slot_flags flags)
{
    lock_take(&s->lock);
    enum error e = check_slot(s, base.v, pages, flags);
    if (e == E_OK) {
        uint64_t own = flags & (SLOT_WINDOW | SLOT_BALLOON) ? 0 : pages;
        uint64_t promise = own ? own + tables_for(base.v, base.v + pages) : 0;
        e = promise && buddy_fails(&frames, s->owner) ? E_NO_MEMORY : buddy_reserve(&frames, promise);
        if (e == E_OK) {
            s->promised += promise;
            unlink_before(s, base.v, pages);
            s->held += own;
            s->least += own;
            struct slot *t = &s->slot[s->slot_count++];
            *t = (struct slot){base.v, pages, flags, 0, NULL};
            t->leaf = slot_leaf(t);
        }
    }
    lock_release(&s->lock);
    return e;
}

// ---- First touch ----

uint64_t space_leaf_bits(const struct slot *t, pfn_t f)
{
    if (t->leaf)
        return t->leaf;
    enum cache_type type = ept_features.memory_type ? MT_UC : MT_WB;
    if (ept_features.memory_type) // a page whose type is not uniform is slow rather than wrong
        ept_features.memory_type(pfn_to_hpa(f), EPT_4K, &type);
    return dirty_leaf(t, t->flags & SLOT_RAM) | (uint64_t)type << EPT_TYPE_SHIFT;
}

uint64_t *space_back(struct space *s, const struct slot *t, uint64_t gfn)
{
    unsigned level;
    uint64_t *entry = ept_find(&s->ept, gpa(gfn << PAGE_SHIFT), &level);
    if (*entry & EPT_RIGHTS)
        return entry;
    if (slot_is_hole(t, *entry))
        return NULL;
    if (level != EPT_4K)
        entry = ept_entry(&s->ept, gpa(gfn << PAGE_SHIFT));
    assert(entry); // its table was promised, as is the page
    pfn_t f = frame_cache_take_promised(frame_cache_here(), s->owner);
    s->promised--;
    __atomic_store_n(entry, pfn_to_hpa(f).v | space_leaf_bits(t, f), __ATOMIC_RELEASE);
    return entry;
}

// A page of another space allows the access: it was mapped a moment ago.
static bool is_lent(struct space *s, gpa_t at, enum access access)
{
    unsigned level;
    uint64_t entry = *ept_find(&s->ept, at, &level);
    return entry & EPT_FOREIGN && !(access & ~entry);
}

static enum error fault_in(struct space *s, struct slot *t, gpa_t at, enum access access)
{
    if (t->flags & SLOT_WINDOW)
        return is_lent(s, at, access) ? E_OK : E_DENIED;
    if (access & ~t->flags)
        return E_DENIED;
    const uint64_t *entry = space_back(s, t, at.v >> PAGE_SHIFT);
    if (!entry)
        return E_BAD_ADDRESS;
    uint64_t lacks = access & ~*entry & EPT_RIGHTS;
    return lacks == ACCESS_WRITE ? dirty_allow_write(s, t, at.v >> PAGE_SHIFT) : lacks ? E_DENIED : E_OK;
}

// Everything that space_fault() does not expect. The lock is held, and released here.
static noinline_cold enum error fault_slow(struct space *s, gpa_t at, enum access access)
{
    struct slot *t = slot_of(s, at.v >> PAGE_SHIFT);
    enum error e = t ? fault_in(s, t, at, access) : E_BAD_ADDRESS;
    lock_release(&s->lock);
    return e;
}

// The usual first touch without a call: first slot, last page table again, a frame in the cache.
enum error space_fault(struct space *s, gpa_t at, enum access access)
{
    const struct slot *t = &s->slot[0];
    struct frame_cache *c = frame_cache_here();
    uint64_t gfn = at.v >> PAGE_SHIFT;
    lock_take(&s->lock);
    uint64_t *entry = &s->ept.last_table[gfn & 511];
    if (unlikely(gfn - t->first >= t->pages || (access & ~t->leaf) || s->ept.last_region != gfn >> 9 ||
                 c->count == 0 || *entry != 0))
        return fault_slow(s, at, access);
    pfn_t f = frame_cache_take_promised(c, s->owner);
    s->promised--;
    __atomic_store_n(entry, pfn_to_hpa(f).v | t->leaf, __ATOMIC_RELEASE);
    lock_release(&s->lock);
    return E_OK;
}

// ---- The hypervisor's own accesses ----

// Every page of [at, at + len) lies in a slot that allows `access`. Slots never go away while the space
// lives.
static enum error check_range(struct space *s, gpa_t at, size_t len, enum access access)
{
    if (len == 0)
        return E_OK;
    uint64_t last = at.v + len - 1;
    if (last < at.v)
        return E_BAD_ADDRESS;
    enum error e = E_OK;
    lock_take(&s->lock);
    for (uint64_t gfn = at.v >> PAGE_SHIFT; e == E_OK && gfn <= last >> PAGE_SHIFT;) {
        const struct slot *t = slot_of(s, gfn);
        e = !t || t->flags & SLOT_WINDOW ? E_BAD_ADDRESS : (access & ~t->flags) ? E_DENIED : E_OK;
        if (t)
            gfn = t->first + t->pages;
    }
    lock_release(&s->lock);
    return e;
}

static size_t within_page(uint64_t at, size_t len)
{
    return min_u64(len, PAGE_SIZE - at % PAGE_SIZE);
}

static char *byte_of(uint64_t entry, unsigned level, uint64_t at)
{
    uint64_t inside = ((uint64_t)PAGE_SIZE << 9 * level) - 1;
    return (char *)hpa_to_virt(hpa((entry & EPT_ADDRESS & ~inside) | (at & inside)));
}

// The host address of `at`, and the entry that maps it; NULL: none does. The lock is held.
static char *find_byte(struct space *s, uint64_t at, uint64_t *entry)
{
    unsigned level;
    *entry = *ept_find(&s->ept, gpa(at), &level);
    return *entry & EPT_RIGHTS ? byte_of(*entry, level, at) : NULL;
}

// The host address of `at`, for a write: backed and marked dirty. The lock is held.
static enum error dirty_byte(struct space *s, uint64_t at, char **byte)
{
    uint64_t gfn = at >> PAGE_SHIFT, found;
    struct slot *t = slot_of(s, gfn);
    uint64_t *entry = space_back(s, t, gfn);
    if (!entry)
        return E_BAD_ADDRESS;
    if (!(*entry & EPT_WRITE)) {
        enum error e = dirty_allow_write(s, t, gfn);
        if (e != E_OK)
            return e;
    }
    dirty_mark(t, gfn, 1);
    __atomic_fetch_or(entry, EPT_ACCESSED | EPT_DIRTY, __ATOMIC_RELAXED);
    *byte = find_byte(s, at, &found);
    return E_OK;
}

// Of a page that is not there: one that was never touched is zero, and stays unbacked.
static noinline_cold enum error read_nothing(struct space *s, uint64_t at, uint64_t entry, void *to, size_t n)
{
    if (slot_is_hole(slot_of(s, at >> PAGE_SHIFT), entry))
        return E_BAD_ADDRESS;
    memset(to, 0, n);
    return E_OK;
}

// One page's part of a read. The lock is held over the copy: the page cannot be unmapped meanwhile.
static enum error read_within_page(struct space *s, uint64_t at, void *to, size_t n)
{
    uint64_t entry;
    const char *byte = find_byte(s, at, &entry);
    if (unlikely(!byte))
        return read_nothing(s, at, entry, to, n);
    if (unlikely(!(entry & EPT_READ)))
        return E_DENIED;
    memcpy(to, byte, n);
    return E_OK;
}

// What most reads are: within a page of the first slot, and allowed. False: not so.
static bool read_at_once(struct space *s, uint64_t at, void *to, size_t len)
{
    const struct slot *t = &s->slot[0];
    if (within_page(at, len) < len)
        return false;
    lock_take(&s->lock);
    bool can = (at >> PAGE_SHIFT) - t->first < t->pages && t->flags & ACCESS_READ &&
               read_within_page(s, at, to, len) == E_OK;
    lock_release(&s->lock);
    return can;
}

enum error guest_read(struct space *s, gpa_t from, void *to, size_t len)
{
    if (likely(read_at_once(s, from.v, to, len)))
        return E_OK;
    enum error e = check_range(s, from, len, ACCESS_READ);
    for (size_t done = 0, n; e == E_OK && done < len; done += n) {
        n = within_page(from.v + done, len - done);
        lock_take(&s->lock);
        e = read_within_page(s, from.v + done, (char *)to + done, n);
        lock_release(&s->lock);
    }
    return e;
}

enum error guest_write(struct space *s, gpa_t to, const void *from, size_t len)
{
    enum error e = check_range(s, to, len, ACCESS_WRITE);
    for (size_t done = 0, n; e == E_OK && done < len; done += n) {
        uint64_t at = to.v + done;
        char *byte;
        n = within_page(at, len - done);
        lock_take(&s->lock);
        e = dirty_byte(s, at, &byte);
        if (e == E_OK)
            memcpy(byte, (const char *)from + done, n);
        lock_release(&s->lock);
    }
    return e;
}

// The guest's processors take no lock.
static bool exchange(void *at, uint64_t was, uint64_t value, size_t len)
{
    uint32_t half = (uint32_t)was;
    if (len == sizeof(half))
        return __atomic_compare_exchange_n((uint32_t *)at, &half, (uint32_t)value, false, __ATOMIC_SEQ_CST,
                                           __ATOMIC_RELAXED);
    return __atomic_compare_exchange_n((uint64_t *)at, &was, value, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_RELAXED);
}

enum error guest_exchange(struct space *s, gpa_t at, uint64_t was, uint64_t value, size_t len)
{
    char *byte;
    enum error e = check_range(s, at, len, ACCESS_WRITE);
    if (e != E_OK)
        return e;
    lock_take(&s->lock);
    e = dirty_byte(s, at.v, &byte);
    if (e == E_OK && !exchange(byte, was, value, len))
        e = E_AGAIN;
    lock_release(&s->lock);
    return e;
}

static enum error map_byte(struct space *s, gpa_t at, size_t len, char **byte)
{
    enum error e = check_range(s, at, len ? len : 1, ACCESS_WRITE);
    if (e != E_OK)
        return e;
    lock_take(&s->lock);
    e = dirty_byte(s, at.v, byte);
    lock_release(&s->lock);
    return e;
}

enum error guest_probe(struct space *s, gpa_t at, size_t len)
{
    char *byte;
    return map_byte(s, at, len, &byte);
}

void *guest_map(struct space *s, gpa_t at, size_t len)
{
    char *byte;
    bool fits = len <= PAGE_SIZE - at.v % PAGE_SIZE;
    return fits && map_byte(s, at, len, &byte) == E_OK ? byte : NULL;
}

// Whether the leaf `entry` around `gfn` has the frame `f`, in the slot.
static bool leaf_has(uint64_t entry, unsigned level, uint64_t gfn, pfn_t f, const struct slot *t)
{
    uint64_t inside = (1ull << 9 * level) - 1, page = (gfn & ~inside) | (f.v & inside);
    return entry & EPT_RIGHTS && ((entry & EPT_ADDRESS) >> PAGE_SHIFT | inside) == (f.v | inside) &&
           page - t->first < t->pages;
}

static bool slot_has_frame(const struct space *s, const struct slot *t, pfn_t f)
{
    for (uint64_t gfn = t->first, end = gfn + t->pages, next; gfn < end; gfn = next) {
        unsigned level;
        const uint64_t *entry = ept_walk(&s->ept, gpa(gfn << PAGE_SHIFT), &level);
        next = (gfn | ((1ull << 9 * max_u64(level, 1)) - 1)) + 1;
        if (leaf_has(*entry, level, gfn, f, t))
            return true;
        for (; level == EPT_4K && ++gfn < next;) // the rest of the table
            if (leaf_has(*++entry, level, gfn, f, t))
                return true;
    }
    return false;
}

// Its record says at once that most frames are others'. Inside a block it says nothing.
static bool may_have_frame(const struct space *s, pfn_t f)
{
    const struct frame *r = &frames.frames[f.v];
    return r->state == FRAME_NONE || (r->state == FRAME_USED && r->owner == s->owner);
}

bool space_has_frame(struct space *s, pfn_t f)
{
    if (f.v >= frames.count || !may_have_frame(s, f))
        return false;
    lock_take(&s->lock);
    unsigned slots = s->slot_count; // they never go away, nor do tables: no lock is needed for the walk
    lock_release(&s->lock);
    for (unsigned i = 0; i < slots; i++)
        if (!(s->slot[i].flags & SLOT_WINDOW) && slot_has_frame(s, &s->slot[i], f))
            return true;
    return false;
}

// Not through the table that the EPT remembers: without the lock its two words need not belong together.
const void *guest_peek_far(struct guest_view *g, gpa_t at)
{
    if (at.v >> 48)
        return NULL;
    unsigned level;
    const uint64_t *found = ept_walk(&g->space->ept, at, &level);
    if (level == EPT_4K) {
        g->table = found - (at.v >> PAGE_SHIFT & 511);
        g->region = at.v >> 21;
        return guest_peek(g, at);
    }
    uint64_t entry = __atomic_load_n(found, __ATOMIC_ACQUIRE); // no leaf any more if it was split just now
    return entry & EPT_READ && entry & EPT_LARGE ? byte_of(entry, level, at.v) : NULL;
}

static bool has_slot_in(const struct space *s, uint64_t first, uint64_t pages)
{
    for (unsigned i = 0; i < s->slot_count; i++)
        if (s->slot[i].first < first + pages && first < s->slot[i].first + s->slot[i].pages)
            return true;
    return false;
}

enum error space_link(struct space *s, gpa_t at, hpa_t directory)
{
    uint64_t first = at.v >> PAGE_SHIFT;
    lock_take(&s->lock);
    enum error e = has_slot_in(s, first, GIB_PAGES) ? E_EXISTS : ept_link(&s->ept, at, directory);
    if (e == E_OK) {
        s->link = directory.v ? first : ~0ull;
        if (!directory.v)
            __atomic_store_n(&s->generation, generation_draw(), __ATOMIC_SEQ_CST);
    }
    lock_release(&s->lock);
    return e;
}

// ---- Figures ----

uint64_t space_eptp(const struct space *s)
{
    return s->eptp;
}

uint64_t space_bytes(const struct space *s)
{
    return (uint64_t)s->ept.tables * PAGE_SIZE + object_cost(&space_cache);
}

uint64_t space_ram(const struct space *s)
{
    uint64_t pages = 0;
    for (unsigned i = 0; i < s->slot_count; i++)
        pages += s->slot[i].flags & SLOT_RAM ? s->slot[i].pages : 0;
    return pages << PAGE_SHIFT;
}

uint64_t space_generation(const struct space *s)
{
    return __atomic_load_n(&s->generation, __ATOMIC_RELAXED);
}
