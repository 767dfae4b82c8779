#include "kernel/sleep.h"
#include "kernel/input.h"
#include "kernel/ipc.h"
#include "kernel/vm.h"

// vm->asleep: how many sleep in the lower half, how often one woke in the upper.
static const uint64_t ONE_SLEEPS = 1, ONE_WOKE = (1ull << 32) - 1;

// Devices and interrupt controllers, as they stand. A device's deadline stands until it has done what was due.
struct outlook {
    bool armed, pic, signals;
};

static struct outlook look_at_devices(struct vm *vm)
{
    struct outlook o = {0};
    vm_lock(vm);
    for (unsigned i = 0; i < DEVICE_TIMERS; i++)
        o.armed |= vm->device[i].deadline.v != ~0ull;
    o.pic = pic_pending(&vm->devices->pic);
    o.signals = ioapic_signals(&vm->devices->ioapic);
    vm_unlock(vm);
    return o;
}

// An end that the machine's line awaits and that comes from outside.
static bool end_is_near(const struct vm *vm)
{
    return vm->machine->expect == END_TIMEOUT || vm->machine->expect == END_DESTROYED || vm->watch;
}

// Whether one of the sleepers can wake.
static bool can_wake(struct vm *vm)
{
    if (end_is_near(vm))
        return true;
    struct outlook o = look_at_devices(vm);
    bool wakes = o.armed && o.signals, comes = o.armed || ipc_can_interrupt(vm) || input_is_for(vm);
    for (uint32_t i = 0; i < vm->cpu_count; i++) {
        const struct cpu *c = vm->cpus[i];
        bool interrupts = comes || (o.pic && lapic_takes_extint(&c->lapic));
        wakes |= lapic_posted(&c->lapic) || (c->takes_interrupts && interrupts);
    }
    return wakes;
}

bool sleep_fall(struct cpu *c, bool interrupts_on)
{
    struct vm *vm = c->vcpu.vm;
    if (interrupts_on && c->timer.index != TIMEOUT_IDLE) {
        sleep_rouse(c);
        return false;
    }
    c->takes_interrupts = interrupts_on;
    uint64_t asleep = __atomic_add_fetch(&vm->asleep, c->asleep ? 0 : ONE_SLEEPS, __ATOMIC_SEQ_CST);
    c->asleep = true;
    return (uint32_t)asleep == vm->cpu_count && !can_wake(vm) &&
           __atomic_load_n(&vm->asleep, __ATOMIC_SEQ_CST) == asleep;
}

void sleep_rouse(struct cpu *c)
{
    if (!c->asleep)
        return;
    c->asleep = false;
    __atomic_fetch_add(&c->vcpu.vm->asleep, ONE_WOKE, __ATOMIC_SEQ_CST);
}
