#include "mm/ept.h"

struct ept_features ept_features = {0};

enum { PT, PD, PDPT, PML4 }; // levels of tables; a leaf of enum ept_level n lies in a table of level n

static uint64_t leaf_size(unsigned level)
{
    return (uint64_t)PAGE_SIZE << 9 * level;
}
static unsigned index_of(uint64_t at, unsigned level)
{
    return at >> (PAGE_SHIFT + 9 * level) & 511;
}
static uint64_t *table_of(uint64_t entry)
{
    return hpa_to_virt(hpa(entry & EPT_ADDRESS));
}
static bool is_present(uint64_t entry)
{
    return entry & EPT_RIGHTS;
}
static bool is_leaf(uint64_t entry, unsigned level)
{
    return level == PT || (entry & EPT_LARGE);
}

// Writable without readable is a misconfiguration, as is execute-only where the processor does not know it.
bool ept_rights_are_sane(uint64_t rights)
{
    uint64_t legal = EPT_RIGHTS | EPT_FOREIGN | EPT_NO_WRITE | EPT_ACCESSED | EPT_DIRTY;
    bool only_exec = (rights & EPT_RIGHTS) == EPT_EXEC && ept_features.exec_only;
    return (rights & EPT_READ || only_exec) && !(rights & ~legal);
}

enum error ept_init(struct ept *e, pfn_t (*take)(struct ept *), void (*give)(struct ept *, pfn_t))
{
    *e = (struct ept){.take = take, .give = give, .last_region = ~0ull};
    e->root = take(e);
    if (pfn_is_none(e->root))
        return E_NO_MEMORY;
    e->tables = 1;
    e->last_table = pfn_to_virt(e->root);
    return E_OK;
}

// The table that entry `*entry` points to, made if there is none. NULL: out of memory.
static uint64_t *next_table(struct ept *e, uint64_t *entry)
{
    if (is_present(*entry))
        return table_of(*entry);
    pfn_t f = e->take(e);
    if (pfn_is_none(f))
        return NULL;
    e->tables++;
    // Tables allow everything: the leaf alone decides.
    __atomic_store_n(entry, pfn_to_hpa(f).v | EPT_RIGHTS, __ATOMIC_RELEASE);
    return pfn_to_virt(f);
}

// The entry of a table of `level` for `at`; tables on the way are made.
static enum error descend(struct ept *e, gpa_t at, unsigned level, uint64_t **entry)
{
    uint64_t *table = pfn_to_virt(e->root);
    for (unsigned k = PML4; k > level; k--) {
        uint64_t *up = &table[index_of(at.v, k)];
        if (is_present(*up) && is_leaf(*up, k))
            return E_EXISTS;
        table = next_table(e, up);
        if (!table)
            return E_NO_MEMORY;
    }
    *entry = &table[index_of(at.v, level)];
    return E_OK;
}

// The entry that decides about `at`, in a table of level `lowest` or above. Each entry is read once: another processor
// may be splitting the leaf in it.
static inline uint64_t *walk_to(const struct ept *e, gpa_t at, unsigned lowest, unsigned *level)
{
    uint64_t *table = pfn_to_virt(e->root);
    for (unsigned k = PML4;; k--) {
        uint64_t *entry = &table[index_of(at.v, k)], value = __atomic_load_n(entry, __ATOMIC_ACQUIRE);
        if (k == lowest || !is_present(value) || is_leaf(value, k)) {
            *level = k;
            return entry;
        }
        table = table_of(value);
    }
}

uint64_t *ept_walk(const struct ept *e, gpa_t at, unsigned *level)
{
    return walk_to(e, at, PT, level);
}

uint64_t *ept_entry_slow(struct ept *e, gpa_t at)
{
    uint64_t *entry;
    if (descend(e, at, PT, &entry) != E_OK)
        return NULL;
    e->last_region = at.v >> 21;
    e->last_table = entry - index_of(at.v, PT);
    return entry;
}

bool ept_level_is_there(enum ept_level level)
{
    return level == EPT_4K || (level == EPT_2M && ept_features.pages_2m) ||
           (level == EPT_1G && ept_features.pages_1g);
}

enum error ept_map(struct ept *e, gpa_t at, hpa_t to, enum ept_level level, uint64_t rights)
{
    if (!ept_level_is_there(level))
        return E_UNSUPPORTED;
    uint64_t *entry, size = leaf_size(level);
    if (at.v >> 48 || at.v % size || to.v % size || to.v & ~EPT_ADDRESS || !ept_rights_are_sane(rights))
        return E_INVALID;
    enum cache_type type = MT_WB;
    if (ept_features.memory_type && !ept_features.memory_type(to, level, &type))
        return E_UNSUPPORTED;
    enum error error = descend(e, at, level, &entry);
    if (error != E_OK)
        return error;
    if (is_present(*entry))
        return E_EXISTS;
    uint64_t large = level == EPT_4K ? 0 : EPT_LARGE;
    __atomic_store_n(entry, to.v | rights | (uint64_t)type << EPT_TYPE_SHIFT | large, __ATOMIC_RELEASE);
    return E_OK;
}

void ept_split_leaf(uint64_t *entry, unsigned level, pfn_t table)
{
    uint64_t *leaves = pfn_to_virt(table), leaf = level - 1 == PT ? *entry & ~EPT_LARGE : *entry;
    for (unsigned i = 0; i < 512; i++)
        leaves[i] = leaf + i * leaf_size(level - 1);
    __atomic_store_n(entry, pfn_to_hpa(table).v | EPT_RIGHTS, __ATOMIC_RELEASE);
}

