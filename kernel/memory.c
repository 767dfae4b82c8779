#include "kernel/memory.h"
#include "kernel/vm.h"

static int64_t result(enum error e, uint64_t value)
{
    return e ? -(int64_t)e : (int64_t)value;
}

static int64_t leaf(struct vcpu *v, uint64_t page, uint64_t b, uint64_t c)
{
    (void)b, (void)c;
    return page >> (64 - PAGE_SHIFT) ? -E_BAD_ADDRESS : (int64_t)space_leaf_pages(v->space, gfn(page));
}

static int64_t rights(struct vcpu *v, uint64_t page, uint64_t pages, uint64_t bits)
{
    uint64_t done;
    if (bits > SLOT_RAM)
        return -E_INVALID;
    enum error e = space_set_rights(v->space, gfn(page), pages, (unsigned)bits, &done);
    vcpu_attention(v);
    return result(e, done);
}

static int64_t (*const calls[])(struct vcpu *v, uint64_t a, uint64_t b, uint64_t c) = {
    [MEMORY_LEAF] = leaf,
    [MEMORY_RIGHTS] = rights,
};

_Static_assert((int)MEMORY_READ == SLOT_READ && (int)MEMORY_WRITE == SLOT_WRITE &&
                   (int)MEMORY_EXEC == SLOT_EXEC,
               "the rights of the ABI are a slot's");

int64_t memory_call(struct vcpu *v, uint64_t op, uint64_t a, uint64_t b, uint64_t c)
{
    return op < array_size(calls) ? calls[op](v, a, b, c) : -E_INVALID;
}
