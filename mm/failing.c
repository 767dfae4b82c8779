// The test option fail-alloc=: an allocation fails though there is memory. While allocations are counted caches of
// frames stay empty, so that their frames count, too. Locking: none; counts are atomic.
#include "arch/log.h"
#include "mm/buddy.h"

void buddy_fail(struct buddy *b, uint64_t n, uint16_t owner)
{
    b->batch_max = 0;
    b->failing = (struct failing){.on = true, .at = n, .owner = owner};
}

bool buddy_fails_counted(struct buddy *b, uint16_t owner)
{
    struct failing *f = &b->failing;
    if (!f->at || (f->owner != OWNER_NONE && f->owner != owner))
        return false;
    uint64_t n = __atomic_add_fetch(&f->count, 1, __ATOMIC_RELAXED);
    if (n == f->at)
        log_info("allocation %lu fails", n);
    return n == f->at;
}
