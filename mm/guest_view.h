// Reading a guest's memory on its own processor without the space's lock, through the EPT's page table used last.
// Legal as the guest's own reads are: this processor's seat holds the space, so frames that somebody unmaps meanwhile
// wait until it has entered a guest again (mm/quarantine.h), and tables stay while the space lives.
#pragma once
#include "mm/ept.h"
#include "mm/space.h"

struct guest_view {
    struct space *space;
    uint64_t region; // gpa >> 21 of `table`; ~0: none yet
    const uint64_t *table;
};

// As guest_peek(), for another page table than the last.
const void *guest_peek_far(struct guest_view *g, gpa_t at);

// Where the byte at `at` and the rest of its page can be read, until the processor enters a guest. NULL: no RAM, or
// never touched. For the space that this processor runs.
static inline const void *guest_peek(struct guest_view *g, gpa_t at)
{
    if (unlikely(g->region != at.v >> 21))
        return guest_peek_far(g, at);
    uint64_t entry = __atomic_load_n(&g->table[at.v >> PAGE_SHIFT & 511], __ATOMIC_ACQUIRE);
    if (unlikely(!(entry & EPT_READ)))
        return NULL;
    const char *byte = (const char *)hpa_to_virt(hpa(entry & EPT_ADDRESS)) + at.v % PAGE_SIZE;
    if (!byte)
        __builtin_unreachable(); // the direct map does not begin at 0: callers need not test this one
    return byte;
}
