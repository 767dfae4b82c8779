// The buddy allocator: physical frames in blocks of 2^order pages, order 0 (4 KiB) to 18 (1 GiB), each
// aligned to its size. One free list an order; a freed block merges with its buddy as far as that is free.
//
// Owns: every frame record and the charge of every owner. One lock, held for O(orders) steps at most.
// Invariants: a record is FRAME_FREE or FRAME_USED exactly where a block begins; two free buddies of one
// order never coexist (they would have merged); promised <= free.
//
// Promises: RAM of a machine is backed when first touched but promised when the machine is made. A plain
// allocation never eats into promised pages; a taker who holds a promise redeems it with
// buddy_alloc_promised.
#pragma once
#include "abi/error.h"
#include "arch/lock.h"
#include "mm/frame.h"

enum { BUDDY_ORDERS = 19, BUDDY_BATCH_MAX = 16 };

struct account {    // what one owner is charged; changed atomically, also without the lock
    uint32_t pages; // frames
    uint32_t bytes; // small objects inside frames of OWNER_OBJECTS
};

// The test option fail-alloc= (mm/failing.c): allocations are counted, and one fails.
struct failing {
    bool on;
    uint64_t at;    // the one that fails; 0: none does
    uint64_t count; // so many were asked for
    uint16_t owner; // in whose name; OWNER_NONE: in anybody's
};

struct buddy {
    struct lock lock;
    uint32_t batch_max;          // pages of a batch: BUDDY_BATCH_MAX, or 0 while allocations are counted
    uint32_t nonempty;           // bit n: the list of order n has a block
    uint32_t list[BUDDY_ORDERS]; // page frame number of the first block; 0: none (frame 0 is never ours)
    struct frame *frames;        // record of frame n at [n]
    uint64_t count;              // records: frames 0 to count - 1
    uint64_t total;              // pages ever added
    uint64_t free;               // pages on the lists
    uint64_t promised;           // of them, promised and not redeemed yet
    struct account account[OWNER_COUNT];
    struct failing failing;
};

// `records`: zeroed memory for `count` frame records. All frames are reserved until added. count < 2^32.
void buddy_init(struct buddy *b, struct frame *records, uint64_t count);

// Gives the frames [first, end) to the allocator, in as few blocks as alignment allows: O(orders).
// E_INVALID: frame 0, empty or beyond the records. E_DOUBLE_FREE: first or last are ours already.
enum error buddy_add(struct buddy *b, pfn_t first, pfn_t end);

// A block of 2^order pages charged to `owner`, contents undefined. PFN_NONE: nothing that big is free and
// not promised to others. Takes the lock.
pfn_t buddy_alloc(struct buddy *b, unsigned order, uint16_t owner);
// A block of 2^order pages for a holder of as many promises, which are redeemed by it. PFN_NONE: nothing that big is
// free; one page always is.
pfn_t buddy_alloc_promised(struct buddy *b, unsigned order, uint16_t owner);
// Up to `n` single pages (n <= BUDDY_BATCH_MAX), as one block if there is one; first redeems `redeem` promises whose
// pages were taken out of an earlier batch. Returns how many pages `to` got; never eats into promises.
unsigned buddy_alloc_batch(struct buddy *b, uint32_t *to, unsigned n, uint16_t owner, uint64_t redeem);

// Frees the block that begins at `f`. E_DOUBLE_FREE: it is free already; E_FOREIGN: charged to another owner
// or never in the allocator; E_INVALID: inside a block. On error nothing changed.
enum error buddy_free(struct buddy *b, pfn_t f, uint16_t owner);
// The same for a block of buddy_alloc_promised(), whose pages are promised again: nobody can take them in between.
enum error buddy_free_promised(struct buddy *b, pfn_t f, uint16_t owner);

// Cuts an allocated block, which is no smaller, into blocks of 2^order pages, each to be freed on its own. Errors as
// buddy_free.
enum error buddy_split(struct buddy *b, pfn_t f, unsigned order, uint16_t owner);
// Makes one block of 2^order pages of blocks of 2^part pages of `owner`, none of them lent. E_INVALID: they are not.
enum error buddy_join(struct buddy *b, pfn_t f, unsigned order, unsigned part, uint16_t owner);

// Promises `pages`: E_NO_MEMORY when so many are not free and unpromised. buddy_unreserve takes it back.
enum error buddy_reserve(struct buddy *b, uint64_t pages);
void buddy_unreserve(struct buddy *b, uint64_t pages);

// Test hook. From now on the `n`-th allocation in the name of `owner` (OWNER_NONE: of anybody) fails, as if memory
// had run out; with n = 0 none does, but there are no batches any more. Allocations are what asks buddy_fails():
// blocks for machines, promises, large blocks that were promised, objects. Caches of frames must be empty.
void buddy_fail(struct buddy *b, uint64_t n, uint16_t owner);
// Counts an allocation: whether it fails.
bool buddy_fails_counted(struct buddy *b, uint16_t owner) noinline_cold;
static inline bool buddy_fails(struct buddy *b, uint16_t owner)
{
    return unlikely(b->failing.on) && buddy_fails_counted(b, owner);
}
// buddy_alloc() for what a machine needs, which is where it is made to fail.
static inline pfn_t buddy_alloc_or_fail(struct buddy *b, unsigned order, uint16_t owner)
{
    return buddy_fails(b, owner) ? PFN_NONE : buddy_alloc(b, order, owner);
}

static inline uint64_t buddy_owned(const struct buddy *b, uint16_t owner) // pages
{
    return __atomic_load_n(&b->account[owner].pages, __ATOMIC_RELAXED);
}
// Pages that a plain allocation can get at best.
uint64_t buddy_available(struct buddy *b);
// The same without the lock: an estimate while others allocate.
static inline uint64_t buddy_seems_available(const struct buddy *b)
{
    uint64_t free = __atomic_load_n(&b->free, __ATOMIC_RELAXED);
    uint64_t promised = __atomic_load_n(&b->promised, __ATOMIC_RELAXED);
    return free > promised ? free - promised : 0;
}

// How many blocks of each order `owner` holds; OWNER_NONE: how many are on the free lists. Slow: between machines'
// lives.
void buddy_count_blocks(struct buddy *b, uint16_t owner, uint32_t blocks[BUDDY_ORDERS]);
// How many free blocks of each order there would be if every block were free that is not `keeper`'s. What is
// free decides its blocks, in whatever order it was freed: merging leaves one way to cut it. Slow, as above.
void buddy_count_at_rest(struct buddy *b, uint16_t keeper, uint32_t blocks[BUDDY_ORDERS]);
