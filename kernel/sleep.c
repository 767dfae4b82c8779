#include "kernel/sleep.h"
#include "arch/pcpu.h"
#include "kernel/balloon.h"
#include "kernel/control.h"
#include "kernel/input.h"
#include "kernel/ipc.h"
#include "kernel/services.h"
#include "kernel/vm.h"
#include "mm/quarantine.h"

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
        o.armed |= vm->timer[i].deadline.v != ~0ull;
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

// By what other machines do or leave undone.
static bool others_can_interrupt(const struct vm *vm)
{
    return vm->balloon.vector || ipc_can_interrupt(vm, EVENTS_ALL);
}

// Whether one of the sleepers can wake; `last`: there is no other machine.
static bool can_wake(struct vm *vm, bool last)
{
    if (end_is_near(vm))
        return true;
    bool told = last ? ipc_can_interrupt(vm, EVENTS_ALARMS) : others_can_interrupt(vm);
    struct outlook o = look_at_devices(vm);
    bool wakes = o.armed && o.signals, comes = o.armed || told || input_is_for(vm);
    for (uint32_t i = 0; i < vm->cpu_count; i++) {
        const struct cpu *c = vm->cpus[i];
        bool interrupts = comes || (o.pic && lapic_takes_extint(&c->lapic));
        wakes |= lapic_posted(&c->lapic) || (c->takes_interrupts && interrupts);
    }
    return wakes;
}

// `asleep`: the counter, when it was found that all sleep.
static bool is_stuck(struct vm *vm, uint64_t asleep, bool last)
{
    return (uint32_t)asleep == vm->cpu_count && !can_wake(vm, last) &&
           __atomic_load_n(&vm->asleep, __ATOMIC_SEQ_CST) == asleep;
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
    bool last = vm_is_last(); // now: or a peer that goes finds us awake, and we it here, and nobody judges
    bool stuck = is_stuck(vm, asleep, last);
    if (stuck && last)
        sleep_note_last();
    return stuck && !last;
}

void sleep_rouse(struct cpu *c)
{
    if (!c->asleep)
        return;
    c->asleep = false;
    __atomic_fetch_add(&c->vcpu.vm->asleep, ONE_WOKE, __ATOMIC_SEQ_CST);
}

// ---- The last machine ----

static bool due;

void sleep_note_last(void)
{
    __atomic_store_n(&due, true, __ATOMIC_RELEASE);
    this_pcpu()->kick = 1;
}

// Its memory may still be on its way back, and it may want to know of that.
static void judge(struct vm *vm)
{
    uint64_t asleep = __atomic_load_n(&vm->asleep, __ATOMIC_SEQ_CST);
    if (quarantine_poll() || !balloon_at_rest())
        sleep_note_last();
    else if (is_stuck(vm, asleep, true))
        vm_end(vm, END_STUCK, 0, NULL);
}

bool sleep_step(void)
{
    if (likely(!__atomic_load_n(&due, __ATOMIC_RELAXED)) ||
        !__atomic_exchange_n(&due, false, __ATOMIC_ACQ_REL))
        return false;
    uint32_t id = 0;
    control_lock();
    struct vm *vm = vm_is_last() ? control_next(&id) : NULL;
    if (vm)
        judge(vm);
    control_unlock();
    return true;
}
