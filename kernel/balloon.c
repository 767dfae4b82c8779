#include "kernel/balloon.h"
#include "arch/pcpu.h"
#include "kernel/control.h"
#include "kernel/memory.h"
#include "kernel/services.h"
#include "mm/mm.h"

enum { KEPT_SHARE = 16 }; // one part in so many of what could be shared stays free
// Memory is short when less than one part in so many of the box is free, until one in so many is.
enum { SHORT_SHARE = 16, ENOUGH_SHARE = 8 };

static bool stale;    // targets are to be set anew
static bool is_short; // as of the last look; changes under the lock

static uint64_t least(const struct vm *vm)
{
    return vm->machine->mem >> PAGE_SHIFT;
}

static uint64_t most(const struct vm *vm)
{
    return max_u64(vm->machine->mem, vm->machine->balloon) >> PAGE_SHIFT;
}

void balloon_init(struct vm *vm)
{
    vm->balloon.want = most(vm);
    vm->balloon.target = least(vm);
}

void balloon_changed(void)
{
    __atomic_store_n(&stale, true, __ATOMIC_RELEASE);
    this_pcpu()->kick = 1;
}

// ---- Targets ----

// Machines with a balloon that have no target yet.
struct sharing {
    uint64_t pages; // to be shared
    unsigned count;
    struct vm *vm[VM_MAX + 1];
};

static void set_target(struct vm *vm, uint64_t target)
{
    if (vm->balloon.target == target)
        return;
    vm->balloon.target = target;
    services_note(vm, EVENT_TARGET);
    if (vm->balloon.vector)
        lapic_post(&vm->cpus[vm->balloon.cpu]->lapic, vm->balloon.vector, false);
}

// Who needs no more than an equal share gets what it needs, which leaves more for the others; they get equal shares.
// What somebody wants changes meanwhile: what it gets is what is taken off.
static void share_out(struct sharing *s)
{
    for (unsigned before = 0; s->count && s->count != before;) {
        uint64_t share = s->pages / s->count;
        before = s->count;
        for (unsigned i = s->count; i-- > 0;) {
            struct vm *vm = s->vm[i];
            uint64_t want = __atomic_load_n(&vm->balloon.want, __ATOMIC_RELAXED), need = want - least(vm);
            if (need > share)
                continue;
            s->pages -= need;
            s->vm[i] = s->vm[--s->count];
            set_target(vm, want);
        }
    }
    for (unsigned i = 0; i < s->count; i++)
        set_target(s->vm[i], least(s->vm[i]) + s->pages / s->count);
}

// ---- Pressure ----

bool balloon_memory_is_short(void)
{
    return __atomic_load_n(&is_short, __ATOMIC_RELAXED);
}

static bool would_be_short(uint64_t available)
{
    return available < frames.total / (balloon_memory_is_short() ? ENOUGH_SHARE : SHORT_SHARE);
}

static void look_at_pressure(void)
{
    if (would_be_short(buddy_available(&frames)) == is_short)
        return;
    __atomic_store_n(&is_short, !is_short, __ATOMIC_RELAXED);
    struct vm *vm;
    for (uint32_t id = 0; (vm = control_next(&id));)
        services_note(vm, EVENT_PRESSURE);
}

static bool seems_short(void)
{
    return would_be_short(buddy_seems_available(&frames));
}

// ---- The chore ----

static void set_targets(void)
{
    static struct sharing s; // under the lock
    struct vm *vm;
    __atomic_store_n(&stale, false, __ATOMIC_SEQ_CST); // what changes from now on is looked at again
    s.count = 0;
    s.pages = buddy_available(&frames);
    for (uint32_t id = 0; (vm = control_next(&id));)
        if (vm->machine->balloon) {
            s.pages += space_held(vm->space) - least(vm);
            s.vm[s.count++] = vm;
        }
    s.pages -= s.pages / KEPT_SHARE;
    share_out(&s);
    look_at_pressure();
}

bool balloon_at_rest(void)
{
    bool is_over = unlikely(balloon_memory_is_short()) && !seems_short(); // some came back meanwhile
    return !__atomic_load_n(&stale, __ATOMIC_ACQUIRE) && !is_over;
}

bool balloon_step(void)
{
    if (balloon_at_rest())
        return false;
    control_lock();
    set_targets();
    control_unlock();
    return true;
}

// ---- Hypercalls ----

static int64_t outcome(struct vcpu *v, enum error e, uint64_t done)
{
    vcpu_attention(v);
    return e ? -(int64_t)e : (int64_t)done;
}

int64_t balloon_give(const struct memory_args *args)
{
    uint64_t done;
    enum error e = space_give(args->v->space, gfn(args->a), args->b, &done);
    return outcome(args->v, e, done);
}

int64_t balloon_take(const struct memory_args *args)
{
    uint64_t done;
    struct vcpu *v = args->v;
    enum error e = space_take(v->space, gfn(args->a), args->b, v->vm->balloon.target, &done);
    if (unlikely(seems_short()) && !balloon_memory_is_short())
        balloon_changed();
    return outcome(v, e, done);
}

int64_t balloon_figure(const struct memory_args *args)
{
    const struct vm *vm = args->v->vm;
    switch (args->a) {
    case BALLOON_HELD:
        return (int64_t)space_held(vm->space);
    case BALLOON_TARGET:
        return (int64_t)vm->balloon.target;
    case BALLOON_LEAST:
        return (int64_t)least(vm);
    case BALLOON_MOST:
        return (int64_t)most(vm);
    }
    return -E_INVALID;
}

int64_t balloon_want(const struct memory_args *args)
{
    struct vm *vm = args->v->vm;
    if (args->a < least(vm) || args->a > most(vm))
        return -E_INVALID;
    __atomic_store_n(&vm->balloon.want, args->a, __ATOMIC_RELAXED);
    balloon_changed();
    vcpu_attention(args->v);
    return 0;
}

int64_t balloon_event(const struct memory_args *args)
{
    struct vm *vm = args->v->vm;
    uint64_t vector = args->a;
    if (vector > 255 || (vector && vector < LAPIC_FIRST_VECTOR))
        return -E_INVALID;
    vm->balloon.cpu = args->v->index;
    vm->balloon.vector = (uint8_t)vector;
    return 0;
}
