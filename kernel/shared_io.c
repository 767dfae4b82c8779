#include "kernel/shared_io.h"
#include "kernel/vm.h"

static uint32_t guarded_in_wide(struct device *d, uint16_t port, unsigned width)
{
    struct vm *vm = container_of(d, struct shared_io, guard)->vm;
    lock_take(&vm->lock);
    uint32_t value = io_in(&vm->devices->io, port, width);
    lock_release(&vm->lock);
    return value;
}

static void guarded_out_wide(struct device *d, uint16_t port, unsigned width, uint32_t value)
{
    struct vm *vm = container_of(d, struct shared_io, guard)->vm;
    lock_take(&vm->lock);
    io_out(&vm->devices->io, port, width, value);
    lock_release(&vm->lock);
}

static uint8_t guarded_in(struct device *d, uint16_t port)
{
    return (uint8_t)guarded_in_wide(d, port, 1);
}

static void guarded_out(struct device *d, uint16_t port, uint8_t value)
{
    guarded_out_wide(d, port, 1, value);
}

void shared_io_init(struct shared_io *s, struct vm *vm)
{
    static const struct device_ops ops = {guarded_in, guarded_out, guarded_in_wide, guarded_out_wide};
    *s = (struct shared_io){.guard = {&ops}, .vm = vm};
    for (unsigned i = 0; i < IO_DEVICE_COUNT; i++)
        s->io.devices[i] = &s->guard;
}
