// What a space is made of, for inlines of the entry path. Everybody else uses mm/space.h.
#pragma once
#include "arch/list.h"
#include "arch/lock.h"
#include "mm/ept.h"
#include "mm/quarantine.h"

enum { SPACE_SLOTS = 8 };

struct slot {
    uint64_t first, end; // gfn, [first, end)
    enum slot_flags flags;
};

struct space {
    uint64_t generation; // drawn anew whenever something was unmapped
    uint64_t eptp;
    struct lock lock;    // slots, tables, chains below
    uint16_t owner;
    bool dying;
    uint8_t slot_count;
    struct ept ept;
    uint64_t promised;   // pages promised to this space by the buddy and not taken yet
    uint64_t backed;     // pages of RAM taken
    struct slot slot[SPACE_SLOTS];
    struct list quarantine; // on the quarantine's list while something waits
    uint32_t waiting;       // frames that wait for `waiting_for`: chain through struct frame's next; 0: none
    uint32_t arriving;      // frames unmapped since
    uint64_t waiting_for;   // generation
};

// Whether the processor owes space_enter() a call before it enters a guest of `s`. Two loads on the fast path.
static inline bool seat_stale(const struct space *s, const struct seat *seat)
{
    return seat->space != s || seat->generation != __atomic_load_n(&s->generation, __ATOMIC_RELAXED);
}
