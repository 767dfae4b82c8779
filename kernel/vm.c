#include "kernel/vm.h"
#include "arch/cpu.h"
#include "arch/format.h"
#include "arch/log.h"
#include "arch/pcpu.h"
#include "arch/tsc.h"
#include "dev/devices.h"
#include "kernel/dev_host.h"
#include "kernel/ending.h"
#include "kernel/options.h"
#include "kernel/report.h"
#include "kernel/watch.h"
#include "mm/mm.h"
#include "vmx/vmx.h"

static struct object_cache vm_cache, vcpu_cache, devices_cache;
static void (*when_all_ended)(void);
static uint32_t count; // machines that are not destroyed, and one while the boot processor builds

// Per processor: machines that were built for it and that it has to adopt, and those that ended on it.
static struct home {
    struct lock lock; // guards `built`; the rest belongs to the processor
    struct list built, ended;
    uint32_t machines; // ever placed here; the boot processor's
} homes[PCPU_MAX];

static uint16_t owner_of(const struct vm *vm)
{
    return (uint16_t)(OWNER_VM + vm->id);
}

void vm_init(void (*all_ended)(void))
{
    when_all_ended = all_ended;
    count = 1;
    object_cache_init(&vm_cache, "vm", &frames, sizeof(struct vm), 64);
    object_cache_init(&vcpu_cache, "vcpu", &frames, sizeof(struct vcpu), 64);
    object_cache_init(&devices_cache, "devices", &frames, devices_size(), 64);
    watch_init();
    for (uint32_t i = 0; i < PCPU_MAX; i++)
        homes[i] = (struct home){.built = {&homes[i].built, &homes[i].built}, .ended = {&homes[i].ended, &homes[i].ended}};
}

uint64_t vm_bytes(const struct vm *vm)
{
    return object_cost(&vm_cache) + object_cost(&vcpu_cache) + object_cost(&devices_cache) + vcpu_bytes() +
           space_bytes(vm->space) + (vm->watch ? watch_bytes() : 0);
}

// ---- Timeouts of a machine ----

static void set_timeout(struct vm *vm, struct timeout *t, tsc_t deadline)
{
    if (!vm->ended) // a timeout must not outlive its machine
        timeout_set(vm->vcpu->sched.home->timeouts, t, deadline);
}

static void deadline_passed(struct timeout *t)
{
    vm_end(container_of(t, struct vm, deadline), END_TIMEOUT, 0, NULL);
}

static void flush_partial(struct timeout *t)
{
    struct vm *vm = container_of(t, struct vm, partial);
    guest_console_poll(&vm->console, rdtsc());
    if (vm->console.deadline.v != ~0ull)
        set_timeout(vm, t, vm->console.deadline);
}

enum { LOOK_US = 20000, FLIP_US = 10000 };

