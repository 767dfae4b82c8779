// Object caches: structures of one size each, cut from pages (slabs), zeroed when handed out. Objects that
// leave no room for a second one in a page take a block of their own from the buddy, aligned to its size.
// Each object is charged to an owner; a double or foreign free is an error, not a corruption.
// Locking: one lock a cache, taken inside.
#pragma once
#include "arch/list.h"
#include "mm/buddy.h"

struct object_cache {
    struct buddy *buddy;
    struct lock lock;
    uint32_t size;       // of an object, bytes, rounded up to its alignment
    uint32_t first;      // offset of the first object in a slab
    uint16_t per_slab;   // objects in a slab; 0: each object is a block of its own
    uint16_t order;      // of such a block
    struct list partial; // slabs with a free place
};

// `size` bytes up to 1 MiB, `align` a power of two up to a page.
void object_cache_init(struct object_cache *c, struct buddy *b, size_t size, size_t align);

// A zeroed object charged to `owner`; NULL when out of memory.
void *object_alloc(struct object_cache *c, uint16_t owner);
// E_DOUBLE_FREE, E_FOREIGN, E_INVALID (not the start of an object) leave everything as it was.
enum error object_free(struct object_cache *c, void *object, uint16_t owner);

// What one object costs its owner, bytes.
uint64_t object_cost(const struct object_cache *c);
