#include "kernel/cpu.h"
#include "arch/cpu.h"
#include "arch/pcpu.h"
#include "dev/devices_impl.h"
#include "kernel/ipc.h"
#include "kernel/sleep.h"
#include "kernel/vm.h"
#include "sdm/msr.h"

// ---- What the local APIC asks for ----

static struct cpu *cpu_of_lapic(struct lapic *l)
{
    return container_of(l, struct cpu, lapic);
}

static tsc_t now(struct lapic *l)
{
    (void)l;
    return rdtsc();
}

void cpu_look(struct cpu *c)
{
    vcpu_request_events(&c->vcpu);
    sched_wake(&c->vcpu.sched);
    if (this_pcpu()->current == &c->vcpu)
        vcpu_attention(&c->vcpu);
}

static void kick(struct lapic *l)
{
    cpu_look(cpu_of_lapic(l));
}

// On the home: only the owner arms its timer. The vCPU that runs has its deadline set anew.
static void arm(struct lapic *l, tsc_t deadline)
{
    struct cpu *c = cpu_of_lapic(l);
    struct timeouts *ts = c->vcpu.sched.home->timeouts;
    if (deadline.v == ~0ull) {
        timeout_cancel(ts, &c->timer);
        return;
    }
    timeout_set(ts, &c->timer, deadline);
    vcpu_attention(&c->vcpu);
}

// A vCPU that waits for its turn is told in its turn, and its timer runs again from there: however short the period,
// it costs other machines one expiry a turn.
static void timer_expired(struct timeout *t)
{
    struct cpu *c = container_of(t, struct cpu, timer);
    if (this_pcpu()->current != &c->vcpu) {
        lapic_post_event(&c->lapic, LAPIC_EVENT_TIMER);
        return;
    }
    lapic_timer(&c->lapic);
    cpu_look(c);
}

static void end_of_interrupt(struct lapic *l, uint8_t vector)
{
    struct vm *vm = cpu_of_lapic(l)->vcpu.vm;
    vm_lock(vm);
    ioapic_eoi(&vm->devices->ioapic, vector);
    vm_unlock(vm);
}

const struct lapic_ops cpu_lapic_ops = {.now = now, .arm = arm, .kick = kick, .eoi = end_of_interrupt};

void cpu_init_interrupts(struct cpu *c, struct lapic_bus *bus, uint32_t id)
{
    timeout_init(&c->timer, timer_expired);
    timeout_init(&c->receive.patience, ipc_patience_over);
    lapic_create(&c->lapic, c->apic_page, id, bus);
    if (id == 0)
        lapic_virtual_wire(&c->lapic);
    c->vcpu.apic_base = c->lapic.base;
    c->state = id ? CPU_WAITS_FOR_SIPI : CPU_RUNS;
    if (id)
        sleep_fall(c, false);
}

// ---- Delivery ----

static struct pic *pic_of(struct cpu *c)
{
    return &c->vcpu.vm->devices->pic;
}

static bool extint_waits(struct cpu *c)
{
    return pic_pending(pic_of(c)) && lapic_takes_extint(&c->lapic);
}

static uint8_t acknowledge_pic(struct cpu *c)
{
    vm_lock(c->vcpu.vm);
    uint8_t vector = pic_acknowledge(pic_of(c));
    vm_unlock(c->vcpu.vm);
    return vector;
}

// One event an entry: NMI before what the local APIC has, that before what the PIC has. For the others, windows.
static noinline_cold void inject_rare(struct cpu *c)
{
    struct vcpu *v = &c->vcpu;
    if (c->nmi && vcpu_takes_nmi(v)) {
        c->nmi = false;
        vcpu_inject_nmi(v);
    }
    if (lapic_highest(&c->lapic) < 0 && extint_waits(c) && vcpu_takes_interrupt(v))
        vcpu_inject_interrupt(v, acknowledge_pic(c));
}

static inline bool rare_event(const struct cpu *c)
{
    return c->nmi | pic_pending(&c->vcpu.vm->devices->pic);
}