static void look_at_screen(struct timeout *t)
{
    struct vm *vm = container_of(t, struct vm, look);
    enum screen_verdict seen = watch_step(vm->watch, vm->space);
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

static void init_timeouts(struct vm *vm)
{
    timeout_init(&vm->deadline, deadline_passed);
    timeout_init(&vm->partial, flush_partial);
    timeout_init(&vm->look, look_at_screen);
    timeout_init(&vm->flip, flip_bit);
}

static void start_timeouts(struct vm *vm)
{
    uint64_t now = rdtsc().v;
    if (vm->machine->timeout_ms)
        set_timeout(vm, &vm->deadline, tsc(now + tsc_from_ms(vm->machine->timeout_ms).v));
    if (vm->watch)
        set_timeout(vm, &vm->look, tsc(now + tsc_from_us(LOOK_US).v));
    if (vm->machine->flip)
        set_timeout(vm, &vm->flip, tsc(now + tsc_from_us(FLIP_US).v));
}

static void cancel_timeouts(struct vm *vm)
{
    struct timeout *const all[] = {&vm->deadline, &vm->partial, &vm->look, &vm->flip};
    for (unsigned i = 0; i < array_size(all); i++)
        timeout_cancel(vm->vcpu->sched.home->timeouts, all[i]);
}

// ---- Building ----

// The processor with the fewest machines among those that cpu= allows; NULL: none of them runs.
static struct home *place(const struct machine *m)
{
    struct home *best = NULL;
    for (uint32_t i = 0; i < pcpu_count; i++)
        if (vmx_is_on(&pcpus[i]) && (!m->cpus || m->cpus >> i & 1) && (!best || homes[i].machines < best->machines))
            best = &homes[i];
    return best;
}

static enum error build_memory(struct vm *vm, struct reason *why)
{
    vm->space = space_create(owner_of(vm));
    if (!vm->space)
        return reason_set(why, E_NO_MEMORY, "no memory left for its page tables");
    enum error e = space_add_slot(vm->space, gfn(0), vm->machine->mem >> PAGE_SHIFT, SLOT_RAM);
    if (e)
        return reason_set(why, e, "mem=%luK with its page tables does not fit: %luK of the box are left", vm->machine->mem >> 10,
                          buddy_available(&frames) << (PAGE_SHIFT - 10));
    return E_OK;
}

static enum error build_devices(struct vm *vm, struct reason *why)
{
    vm->devices = object_alloc(&devices_cache, owner_of(vm));
    if (!vm->devices)
        return reason_set(why, E_NO_MEMORY, "no memory left for its devices");
    devices_init(vm->devices, &dev_host, vm, vm->machine->mem);
    return watch_create(&vm->watch, vm->machine, owner_of(vm), why);
}

static enum error build_vcpu(struct vm *vm, struct pcpu *home, const struct guest_start *start, struct reason *why)
{
    uint64_t slice = vm->machine->slice_us ? vm->machine->slice_us : options.slice_us;
    struct vcpu *v = vm->vcpu = object_alloc(&vcpu_cache, owner_of(vm));
    if (v) {
        v->vm = vm;
        v->space = vm->space;
        v->io = devices_io(vm->devices);
        v->vm_id = vm->id;
        v->rights = vm->machine->rights;
        v->vpid = (uint16_t)(vm->id + 1);
        sched_node_init(&v->sched, home, tsc(min_u64(tsc_from_us(slice).v, vcpu_longest_turn().v)));
    }
    if (!v || vcpu_create(v, owner_of(vm), start))
        return reason_set(why, E_NO_MEMORY, "no memory left for its vCPU");
    return E_OK;
}

// Gives back what there is of a machine, whole or half built.
static void destroy(struct vm *vm)
{
    uint16_t owner = owner_of(vm);
    if (vm->vcpu) {
        vcpu_destroy(vm->vcpu, owner);
        object_free(&vcpu_cache, vm->vcpu, owner);
    }
    if (vm->devices)
        object_free(&devices_cache, vm->devices, owner);
    watch_destroy(vm->watch, owner);
    if (vm->space)
        space_destroy(vm->space);
    object_free(&vm_cache, vm, owner);
}

static enum error build(struct vm *vm, const struct verdict *v, struct blob image, struct pcpu *home, struct reason *why)
{
    struct guest_start start = {0};
    enum error e = build_memory(vm, why);
    if (!e)
        e = loader_load(vm->machine, image, v->initrd, vm->id, tsc_hz, vm->space, &start, why);
    if (!e)
        e = build_devices(vm, why);
    if (!e)
        e = build_vcpu(vm, home, &start, why);
    return e;
}

static struct vm *vm_alloc(const struct machine *m, uint32_t id)
{
    struct vm *vm = object_alloc(&vm_cache, (uint16_t)(OWNER_VM + id));
    if (!vm)
        return NULL;
    vm->id = id;
    vm->machine = m;
    list_init(&vm->link);
    init_timeouts(vm);
    guest_console_init(&vm->console, m->name, tsc_hz);
    return vm;
}

// Its processor sets the timeouts and runs it: see vm_adopt().
static void hand_over(struct vm *vm, struct home *home)
{
    struct pcpu *p = &pcpus[home - homes];
    home->machines++;
    __atomic_add_fetch(&count, 1, __ATOMIC_RELEASE);
    lock_take(&home->lock);
    list_push_back(&home->built, &vm->link);
    lock_release(&home->lock);
    p->kick = 1;
    if (p != this_pcpu())
        pcpu_kick(p);
}

static bool refused(const struct machine *m, const struct reason *why)
{
    bool expected = m->expect == END_LOAD;
    report_point(expected ? POINT_OK : POINT_NOT_OK, m->name, "load", why->text);
    return false;
}

bool vm_create(const struct verdict *v, struct blob image, uint32_t id)
{
    const struct machine *m = &v->machine;
    struct reason why = v->why;
    uint64_t begun = rdtsc().v;
    if (v->role == MODULE_REFUSED)
        return refused(m, &why);
    struct home *home = place(m);
    if (!home) {
        reason_set(&why, E_NOT_FOUND, "cpu= allows none of the processors that run machines (0 to %u)", vmx_processors() - 1);
        return refused(m, &why);
    }
    struct vm *vm = vm_alloc(m, id);
    if (!vm) {
        reason_set(&why, E_NO_MEMORY, "no memory left for a machine");
        return refused(m, &why);
    }
    if (build(vm, v, image, &pcpus[home - homes], &why)) {
        destroy(vm);
        return refused(m, &why);
    }
    vm->create_ticks = rdtsc().v - begun;
    hand_over(vm, home);
    return true;
}

bool vm_adopt(void)
{
    struct home *home = &homes[this_pcpu()->id];
    if (list_empty(&home->built))
        return false;
    lock_take(&home->lock);
    struct vm *vm = list_entry(home->built.next, struct vm, link);
    list_remove(&vm->link);
    lock_release(&home->lock);
    start_timeouts(vm);
    sched_wake(&vm->vcpu->sched);
    return true;
}

// ---- Ending ----

void vm_end(struct vm *vm, enum ending how, uint64_t code, const char *detail)
{
    if (vm->ended)
        return;
    vm->ended = true;
    vm->how = how;
    vm->code = code;
    format(vm->detail, sizeof vm->detail, "%s", detail ? detail : ending_text(how));
    cancel_timeouts(vm);
    sched_end(&vm->vcpu->sched, rdtsc());
    list_push_back(&homes[this_pcpu()->id].ended, &vm->link);
    this_pcpu()->kick = 1;
    vcpu_attention(vm->vcpu);
}

static void one_less(void)
{
    if (__atomic_sub_fetch(&count, 1, __ATOMIC_ACQ_REL) == 0)
        when_all_ended();
}

void vm_all_built(void)
{
    one_less();
}

bool vm_reap(void)
{
    struct list *list = &homes[this_pcpu()->id].ended;
    if (list_empty(list))
        return false;
    struct vm *vm = list_entry(list->next, struct vm, link);
    if (!ending_tell(vm))
        return true;
    list_remove(&vm->link);
    if (this_pcpu()->current == vm->vcpu)
        vcpu_leave();
    destroy(vm);
    one_less();
    return true;
}

size_t vm_console_write(struct vm *vm, const char *bytes, size_t n)
{
    if (!vm->machine->console)
        return n;
    size_t taken = guest_console_write(&vm->console, bytes, n, rdtsc());
    if (vm->console.deadline.v != ~0ull && vm->partial.index == TIMEOUT_IDLE)
        set_timeout(vm, &vm->partial, vm->console.deadline);
    return taken;
}
