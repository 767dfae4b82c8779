#include "kernel/shared_io.h"
#include "kernel/vm.h"
#include "mm/mm.h"

struct guarded {
    struct device device; // first
    struct device *inner;
    struct vm *vm;
};

struct shared_io {
    struct io_map io;
    struct guarded guarded[IO_DEVICE_COUNT];
};

static struct object_cache cache;

static uint8_t guarded_in(struct device *d, uint16_t port)
{
    struct guarded *g = (struct guarded *)d;
    lock_take(&g->vm->lock);
    uint8_t value = g->inner->ops->in(g->inner, port);
    lock_release(&g->vm->lock);
    return value;
}

static void guarded_out_wide(struct device *d, uint16_t port, unsigned width, uint32_t value)
{
    struct guarded *g = (struct guarded *)d;
    lock_take(&g->vm->lock);
    device_out(g->inner, port, width, value);
    lock_release(&g->vm->lock);
}

static void guarded_out(struct device *d, uint16_t port, uint8_t value)
{
    guarded_out_wide(d, port, 1, value);
}

static const struct device_ops guarded_ops = {
    .in = guarded_in, .out = guarded_out, .out_wide = guarded_out_wide};

void shared_io_init(void)
{
    object_cache_init(&cache, "shared ports", &frames, sizeof(struct shared_io), 64);
}

uint64_t shared_io_bytes(void)
{
    return object_cost(&cache);
}

enum error shared_io_create(struct shared_io **out, struct vm *vm, uint16_t owner, struct reason *why)
{
    struct shared_io *s = *out = object_alloc(&cache, owner);
    if (!s)
        return reason_set(why, E_NO_MEMORY, "no memory left for its ports");
    for (unsigned i = 0; i < IO_DEVICE_COUNT; i++) {
        s->guarded[i] = (struct guarded){{&guarded_ops}, vm->devices->io.devices[i], vm};
        s->io.devices[i] = &s->guarded[i].device;
    }
    return E_OK;
}

void shared_io_destroy(struct shared_io *s, uint16_t owner)
{
    if (s)
        object_free(&cache, s, owner);
}

struct io_map *shared_io_map(struct shared_io *s)
{
    return &s->io;
}
