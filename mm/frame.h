// Frame records: one a physical page, 16 bytes, found by page frame number. And owners: whom a frame is
// charged to.
#pragma once
#include "arch/types.h"

// clang-format off
#define OWNERS(X)                                                                                            \
    X(NONE, "nobody")                                                                                        \
    X(KERNEL, "hypervisor")                                                                                  \
    X(CACHE, "zeroed in advance")                                                                            \
    X(OBJECTS, "object caches")                                                                              \
    X(TEST, "self test")
// clang-format on

enum owner {
#define X(name, text) OWNER_##name,
    OWNERS(X)
#undef X
        OWNER_VM = 8, // OWNER_VM + vm id: one owner a machine
    OWNER_COUNT = 1024,
};

enum frame_state {
    FRAME_NONE, // not the head of a block: reserved memory, or inside a block. Zero: fresh records mean this
    FRAME_FREE, // head of a free block, on the list of its order
    FRAME_USED, // head of an allocated block
};

struct frame {
    uint32_t next, prev; // free: links of its order's list; used: `next` is its owner's (quarantine)
    uint16_t owner;      // used: enum owner
    union {
        struct {
            uint8_t order; // head: the block has 2^order pages
            uint8_t state; // enum frame_state
        };
        uint16_t kind; // both at once: frame_kind()
    };
    uint32_t spare;
};
_Static_assert(sizeof(struct frame) == 16, "records cost 1/256 of RAM");

static inline uint16_t frame_kind(enum frame_state state, unsigned order)
{
    return (uint16_t)((unsigned)state << 8 | order);
}