// Something waits, or did so and has a window open.
static inline bool waits(const struct cpu *c)
{
    return rare_event(c) | c->lapic.irr_words | c->vcpu.windows;
}

void cpu_offer(struct vcpu *v)
{
    struct cpu *c = cpu_of(v);
    if (likely(!waits(c)))
        return;
    if (unlikely(rare_event(c)))
        inject_rare(c);
    int vector = lapic_highest(&c->lapic);
    if (vector >= 0 && likely(vcpu_takes_interrupt(v))) {
        lapic_accept(&c->lapic, (uint8_t)vector);
        vcpu_inject_interrupt(v, (uint8_t)vector);
        vector = lapic_highest(&c->lapic);
    }
    vcpu_want_windows(v, vector >= 0 || extint_waits(c), c->nmi);
}

// Whether something would end a halt (SDM, "HLT").
static bool wakes(struct cpu *c)
{
    return c->nmi || (vcpu_interrupts_on(&c->vcpu) && (lapic_highest(&c->lapic) >= 0 || extint_waits(c)));
}

bool cpu_is_interrupted(struct cpu *c)
{
    return unlikely(c->nmi | pic_pending(pic_of(c)) | c->lapic.irr_words) && wakes(c);
}

static void start_at(struct cpu *c, uint8_t vector)
{
    struct guest_start start = {.mode = START_REAL, .code_base = (uint64_t)vector << 12};
    vcpu_restart(&c->vcpu, &start);
    c->state = CPU_RUNS;
}

// INIT and SIPI: SDM, "MP Initialization Protocol Algorithm".
static void signals(struct cpu *c, uint32_t events)
{
    if (events & LAPIC_EVENT_TIMER)
        lapic_timer(&c->lapic);
    if (events & LAPIC_EVENT_NMI)
        c->nmi = true;
    if (events & LAPIC_EVENT_INIT) {
        ipc_stop(c);
        lapic_init_signal(&c->lapic);
        c->state = CPU_WAITS_FOR_SIPI;
    }
    if (events & LAPIC_EVENT_SIPI && c->state == CPU_WAITS_FOR_SIPI)
        start_at(c, (uint8_t)(events >> LAPIC_EVENT_SIPI_SHIFT));
}

static void take_posted(struct cpu *c)
{
    sleep_rouse(c);
    signals(c, lapic_merge(&c->lapic));
}

// It leaves the ring until somebody wakes it.
static void park(struct cpu *c)
{
    struct vcpu *v = &c->vcpu;
    if (v->sched.state != SCHED_RUNNABLE) // its machine was ended here, just now
        return;
    sched_park(&v->sched, rdtsc());
    bool halted = c->state == CPU_HALTED;
    if ((halted || c->state == CPU_WAITS_FOR_SIPI) && sleep_fall(c, halted && vcpu_interrupts_on(v)))
        vm_end(v->vm, END_STUCK, 0, NULL);
}

bool cpu_events(struct vcpu *v)
{
    struct cpu *c = cpu_of(v);
    if (lapic_posted(&c->lapic))
        take_posted(c);
    if (!v->index)
        vm_home_work(v->vm);
    if (c->state == CPU_HALTED && wakes(c)) {
        c->state = CPU_RUNS;
        sleep_rouse(c);
    }
    if (c->state == CPU_RECEIVES)
        ipc_look(c);
    if (v->vm->device_ending != END_COUNT)
        vm_end(v->vm, v->vm->device_ending, v->vm->device_code, NULL);
    if (c->state == CPU_RUNS && !v->vm->stops) {
        cpu_offer(v);
        return true;
    }
    park(c);
    return false;
}

void cpu_halt(struct vcpu *v, bool interrupts_on)
{
    struct cpu *c = cpu_of(v);
    if (interrupts_on && lapic_highest(&c->lapic) >= 0) { // over before it began
        cpu_offer(v);
        return;
    }
    c->state = CPU_HALTED;
    if (!cpu_events(v))
        vcpu_attention(v);
}

