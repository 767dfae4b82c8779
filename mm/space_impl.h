// What a space is made of, for inlines of the entry path. Everybody else uses mm/space.h.
#pragma once
#include "arch/list.h"
#include "arch/lock.h"
#include "mm/ept.h"
#include "mm/quarantine.h"

enum { SPACE_SLOTS = 8 };

struct slot {
    uint64_t first, pages; // gfn
    uint64_t flags;        // enum slot_flags
    uint64_t leaf;         // what an EPT leaf of it has beside the address; 0: depends on the frame
};

struct space {
    uint64_t generation; // drawn anew whenever something was unmapped
    uint64_t eptp;       // value of the VMCS field
    struct lock lock;    // slots, tables, chains below
    uint16_t owner;
    bool dying;
    uint8_t slot_count;
    struct ept ept;
    uint64_t promised; // pages promised to this space by the buddy and not taken yet
    struct slot slot[SPACE_SLOTS];
    bool queued;            // the quarantine has something to do with this space
    struct list quarantine; // on its list, except while somebody works on it; guarded by its lock
    uint32_t waiting;       // frames that wait for `waiting_for`: chain through struct frame's next; 0: none
    uint32_t arriving;      // frames unmapped since
    uint64_t waiting_for;   // generation
};

// Draws a new generation, newer than all before.
uint64_t generation_draw(void);
// With the space's lock held: what it unmapped or left behind is the quarantine's affair from now on.
void quarantine_put(struct space *s);

// Whether the processor owes space_enter() a call before it enters a guest of `s`.
static inline bool seat_stale(const struct space *s, const struct seat *seat)
{
    return seat->space != s || seat->generation != __atomic_load_n(&s->generation, __ATOMIC_RELAXED);
}
