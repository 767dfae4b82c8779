#include "kernel/fail_alloc.h"
#include "arch/log.h"
#include "kernel/options.h"
#include "mm/mm.h"

static const struct fail_alloc *const option = &options.fail_alloc;
static uint16_t owner; // whose allocations count, from the start on; OWNER_NONE: everybody's

void fail_alloc_init(void)
{
    if (option->n)
        buddy_fail(&frames, 0, OWNER_NONE);
}

void fail_alloc_start(const struct verdict *verdicts, uint32_t count)
{
    size_t id = machines_find(verdicts, count, option->machine);
    if (!option->n)
        return;
    if (*option->machine && id == count) {
        log_warn("fail-alloc=: no machine is called %s", option->machine);
        return;
    }
    owner = *option->machine ? (uint16_t)(OWNER_VM + id) : OWNER_NONE;
    buddy_fail(&frames, option->rising ? 0 : option->n, owner);
}

static bool rises(uint32_t id)
{
    return option->rising && owner == OWNER_VM + id;
}

void fail_alloc_life(uint32_t id)
{
    static uint64_t n;
    if (rises(id))
        buddy_fail(&frames, ++n, owner);
}

bool fail_alloc_again(uint32_t id, const struct reason *why)
{
    if (!rises(id) || frames.failing.count < frames.failing.at)
        return false;
    log_info("%s is built once more: %s", option->machine, why->text);
    return true;
}
