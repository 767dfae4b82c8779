#include "kernel/home.h"
#include "arch/cpu.h"
#include "arch/lock.h"
#include "arch/pcpu.h"
#include "kernel/control.h"
#include "kernel/ending.h"
#include "kernel/input.h"
#include "kernel/ipc.h"
#include "kernel/services.h"
#include "kernel/vm.h"
#include "vmx/vmx.h"

static struct home {
    struct lock lock;              // guards `arriving` and `leaving`; homes change under those of both
    struct list arriving, leaving; // given and taken by any processor
    struct list ended;             // they run no more; this processor's
    uint32_t vcpus;                // that live here, or will; atomic
} homes[PCPU_MAX];

void home_init(void)
{
    for (uint32_t i = 0; i < PCPU_MAX; i++) {
        homes[i] = (struct home){0};
        list_init(&homes[i].arriving);
        list_init(&homes[i].leaving);
        list_init(&homes[i].ended);
    }
}

struct pcpu *home_choose(uint64_t allowed)
{
    struct home *best = NULL;
    for (uint32_t i = 0; i < pcpu_count; i++)
        if (vmx_is_on(&pcpus[i]) && (!allowed || allowed >> i & 1) && (!best || homes[i].vcpus < best->vcpus))
            best = &homes[i];
    if (!best)
        return NULL;
    __atomic_add_fetch(&best->vcpus, 1, __ATOMIC_RELAXED);
    return &pcpus[best - homes];
}

void home_vacate(const struct pcpu *p)
{
    __atomic_sub_fetch(&homes[p->id].vcpus, 1, __ATOMIC_RELAXED);
}

// Locks the home of `c`, which may change until then. Any processor.
static struct pcpu *lock_home_of(struct cpu *c)
{
    for (;;) {
        struct pcpu *p = sched_home(&c->vcpu.sched);
        lock_take(&homes[p->id].lock);
        if (p == sched_home(&c->vcpu.sched))
            return p;
        lock_release(&homes[p->id].lock);
    }
}

void home_give(struct cpu *c)
{
    struct pcpu *p = lock_home_of(c);
    list_push_back(&homes[p->id].arriving, &c->link);
    lock_release(&homes[p->id].lock);
    pcpu_kick(p);
}

// Its timers, and with the first vCPU the machine's.
static void for_timeouts(struct cpu *c, void (*act)(struct timeouts *ts, struct timeout *t))
{
    struct services *s = c->vcpu.vm->services;
    struct timeout *const all[] = {&c->timer, &c->receive.patience,
                                   s ? &s->alarm[c->vcpu.index].timeout : NULL};
    _Static_assert(array_size(all) == CPU_TIMEOUTS, "all of them");
    for (unsigned i = 0; i < array_size(all); i++)
        if (all[i])
            act(this_pcpu()->timeouts, all[i]);
    if (!c->vcpu.index)
        vm_for_timeouts(c->vcpu.vm, act);
}

// The vCPU leaves the ring and its timers the heap, at once.
static void stop(struct cpu *c)
{
    if (!c->left) {
        sched_end(&c->vcpu.sched, rdtsc());
        for_timeouts(c, timeout_cancel);
    }
    list_push_back(&homes[this_pcpu()->id].ended, &c->link);
    this_pcpu()->kick = 1;
    vcpu_attention(&c->vcpu);
}

// It may not even have been started: it is in one list at a time.
void home_take(struct cpu *c)
{
    struct pcpu *p = lock_home_of(c);
    struct home *home = &homes[p->id];
    list_remove(&c->link);
    if (p != this_pcpu())
        list_push_back(&home->leaving, &c->link);
    lock_release(&home->lock);
    if (p != this_pcpu())
        pcpu_kick(p);
    else
        stop(c);
}

static struct cpu *pop(struct home *home, struct list *from)
{
    struct cpu *c = NULL;
    lock_take(&home->lock);
    if (!list_empty(from)) {
        c = list_entry(from->next, struct cpu, link);
        list_remove(&c->link);
    }
    lock_release(&home->lock);
    return c;
}

