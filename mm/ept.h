// Extended page tables, 4 levels, leaves of 4 KiB, 2 MiB and 1 GiB. SDM "The Extended Page Table Mechanism
// (EPT)". The walker knows nothing of slots, locks or invalidation: struct space does. Addresses have 48 bits.
// Tables never leave while the root lives (processors may cache them): ept_reap() is for dead roots.
// Locking: the caller's (a space's lock).
#pragma once
#include "abi/error.h"
#include "arch/memory.h"
#include "arch/types.h"
#include "sdm/msr.h"

enum ept_level { EPT_4K, EPT_2M, EPT_1G }; // of a leaf; tables are named PT, PD, PDPT, PML4

// SDM "Format of an EPT Page-Table Entry that Maps a 4-KByte Page" and its siblings.
#define EPT_READ       (1ull << 0)
#define EPT_WRITE      (1ull << 1)
#define EPT_EXEC       (1ull << 2)
#define EPT_RIGHTS     (EPT_READ | EPT_WRITE | EPT_EXEC)
#define EPT_TYPE_SHIFT 3
#define EPT_TYPE       (7ull << EPT_TYPE_SHIFT)
#define EPT_LARGE      (1ull << 7)
#define EPT_ACCESSED   (1ull << 8)
#define EPT_DIRTY      (1ull << 9)
#define EPT_ADDRESS    0x000ffffffffff000ull
// Ignored by the processor, for struct space.
#define EPT_FOREIGN  (1ull << 52) // leaf: the frame belongs to another space
#define EPT_NO_WRITE (1ull << 53) // leaf: the page itself may not be written, whatever its slot allows
#define EPT_LINK     (1ull << 54) // to a page directory that many trees share
#define EPT_GIVEN    (1ull << 55) // no leaf: a hole of the balloon

// What the box can do, set once at start by the vmx room (IA32_VMX_EPT_VPID_CAP).
struct ept_features {
    bool accessed_dirty, pages_2m, pages_1g, exec_only;
    // Memory type of [at, at + 4 KiB << 9*level), from the MTRRs; false: not uniform, so that one leaf must
    // not map it. NULL when all RAM is write-back, as on any sane box: first touches are faster then.
    bool (*memory_type)(hpa_t at, enum ept_level level, enum cache_type *type);
};
extern struct ept_features ept_features;

struct ept {
    pfn_t root;
    uint64_t last_region;                     // gpa >> 21 of the page table used last; ~0: none
    uint64_t *last_table;                     // that table
    uint32_t tables;                          // tables, root included
    pfn_t (*take)(struct ept *e);             // a zeroed frame for a table; PFN_NONE: out of memory
    void (*give)(struct ept *e, pfn_t table); // takes a table back
};

// An empty root. E_NO_MEMORY.
enum error ept_init(struct ept *e, pfn_t (*take)(struct ept *), void (*give)(struct ept *, pfn_t));

// Maps the leaf at `at`; `rights` may have EPT_FOREIGN, EPT_ACCESSED and EPT_DIRTY with them. E_INVALID: unaligned,
// beyond 48 bits, rights that the SDM calls misconfigured.
// E_EXISTS: mapped already, or a finer table is there. E_UNSUPPORTED: no such leaf size, or its memory
// type is not uniform. E_NO_MEMORY.
enum error ept_map(struct ept *e, gpa_t at, hpa_t to, enum ept_level level, uint64_t rights);

// Whether leaves may have these rights, and are there in this size. SDM "EPT Misconfigurations".
bool ept_rights_are_sane(uint64_t rights);
bool ept_level_is_there(enum ept_level level);

// The entry that decides about `at`: a leaf, or where the walk ends for want of one; `level` is that of
// the table it lies in. Needs no lock to be called: tables come whole and stay; what the entry says may change.
uint64_t *ept_walk(const struct ept *e, gpa_t at, unsigned *level);
static inline uint64_t *ept_find(const struct ept *e, gpa_t at, unsigned *level)
{
    if (unlikely(e->last_region != at.v >> 21))
        return ept_walk(e, at, level);
    *level = EPT_4K;
    return &e->last_table[at.v >> 12 & 511];
}

// Replaces the large leaf `entry` of `level` by `table`, filled with leaves one size smaller: the same translation,
// accessed and dirty flags with it.
void ept_split_leaf(uint64_t *entry, unsigned level, pfn_t table);
// The inverse, in two steps. The leaf of `level` (EPT_2M, EPT_1G) that the table around `at` comes to, when its 512
// leaves map one aligned block with the same rights; flags add up. 0: no such table, or they do not go together.
uint64_t ept_sum(const struct ept *e, gpa_t at, enum ept_level level);
// Puts `leaf`, of ept_sum(), in the place of that table, which is returned: processors may still use it until they have
// passed a newer generation. It stays the caller's.
pfn_t ept_merge(struct ept *e, gpa_t at, enum ept_level level, uint64_t leaf);

// Removes the leaf at `at` (its first byte) and says what its entry was. E_NOT_FOUND; E_INVALID: a leaf of
// another size is there (split first). Invalidation is the caller's.
enum error ept_unmap(struct ept *e, gpa_t at, enum ept_level level, uint64_t *was);

// Changes the rights of the leaf at `at`, whatever its size; `rights` may have EPT_NO_WRITE. E_NOT_FOUND, E_INVALID.
enum error ept_protect(struct ept *e, gpa_t at, uint64_t rights);

// The 4-KiB entry for `at`; tables on the way are made. NULL: out of memory, or a large leaf is there.
uint64_t *ept_entry_slow(struct ept *e, gpa_t at) noinline_cold;
static inline uint64_t *ept_entry(struct ept *e, gpa_t at)
{
    uint64_t *table = e->last_table;
    if (unlikely(e->last_region != at.v >> 21))
        return ept_entry_slow(e, at);
    return &table[at.v >> 12 & 511];
}

// Takes a dead tree apart, `max_leaves` leaves and a few tables a call; `gone` gets each leaf's entry and level, and
// returns false when it put a table there in its place, which comes next time. Returns true when nothing is left, the
// root included.
bool ept_reap(struct ept *e, unsigned max_leaves,
              bool (*gone)(struct ept *e, uint64_t *entry, enum ept_level level));

// Links the page directory `directory`, which many trees may share and none of them owns, at the GiB that begins at
// `at`, or with hpa(0) takes it out; while linked its leaves translate, and nothing else may be done in that GiB.
// E_EXISTS: something of the tree's own is there; E_NO_MEMORY.
enum error ept_link(struct ept *e, gpa_t at, hpa_t directory);

// Value of the EPTP field: SDM "Extended-Page-Table Pointer (EPTP)".
uint64_t ept_pointer(const struct ept *e);
