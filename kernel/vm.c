#include "kernel/vm.h"
#include "arch/cpu.h"
#include "arch/features.h"
#include "arch/log.h"
#include "arch/pcpu.h"
#include "arch/tsc.h"
#include "kernel/balloon.h"
#include "kernel/control.h"
#include "kernel/dev_host.h"
#include "kernel/fail_alloc.h"
#include "kernel/home.h"
#include "kernel/ipc.h"
#include "kernel/options.h"
#include "kernel/report.h"
#include "kernel/shared_io.h"
#include "kernel/sleep.h"
#include "kernel/watch.h"
#include "mm/mm.h"
#include "sdm/text.h"
#include "vmx/microscope.h"
#include "vmx/vmx.h"

static struct object_cache vm_cache, cpu_cache, devices_cache, shared_cache;
static void (*when_all_ended)(void);
static uint32_t count; // machines that are not destroyed, and one while the boot processor builds

static uint16_t owner_of(const struct vm *vm)
{
    return (uint16_t)(OWNER_VM + vm->id);
}

void vm_init(void (*all_ended)(void))
{
    when_all_ended = all_ended;
    count = 1;
    object_cache_init(&vm_cache, &frames, sizeof(struct vm), 64);
    object_cache_init(&cpu_cache, &frames, sizeof(struct cpu), 64);
    object_cache_init(&devices_cache, &frames, sizeof(struct devices), 64);
    object_cache_init(&shared_cache, &frames, sizeof(struct shared_io), 64);
    watch_init();
    home_init();
    control_init();
    ipc_init();
}

uint64_t vm_bytes(const struct vm *vm)
{
    return object_cost(&vm_cache) + vm->cpu_count * (object_cost(&cpu_cache) + vcpu_bytes()) +
           object_cost(&devices_cache) + space_bytes(vm->space) + (vm->watch ? watch_bytes() : 0) +
           (vm->shared ? object_cost(&shared_cache) : 0);
}

// ---- Building ----