// A machine starts with its first vCPU; the others wait for a SIPI.
static void start(struct cpu *c)
{
    if (c->vcpu.index)
        return;
    vm_start_timeouts(c->vcpu.vm);
    input_start(c->vcpu.vm);
    sched_wake(&c->vcpu.sched);
}

// ---- Moves ----

// What hangs on its home but the ring: timers, and what of it the processor holds.
static void uproot(struct cpu *c)
{
    for_timeouts(c, timeout_suspend);
    vcpu_unload(&c->vcpu);
}

static void settle(struct cpu *c)
{
    for_timeouts(c, timeout_resume);
    ipc_settle(c);
    sched_arrive(&c->vcpu.sched);
}

// One that was woken while it waits for a message may get it from another vCPU of this processor, into its registers,
// until it has looked at its events.
static bool may_move(const struct sched_node *n)
{
    return container_of(n, struct cpu, vcpu.sched)->state != CPU_RECEIVES;
}

// Both locks, the lower id's first: nobody who looks for the home of a vCPU finds it between two.
static void lock_both(const struct pcpu *a, const struct pcpu *b)
{
    lock_take(&homes[a->id < b->id ? a->id : b->id].lock);
    lock_take(&homes[a->id < b->id ? b->id : a->id].lock);
}

static void unlock_both(const struct pcpu *a, const struct pcpu *b)
{
    lock_release(&homes[a->id].lock);
    lock_release(&homes[b->id].lock);
}

// A vCPU that waits for its turn here goes to a processor that asks for one. Whose machine has been ended meanwhile
// stays: it has been told to leave.
static bool give_away(void)
{
    struct pcpu *here = this_pcpu(), *to;
    struct sched_node *n = sched_depart(here->runq, may_move, &to);
    if (!n)
        return false;
    struct cpu *c = cpu_of(container_of(n, struct vcpu, sched));
    uproot(c);
    lock_both(here, to);
    bool told = !list_empty(&c->link);
    sched_set_home(n, told ? here : to);
    if (!told) {
        __atomic_add_fetch(&homes[to->id].vcpus, 1, __ATOMIC_RELAXED);
        home_vacate(here);
        list_push_back(&homes[to->id].arriving, &c->link);
    }
    unlock_both(here, to);
    if (told)
        settle(c);
    else
        pcpu_kick(to);
    return true;
}

static void arrive(struct cpu *c)
{
    if (c->vcpu.sched.state == SCHED_MOVING)
        settle(c);
    else
        start(c);
}

// All vCPUs of the machine have stopped: nobody wakes one of them any more, but a home may still have one in its
// inbox. Each home gets its own back, to forget it.
static void last_round(struct vm *vm)
{
    control_forget(vm);
    ipc_forget(vm);
    input_forget(vm);
    for (uint32_t i = 0; i < vm->cpu_count; i++)
        home_take(vm->cpus[i]);
}

static void forget(struct cpu *c)
{
    struct vm *vm = c->vcpu.vm;
    sched_take_inbox(this_pcpu()->runq);
    if (__atomic_sub_fetch(&vm->cpus_known, 1, __ATOMIC_ACQ_REL) == 0)
        vm_destroy(vm);
}

// The one that ended its machine tells of it first, step by step.
static void let_go(struct cpu *c)
{
    struct vm *vm = c->vcpu.vm;
    if (!c->left && c == vm->teller && !ending_tell(vm))
        return;
    list_remove(&c->link);
    if (c->left) {
        forget(c);
        return;
    }
    if (this_pcpu()->current == &c->vcpu)
        vcpu_leave();
    vcpu_retire(&c->vcpu);
    c->left = true;
    if (__atomic_sub_fetch(&vm->cpus_left, 1, __ATOMIC_ACQ_REL) == 0)
        last_round(vm);
}

bool home_step(void)
{
    struct home *home = &homes[this_pcpu()->id];
    for (struct cpu *c; (c = pop(home, &home->leaving));)
        stop(c);
    struct cpu *c = pop(home, &home->arriving);
    if (c)
        arrive(c);
    else if (!list_empty(&home->ended))
        let_go(list_entry(home->ended.next, struct cpu, link));
    else
        return give_away();
    return true;
}
