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

// Head of a used block: whether another space has it mapped, or may still reach it (mm/lend.c). At most one does.
enum frame_lent {
    LENT_NOT,
    LENT_OUT,
    LENT_ORPHAN, // its owner is gone: who has it frees it
};

struct frame {
    // Free: links of its order's list. Used: `next` is its owner's, `prev` is the guest's to whom it is lent
    // (quarantine).
    uint32_t next, prev;
    uint16_t owner; // used: enum owner
    union {
        struct {
            uint8_t order; // head: the block has 2^order pages
            uint8_t state; // enum frame_state
        };
        uint16_t kind; // both at once: frame_kind()
    };
    uint32_t lent; // enum frame_lent
};
_Static_assert(sizeof(struct frame) == 16, "records cost 1/256 of RAM");

static inline uint16_t frame_kind(enum frame_state state, unsigned order)
{
    return (uint16_t)((unsigned)state << 8 | order);
}