// The leaf of `level` that a table of leaves comes to; 0: none.
static uint64_t sum_of(const uint64_t *leaves, unsigned level)
{
    const uint64_t flags = EPT_ACCESSED | EPT_DIRTY, size = leaf_size(level - 1);
    uint64_t first = leaves[0] & ~flags, seen = 0, expected = first;
    if (!is_present(first) || !is_leaf(first, level - 1) || (first & EPT_ADDRESS) % leaf_size(level))
        return 0;
    for (const uint64_t *end = leaves + 512; leaves < end; leaves++, expected += size) {
        if ((*leaves & ~flags) != expected)
            return 0;
        seen |= *leaves;
    }
    return first | (seen & flags) | EPT_LARGE;
}

uint64_t ept_sum(const struct ept *e, gpa_t at, enum ept_level level)
{
    unsigned found;
    const uint64_t *entry = walk_to(e, at, level, &found);
    if (!ept_level_is_there(level) || found != (unsigned)level || !is_present(*entry) ||
        is_leaf(*entry, level))
        return 0;
    uint64_t leaf = sum_of(table_of(*entry), level);
    enum cache_type type;
    bool uniform =
        !ept_features.memory_type || ept_features.memory_type(hpa(leaf & EPT_ADDRESS), level, &type);
    return uniform ? leaf : 0;
}

pfn_t ept_merge(struct ept *e, gpa_t at, enum ept_level level, uint64_t leaf)
{
    unsigned found;
    uint64_t *entry = walk_to(e, at, level, &found);
    pfn_t unused = pfn((*entry & EPT_ADDRESS) >> PAGE_SHIFT);
    __atomic_store_n(entry, leaf, __ATOMIC_RELEASE);
    if (e->last_region == at.v >> 21)
        e->last_region = ~0ull;
    return unused;
}

enum error ept_unmap(struct ept *e, gpa_t at, enum ept_level level, uint64_t *was)
{
    unsigned found;
    uint64_t *entry = ept_walk(e, at, &found);
    if (!is_present(*entry))
        return E_NOT_FOUND;
    if (found != (unsigned)level || at.v % leaf_size(level))
        return E_INVALID;
    // The processor may be setting the dirty bit at this moment: what it wrote last is what we report.
    *was = __atomic_exchange_n(entry, 0, __ATOMIC_ACQ_REL);
    return E_OK;
}

enum error ept_protect(struct ept *e, gpa_t at, uint64_t rights)
{
    const uint64_t changes = EPT_RIGHTS | EPT_NO_WRITE;
    if (!ept_rights_are_sane(rights) || rights & ~changes)
        return E_INVALID;
    unsigned level;
    uint64_t *entry = ept_walk(e, at, &level), old = *entry;
    do {
        if (!is_present(old))
            return E_NOT_FOUND;
    } while (!__atomic_compare_exchange_n(entry, &old, (old & ~changes) | rights, false, __ATOMIC_ACQ_REL,
                                          __ATOMIC_RELAXED));
    return E_OK;
}

enum error ept_link(struct ept *e, gpa_t at, hpa_t directory)
{
    uint64_t *entry;
    enum error error = descend(e, at, PDPT, &entry);
    if (error != E_OK)
        return error;
    if (is_present(*entry) && !(*entry & EPT_LINK))
        return E_EXISTS;
    __atomic_store_n(entry, directory.v ? directory.v | EPT_RIGHTS | EPT_LINK : 0, __ATOMIC_RELEASE);
    return E_OK;
}

// ---- Taking a dead tree apart ----

struct reaper {
    struct ept *ept;
    int leaves, tables; // how many more of each this call may take
    bool (*gone)(struct ept *e, uint64_t *entry, enum ept_level level);
};

// Empties `table`; false when the budget ran out before it was empty. Recursion is four levels deep at most.
static bool reap_table(struct reaper *r, uint64_t *table, unsigned level)
{
    for (unsigned i = 0; i < 512; i++) {
        uint64_t entry = table[i];
        if (!is_present(entry) || entry & EPT_LINK)
            continue;
        if (is_leaf(entry, level)) {
            if (r->leaves <= 0)
                return false;
            r->leaves--;
            if (!r->gone(r->ept, &table[i], (enum ept_level)level))
                return false;
        } else {
            if (r->tables <= 0 || !reap_table(r, table_of(entry), level - 1))
                return false;
            r->tables--;
            r->ept->tables--;
            r->ept->give(r->ept, pfn((entry & EPT_ADDRESS) >> PAGE_SHIFT));
        }
        table[i] = 0;
    }
    return true;
}

bool ept_reap(struct ept *e, unsigned max_leaves,
              bool (*gone)(struct ept *e, uint64_t *entry, enum ept_level level))
{
    struct reaper r = {.ept = e, .leaves = (int)max_leaves, .tables = 2, .gone = gone};
    e->last_region = ~0ull;
    if (!e->tables || !reap_table(&r, pfn_to_virt(e->root), PML4))
        return !e->tables;
    e->tables = 0;
    e->give(e, e->root);
    return true;
}

uint64_t ept_pointer(const struct ept *e)
{
    uint64_t walk_length = 3ull << 3; // 4 levels, less one
    uint64_t dirty = ept_features.accessed_dirty ? 1ull << 6 : 0;
    return pfn_to_hpa(e->root).v | MT_WB | walk_length | dirty;
}