static enum error build_memory(struct vm *vm, struct reason *why)
{
    vm->space = space_create(owner_of(vm));
    if (!vm->space)
        return reason_set(why, E_NO_MEMORY, "no memory left for its page tables");
    enum error e = space_add_slot(vm->space, gfn(0), vm->machine->mem >> PAGE_SHIFT, SLOT_RAM);
    if (e)
        return reason_set(why, e, "mem=%luK with its page tables does not fit: %luK of the box are left",
                          vm->machine->mem >> 10, buddy_available(&frames) << (PAGE_SHIFT - 10));
    if (vm->machine->window)
        space_add_slot(vm->space, machine_window(vm->machine), vm->machine->window >> PAGE_SHIFT,
                       SLOT_WINDOW);
    uint64_t mem = vm->machine->mem >> PAGE_SHIFT, most = vm->machine->balloon >> PAGE_SHIFT;
    if (most)
        e = space_add_slot(vm->space, gfn(mem), most - mem, SLOT_RAM | SLOT_BALLOON);
    if (e)
        return reason_set(why, e, "no place for balloon=: %s", error_text(e));
    if (vm->machine->eager)
        space_populate(vm->space, gfn(0));
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

static struct io_map *io_of(struct vm *vm)
{
    return vm->shared ? &vm->shared->io : &vm->devices->io;
}

static enum error build_cpu(struct vm *vm, uint32_t index, const struct guest_start *start,
                            struct reason *why)
{
    uint64_t slice = vm->machine->slice_us ? vm->machine->slice_us : options.slice_us;
    struct cpu *c = vm->cpus[index] = object_alloc(&cpu_cache, owner_of(vm));
    if (!c)
        return reason_set(why, E_NO_MEMORY, "no memory left for vCPU %u", index);
    struct pcpu *home = home_choose(vm->machine->cpus);
    if (!home)
        return reason_set(why, E_NOT_FOUND, "cpu= allows none of the processors that run machines (0 to %u)",
                          vmx_processors() - 1);
    struct vcpu *v = &c->vcpu;
    v->vm = vm;
    v->space = vm->space;
    v->io = io_of(vm);
    v->vm_id = vm->id;
    v->rights = vm->machine->rights;
    v->index = index;
    v->count = vm->cpu_count;
    v->vpid = (uint16_t)(vm->id * MACHINE_VCPUS_MAX + index + 1);
    list_init(&c->link);
    sched_node_init(&v->sched, home, tsc(min_u64(tsc_from_us(slice).v, vcpu_longest_turn().v)),
                    vm->machine->weight, vm->machine->cpus ? vm->machine->cpus : ~0ull);
    if (vcpu_create(v, owner_of(vm), start))
        return reason_set(why, E_NO_MEMORY, "no memory left for vCPU %u", index);
    vm->lapics[index] = &c->lapic;
    cpu_init_interrupts(c, &vm->bus, index);
    return E_OK;
}

// Test hook break=.
static enum error break_entry(struct vm *vm, struct reason *why)
{
    const struct machine *m = vm->machine;
    if (!*m->break_field || vcpu_break_entry(&vm->cpus[0]->vcpu, m->break_field, m->break_xor))
        return E_OK;
    return reason_set(why, E_NOT_FOUND, "break=%s: this processor has no such VMCS field", m->break_field);
}

// All APICs start in xAPIC mode at the usual place. What a machine enters by the probe would reach that page as memory,
// one page for all machines: it never gets it.
static void show_apic_page(struct vm *vm)
{
    vm->apics_elsewhere = vm->machine->rights & RIGHT_PROBE ? 1 : 0;
    if (!vm->apics_elsewhere)
        (void)vcpu_show_apic_page(vm->space, true); // E_EXISTS: memory of the machine's is thereabouts
}

static enum error build_cpus(struct vm *vm, const struct guest_start *start, struct reason *why)
{
    enum error e = E_OK;
    if (vm->cpu_count > 1) {
        vm->shared = object_alloc(&shared_cache, owner_of(vm));
        if (!vm->shared)
            return reason_set(why, E_NO_MEMORY, "no memory left for its ports");
        shared_io_init(vm->shared, vm);
    }
    vm->bus = (struct lapic_bus){
        .ops = &cpu_lapic_ops,
        .lapic = vm->lapics,
        .count = vm->cpu_count,
        .physical_mask = (1ull << features.physical_bits) - 1,
        .least_period = tsc_from_us(LEAST_PERIOD_US),
    };
    devices_connect(vm->devices, &vm->bus);
    for (uint32_t i = 0; !e && i < vm->cpu_count; i++)
        e = build_cpu(vm, i, start, why);
    if (!e && vm->cpus[0]->vcpu.apic_page)
        show_apic_page(vm);
    return e ? e : break_entry(vm, why);
}

static void destroy_cpu(struct vm *vm, struct cpu *c)
{
    if (!c)
        return;
    if (c->vcpu.sched.home)
        home_vacate(c->vcpu.sched.home);
    vcpu_destroy(&c->vcpu, owner_of(vm));
    object_free(&cpu_cache, c, owner_of(vm));
}

// Gives back what there is of a machine, whole or half built.
static void destroy(struct vm *vm)
{
    uint16_t owner = owner_of(vm);
    for (uint32_t i = 0; i < vm->cpu_count; i++)
        destroy_cpu(vm, vm->cpus[i]);
    if (vm->devices)
        object_free(&devices_cache, vm->devices, owner);
    if (vm->shared)
        object_free(&shared_cache, vm->shared, owner);
    watch_destroy(vm->watch, owner);
    if (vm->space)
        space_destroy(vm->space);
    object_free(&vm_cache, vm, owner);
}

static enum error build(struct vm *vm, const struct verdict *v, struct blob image, struct reason *why)
{
    struct guest_start start = {0};
    enum error e = build_memory(vm, why);
    if (!e)
        e = loader_load(vm->machine, image, v->initrd, vm->id, tsc_hz, vm->space, &start, why);
    if (!e)
        e = build_devices(vm, why);
    if (!e)
        e = build_cpus(vm, &start, why);
    return e;
}

static struct vm *vm_alloc(const struct machine *m, uint32_t id)
{
    struct vm *vm = object_alloc(&vm_cache, (uint16_t)(OWNER_VM + id));
    if (!vm)
        return NULL;
    vm->id = id;
    vm->machine = m;
    vm->device_ending = END_COUNT;
    vm->cpu_count = vm->cpus_left = vm->cpus_known = m->vcpus;
    balloon_init(vm);
    vm_init_timeouts(vm);
    guest_console_init(&vm->console, m->name, tsc_hz);
    return vm;
}

static bool refused(const struct machine *m, uint32_t id, const struct reason *why)
{
    bool expected = m->expect == END_LOAD;
    report_point(expected ? POINT_OK : POINT_NOT_OK, m->name, "load", why->text);
    ipc_refuse(id);
    control_refuse(id);
    return false;
}

// NULL: it could not be built.
static struct vm *create(const struct verdict *v, struct blob image, uint32_t id, struct reason *why)
{
    struct vm *vm = vm_alloc(&v->machine, id);
    if (!vm) {
        reason_set(why, E_NO_MEMORY, "no memory left for a machine");
        return NULL;
    }
    if (build(vm, v, image, why)) {
        destroy(vm);
        return NULL;
    }
    return vm;
}

bool vm_create(const struct verdict *v, struct blob image, uint32_t id)
{
    struct reason why = v->why;
    struct vm *vm;
    uint64_t begun = rdtsc().v;
    if (v->role == MODULE_REFUSED)
        return refused(&v->machine, id, &why);
    do {
        fail_alloc_life(id);
        vm = create(v, image, id, &why);
    } while (!vm && fail_alloc_again(id, &why));
    if (!vm)
        return refused(&v->machine, id, &why);
    vm->create_ticks = rdtsc().v - begun;
    __atomic_add_fetch(&count, 1, __ATOMIC_RELEASE);
    ipc_start(vm);
    control_start(vm, v, image);
    balloon_changed();
    return true;
}

// ---- Ending ----

// A vCPU whose registers can be read here: the one that runs, or one that lives here.
static struct cpu *cpu_here(struct vm *vm)
{
    struct cpu *c = vm->cpus[0];
    for (uint32_t i = 0; i < vm->cpu_count; i++)
        if (this_pcpu()->current == &vm->cpus[i]->vcpu)
            return vm->cpus[i];
        else if (sched_home(&vm->cpus[i]->vcpu.sched) == this_pcpu())
            c = vm->cpus[i];
    return c;
}

void vm_end(struct vm *vm, enum ending how, uint64_t code, const char *detail)
{
    if (__atomic_fetch_or(&vm->stops, STOP_ENDED, __ATOMIC_ACQ_REL) & STOP_ENDED)
        return;
    vm->how = how;
    vm->code = code;
    vm->teller = cpu_here(vm);
    format(vm->detail, sizeof vm->detail, "%s", detail ? detail : ending_text(how));
    for (uint32_t i = 0; i < vm->cpu_count; i++)
        home_take(vm->cpus[i]);
}

void vm_end_from_device(struct vm *vm, enum ending how, uint64_t code)
{
    vm->device_code = code;
    vm->device_ending = how;
    cpu_look(cpu_here(vm));
}

static void one_less(void)
{
    uint32_t left = __atomic_sub_fetch(&count, 1, __ATOMIC_ACQ_REL);
    if (left == 0)
        when_all_ended();
    else if (left == 1)
        sleep_note_last();
}

bool vm_is_last(void)
{
    return __atomic_load_n(&count, __ATOMIC_ACQUIRE) == 1;
}

void vm_all_built(void)
{
    one_less();
}

// One that starts again counts on.
void vm_destroy(struct vm *vm)
{
    bool again = vm->how == END_AGAIN;
    uint32_t id = vm->id;
    destroy(vm);
    balloon_changed();
    if (again)
        control_again(id);
    else
        one_less();
}

bool vm_create_again(const struct verdict *verdict, struct blob image, uint32_t id)
{
    bool created = vm_create(verdict, image, id);
    one_less();
    return created;
}

size_t vm_console_write(struct vm *vm, const char *bytes, size_t n)
{
    if (!vm->machine->console)
        return n;
    size_t taken = guest_console_write(&vm->console, bytes, n, rdtsc());
    if (vm->console.deadline.v != ~0ull && vm->timer[VM_TIMER_PARTIAL].deadline.v == ~0ull)
        vm_arm(vm, VM_TIMER_PARTIAL, vm->console.deadline);
    return taken;
}
