#include "arch/cpu.h"
#include "arch/pcpu.h"
#include "arch/tsc.h"
#include "kernel/input.h"
#include "kernel/vm.h"
#include "kernel/watch.h"

static struct pcpu *home_of(const struct vm *vm)
{
    return sched_home(&vm->cpus[0]->vcpu.sched);
}

static void set_timeout(struct vm *vm, struct timeout *t, tsc_t deadline)
{
    if (!(vm->stops & STOP_ENDED)) // a timeout must not outlive its machine
        timeout_set(home_of(vm)->timeouts, t, deadline);
}

static void deadline_passed(struct timeout *t)
{
    vm_end(container_of(t, struct vm, deadline), END_TIMEOUT, 0, NULL);
}

enum { LOOK_US = 20000, FLIP_US = 10000 };

static void look_at_screen(struct timeout *t)
{
    struct vm *vm = container_of(t, struct vm, look);
    enum screen_verdict seen = screen_watch_step(vm->watch, vm->space);
    if (seen == SCREEN_NOTHING)
        set_timeout(vm, t, tsc(rdtsc().v + tsc_from_us(LOOK_US).v));
    else
        vm_end(vm, seen == SCREEN_EXPECTED ? END_SCREEN : END_SCREEN_FAIL, 0, NULL);
}

// The test hook: memory that forgets a bit now and then.
static void flip_bit(struct timeout *t)
{
    struct vm *vm = container_of(t, struct vm, flip);
    uint8_t *byte = guest_map(vm->space, gpa(vm->machine->flip), 1);
    if (byte)
        __atomic_fetch_xor(byte, 1, __ATOMIC_RELAXED);
    set_timeout(vm, t, tsc(rdtsc().v + tsc_from_us(FLIP_US).v));
}

// What is asked for by other processors, and what is put off: done when the first vCPU looks at its events.
enum vm_want {
    WANT_INPUT = 1,
    WANT_TIMER = 2,                        // shifted by the timer's number
    WANT_EXPIRED = WANT_TIMER << VM_TIMERS // likewise
};

// Under the lock. What it is for asks anew, or for nothing.
static void expire(struct vm *vm, unsigned which)
{
    vm->timer[which].deadline = tsc(~0ull);
    if (which != VM_TIMER_PARTIAL) {
        devices_expire(vm->devices, (enum device_timer)which);
        return;
    }
    guest_console_poll(&vm->console, rdtsc());
    if (vm->console.deadline.v != ~0ull)
        vm_arm(vm, which, vm->console.deadline);
}

// As with the timers of local APICs (kernel/cpu.c): what a device does, it does in its machine's turns.
static void timer_event(struct timeout *t)
{
    struct vm_timer *timer = container_of(t, struct vm_timer, timeout);
    struct vm *vm = timer->vm;
    unsigned which = (unsigned)(timer - vm->timer);
    if (this_pcpu()->current != &vm->cpus[0]->vcpu) {
        __atomic_fetch_or(&vm->wanted, WANT_EXPIRED << which, __ATOMIC_RELEASE);
        cpu_look(vm->cpus[0]);
        return;
    }
    vm_lock(vm);
    expire(vm, which);
    vm_unlock(vm);
}

void vm_init_timeouts(struct vm *vm)
{
    for (unsigned i = 0; i < VM_TIMERS; i++) {
        vm->timer[i].vm = vm;
        vm->timer[i].deadline = tsc(~0ull);
        timeout_init(&vm->timer[i].timeout, timer_event);
    }
    timeout_init(&vm->deadline, deadline_passed);
    timeout_init(&vm->look, look_at_screen);
    timeout_init(&vm->flip, flip_bit);
}

void vm_start_timeouts(struct vm *vm)
{
    devices_start(vm->devices);
    uint64_t now = rdtsc().v;
    if (vm->machine->timeout_us)
        set_timeout(vm, &vm->deadline, tsc(now + tsc_from_us(vm->machine->timeout_us).v));
    if (vm->watch)
        set_timeout(vm, &vm->look, tsc(now + tsc_from_us(LOOK_US).v));
    if (vm->machine->flip)
        set_timeout(vm, &vm->flip, tsc(now + tsc_from_us(FLIP_US).v));
}

void vm_for_timeouts(struct vm *vm, void (*act)(struct timeouts *ts, struct timeout *t))
{
    struct timeout *const all[] = {&vm->deadline, &vm->look, &vm->flip};
    _Static_assert(array_size(all) + VM_TIMERS == VM_TIMEOUTS, "all of them");
    for (unsigned i = 0; i < array_size(all); i++)
        act(this_pcpu()->timeouts, all[i]);
    for (unsigned i = 0; i < VM_TIMERS; i++)
        act(this_pcpu()->timeouts, &vm->timer[i].timeout);
}

// ---- On its behalf, from elsewhere ----

void vm_want_input(struct vm *vm)
{
    __atomic_fetch_or(&vm->wanted, WANT_INPUT, __ATOMIC_RELEASE);
    cpu_look(vm->cpus[0]);
}

// On the home. The vCPU that runs has its own deadline set anew.
static void arm(struct vm *vm, struct vm_timer *timer)
{
    if (timer->deadline.v == ~0ull) {
        timeout_cancel(home_of(vm)->timeouts, &timer->timeout);
        return;
    }
    set_timeout(vm, &timer->timeout, timer->deadline);
    if (this_pcpu()->current)
        vcpu_attention(this_pcpu()->current);
}

// From elsewhere the home is asked.
void vm_arm(struct vm *vm, unsigned which, tsc_t deadline)
{
    vm->timer[which].deadline = deadline;
    if (home_of(vm) == this_pcpu()) {
        arm(vm, &vm->timer[which]);
        return;
    }
    __atomic_fetch_or(&vm->wanted, WANT_TIMER << which, __ATOMIC_RELEASE);
    cpu_look(vm->cpus[0]);
}

void vm_home_work(struct vm *vm)
{
    if (likely(!vm->wanted))
        return;
    uint32_t wanted = __atomic_exchange_n(&vm->wanted, 0, __ATOMIC_ACQUIRE);
    vm_lock(vm);
    if (wanted & WANT_INPUT)
        input_deliver(vm);
    for (unsigned i = 0; i < VM_TIMERS; i++) {
        if (wanted & WANT_TIMER << i)
            arm(vm, &vm->timer[i]);
        if (wanted & WANT_EXPIRED << i)
            expire(vm, i);
    }
    vm_unlock(vm);
}