// ---- Registers ----

static bool is_x2apic(uint32_t msr)
{
    return msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST;
}

bool cpu_msr_read(struct vcpu *v, uint32_t msr, uint64_t *value)
{
    struct lapic *l = &cpu_of(v)->lapic;
    if (msr == MSR_TSC_DEADLINE)
        *value = lapic_tsc_deadline(l);
    else
        return is_x2apic(msr) && lapic_rdmsr(l, msr, value);
    return true;
}

static bool write_base(struct vcpu *v, uint64_t value)
{
    struct lapic *l = &cpu_of(v)->lapic;
    bool legal = lapic_set_base(l, value);
    v->apic_base = l->base;
    return legal;
}

static noinline_cold bool write_other(struct vcpu *v, uint32_t msr, uint64_t value)
{
    struct lapic *l = &cpu_of(v)->lapic;
    if (msr == MSR_APIC_BASE)
        return write_base(v, value);
    if (msr == MSR_TSC_DEADLINE)
        lapic_set_tsc_deadline(l, value);
    else if (msr == MSR_TIME_STAMP_COUNTER)
        lapic_set_tsc_offset(l, value);
    else
        return false;
    return true;
}

bool cpu_msr_write(struct vcpu *v, uint32_t msr, uint64_t value)
{
    return likely(is_x2apic(msr)) ? lapic_wrmsr(&cpu_of(v)->lapic, msr, value) : write_other(v, msr, value);
}

void cpu_eoi(struct vcpu *v)
{
    lapic_end_of_interrupt(&cpu_of(v)->lapic);
    cpu_offer(v);
}

void cpu_self_ipi(struct vcpu *v, uint8_t vector, bool interrupts_on)
{
    struct lapic *l = &cpu_of(v)->lapic;
    if (likely(interrupts_on && !waits(cpu_of(v)) && lapic_accept_self(l, vector))) {
        vcpu_inject_interrupt(v, vector);
        return;
    }
    lapic_self_ipi(l, vector);
    cpu_offer(v);
}

uint64_t cpu_cr8_read(struct vcpu *v)
{
    return lapic_cr8(&cpu_of(v)->lapic);
}

void cpu_cr8_write(struct vcpu *v, uint64_t value)
{
    lapic_set_cr8(&cpu_of(v)->lapic, value);
}

// ---- Device memory: the page of each vCPU's own local APIC, where that is, and the I/O APIC's ----

static bool in_page(gpa_t at, uint64_t page)
{
    return at.v >> PAGE_SHIFT == page >> PAGE_SHIFT;
}

static bool in_lapic(struct lapic *l, gpa_t at)
{
    return l->mode == LAPIC_XAPIC && in_page(at, l->base);
}

bool cpu_mmio_covers(struct vcpu *v, gpa_t at)
{
    return in_lapic(&cpu_of(v)->lapic, at) || in_page(at, IOAPIC_BASE);
}

uint64_t cpu_mmio_read(struct vcpu *v, gpa_t at, unsigned size)
{
    struct lapic *l = &cpu_of(v)->lapic;
    uint32_t offset = at.v & (PAGE_SIZE - 1);
    if (in_lapic(l, at))
        return lapic_mmio_read(l, offset, size);
    vm_lock(v->vm);
    uint32_t value = ioapic_read(&v->vm->devices->ioapic, offset, size);
    vm_unlock(v->vm);
    return value;
}

void cpu_mmio_write(struct vcpu *v, gpa_t at, unsigned size, uint64_t value)
{
    struct lapic *l = &cpu_of(v)->lapic;
    uint32_t offset = at.v & (PAGE_SIZE - 1);
    if (in_lapic(l, at)) {
        lapic_mmio_write(l, offset, size, (uint32_t)value);
        return;
    }
    vm_lock(v->vm);
    ioapic_write(&v->vm->devices->ioapic, offset, size, (uint32_t)value);
    vm_unlock(v->vm);
}
