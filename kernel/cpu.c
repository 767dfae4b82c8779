#include "kernel/cpu.h"
#include "arch/cpu.h"
#include "arch/pcpu.h"
#include "dev/devices.h"
#include "kernel/ipc.h"
#include "kernel/hypercall.h"
#include "kernel/run.h"
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
    lapic_create(&c->lapic, c->vcpu.apic_page ? c->vcpu.apic_page : c->apic_page, id, bus);
    if (id == 0)
        lapic_virtual_wire(&c->lapic);
    c->vcpu.apic_base = c->lapic.base;
    c->state = id ? CPU_WAITS_FOR_SIPI : CPU_RUNS;
    if (id)
        sleep_fall(c, false);
    if (c->vcpu.apic_page) {
        c->rare = CPU_HELPED;
        vcpu_request_events(&c->vcpu); // the first one follows the mode
    }
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
    if (c->rare & CPU_NMI && vcpu_takes_nmi(v)) {
        c->rare &= (uint8_t)~CPU_NMI;
        vcpu_inject_nmi(v);
    }
    if (lapic_highest(&c->lapic) < 0 && extint_waits(c) && vcpu_takes_interrupt(v))
        vcpu_inject_interrupt(v, acknowledge_pic(c));
}

// The highest request of the local APIC into the guest, if that can take it; windows for what has to wait.
static __attribute__((noinline)) void offer_requests(struct cpu *c)
{
    struct vcpu *v = &c->vcpu;
    int vector = lapic_highest(&c->lapic);
    if (vector >= 0 && likely(vcpu_takes_interrupt(v))) {
        lapic_accept(&c->lapic, (uint8_t)vector);
        vcpu_inject_interrupt(v, (uint8_t)vector);
        vector = lapic_highest(&c->lapic);
    }
    vcpu_want_windows(v, vector >= 0 || extint_waits(c), c->rare & CPU_NMI);
}

// ---- With the processor's help (SDM, "APIC Virtualization and Virtual Interrupts") ----

static enum apic_help best_help(const struct lapic *l)
{
    static const enum apic_help enabled[] = {APIC_HELP_NONE, APIC_HELP_PAGE, APIC_HELP_MSRS};
    static const enum apic_help disabled[] = {APIC_HELP_NONE, APIC_HELP_PAGE_EXITS, APIC_HELP_NONE};
    return lapic_is_enabled(l) ? enabled[l->mode] : disabled[l->mode];
}

static bool delivers(const struct cpu *c)
{
    return c->vcpu.apic_help >= APIC_HELP_PAGE;
}

// The machine's APIC-access page is there while all its APICs are in xAPIC mode where it is. The vCPU that moves away
// drops translations before it runs again; the others may keep theirs, for they may reach that page.
static void count_elsewhere(struct cpu *c, bool elsewhere)
{
    struct vm *vm = c->vcpu.vm;
    vm_lock(vm);
    vm->apics_elsewhere += elsewhere ? 1u : -1u;
    if (vm->apics_elsewhere == elsewhere) // the first to leave, the last to come
        (void)vcpu_show_apic_page(c->vcpu.space,
                                  !elsewhere); // E_EXISTS: memory of the machine's is thereabouts
    vm_unlock(vm);
    c->apic_elsewhere = elsewhere;
    vcpu_attention(&c->vcpu);
}

// Behind the processor's back: IRR or ISR of the page were changed by us in a way that it has to be told.
static noinline_cold void tell_all(struct cpu *c)
{
    const struct lapic *l = &c->lapic;
    if (delivers(c))
        vcpu_set_apic_status(&c->vcpu,
                             l->irr_words ? (uint8_t)lapic_top(l->regs, LAPIC_IRR, l->irr_words) : 0,
                             l->isr_words ? (uint8_t)lapic_top(l->regs, LAPIC_ISR, l->isr_words) : 0);
}

// EOIs exit that the I/O APIC has to know of. A vector that has come by edge since may still exit.
static noinline_cold void tell_levels(struct cpu *c)
{
    uint64_t level[4];
    for (unsigned i = 0; i < array_size(level); i++)
        level[i] = lapic_levels(&c->lapic, i);
    vcpu_set_eoi_exits(&c->vcpu, level);
}

// The page is the processor's own while the guest runs: IRR has what it requested itself, too.
static void look_at_requests(struct cpu *c)
{
    if (unlikely(c->rare & CPU_HELPED) && delivers(c))
        lapic_add_requests(&c->lapic, vcpu_apic_requested(&c->vcpu));
}

static bool is_elsewhere(const struct lapic *l)
{
    return l->mode != LAPIC_XAPIC || l->base >> PAGE_SHIFT != LAPIC_PAGE >> PAGE_SHIFT;
}

static bool mode_changed(const struct cpu *c)
{
    return c->vcpu.apic_help != best_help(&c->lapic) || c->apic_elsewhere != is_elsewhere(&c->lapic);
}

// The controls follow the mode of the local APIC.
static noinline_cold void follow_mode(struct cpu *c)
{
    enum apic_help help = best_help(&c->lapic);
    if (c->vcpu.apic_help != help)
        vcpu_help_apic(&c->vcpu, help);
    if (c->apic_elsewhere != is_elsewhere(&c->lapic))
        count_elsewhere(c, !c->apic_elsewhere);
    lapic_resync(&c->lapic);
    tell_all(c);
    tell_levels(c);
}

// Deliveries are ours while the PIC waits for its turn, in the same order as without help; an open interrupt window
// holds the processor's back.
static noinline_cold void offer_beside_pic(struct cpu *c)
{
    lapic_resync(&c->lapic);
    inject_rare(c);
    if (extint_waits(c))
        offer_requests(c);
    else
        vcpu_want_windows(&c->vcpu, false, c->rare & CPU_NMI);
    tell_all(c);
}

static void offer_to_processor(struct cpu *c)
{
    if (unlikely(c->lapic.new_levels)) {
        c->lapic.new_levels = false;
        tell_levels(c);
    }
    if (unlikely(c->rare & CPU_NMI || c->vcpu.windows || pic_pending(pic_of(c)))) {
        offer_beside_pic(c);
        return;
    }
    look_at_requests(c);
    int vector = lapic_top_request(&c->lapic);
    if (vector > vcpu_apic_requested(&c->vcpu))
        vcpu_request_apic(&c->vcpu, (uint8_t)vector);
}

static __attribute__((noinline)) void offer_rare(struct cpu *c)
{
    if (likely(c->rare & CPU_HELPED)) {
        if (unlikely(mode_changed(c)))
            follow_mode(c);
        if (likely(delivers(c)))
            return offer_to_processor(c);
    }
    inject_rare(c);
    offer_requests(c);
}

static inline uint32_t rare_event(const struct cpu *c)
{
    return c->rare | pic_pending(&c->vcpu.vm->devices->pic);
}

// Something waits, or did so and has a window open.
static inline uint32_t waits(const struct cpu *c)
{
    return rare_event(c) | c->lapic.irr_words | c->vcpu.windows;
}

void cpu_offer(struct vcpu *v)
{
    struct cpu *c = cpu_of(v);
    if (likely(!waits(c)))
        return;
    if (unlikely(rare_event(c)))
        offer_rare(c);
    else
        offer_requests(c);
}

// Whether something would end a halt (SDM, "HLT").
static bool wakes(struct cpu *c)
{
    return c->rare & CPU_NMI ||
           (vcpu_interrupts_on(&c->vcpu) && (lapic_highest(&c->lapic) >= 0 || extint_waits(c)));
}

static __attribute__((noinline)) bool something_wakes(struct cpu *c)
{
    look_at_requests(c);
    return wakes(c);
}

bool cpu_is_interrupted(struct cpu *c)
{
    return unlikely(rare_event(c) | c->lapic.irr_words) && something_wakes(c);
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
        c->rare |= CPU_NMI;
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

// It leaves the ring until somebody wakes it, be it by what was seen already: who paused it, or sent the INIT that parks
// it here, may only now come to wake it. So it looks again before it enters its guest.
static void park(struct cpu *c)
{
    struct vcpu *v = &c->vcpu;
    if (v->sched.state != SCHED_RUNNABLE) // its machine was ended here, just now
        return;
    sched_park(&v->sched, rdtsc());
    vcpu_request_events(v);
    bool halted = c->state == CPU_HALTED;
    if (!halted && c->state != CPU_WAITS_FOR_SIPI)
        return;
    if (sleep_fall(c, halted && vcpu_interrupts_on(v)))
        vm_end(v->vm, END_STUCK, 0, NULL);
}

// What devices do here comes first: what they post to this very vCPU kicks nobody, and would lie there while it parks.
static bool cpu_events(struct vcpu *v)
{
    struct cpu *c = cpu_of(v);
    if (!v->index)
        vm_home_work(v->vm);
    if (lapic_posted(&c->lapic))
        take_posted(c);
    look_at_requests(c);
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

static void cpu_halt(struct vcpu *v, bool interrupts_on)
{
    struct cpu *c = cpu_of(v);
    look_at_requests(c);
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

static bool cpu_msr_read(struct vcpu *v, uint32_t msr, uint64_t *value)
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
    if (cpu_of(v)->rare & CPU_HELPED && mode_changed(cpu_of(v)))
        follow_mode(cpu_of(v));
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

static bool cpu_msr_write(struct vcpu *v, uint32_t msr, uint64_t value)
{
    return likely(is_x2apic(msr)) ? lapic_wrmsr(&cpu_of(v)->lapic, msr, value) : write_other(v, msr, value);
}

static void cpu_eoi(struct vcpu *v)
{
    lapic_end_of_interrupt(&cpu_of(v)->lapic);
    cpu_offer(v);
}

// It has to wait, or something else has.
static __attribute__((noinline)) void request_self_ipi(struct vcpu *v, uint8_t vector)
{
    lapic_self_ipi(&cpu_of(v)->lapic, vector);
    cpu_offer(v);
}

void cpu_self_ipi(struct vcpu *v, uint8_t vector, bool interrupts_on)
{
    struct cpu *c = cpu_of(v);
    if (likely(interrupts_on && !waits(c) && lapic_accept_self(&c->lapic, vector)))
        vcpu_inject_interrupt(v, vector);
    else
        request_self_ipi(v, vector);
}

static void cpu_apic_written(struct vcpu *v, uint32_t offset)
{
    lapic_written(&cpu_of(v)->lapic, offset);
    cpu_offer(v);
}

static void cpu_apic_ended(struct vcpu *v, uint8_t vector)
{
    lapic_ended(&cpu_of(v)->lapic, vector);
    cpu_offer(v);
}

static uint64_t cpu_cr8_read(struct vcpu *v)
{
    return lapic_cr8(&cpu_of(v)->lapic);
}

static void cpu_cr8_write(struct vcpu *v, uint64_t value)
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

static bool cpu_mmio_covers(struct vcpu *v, gpa_t at)
{
    return in_lapic(&cpu_of(v)->lapic, at) || in_page(at, IOAPIC_BASE);
}

static uint64_t cpu_mmio_read(struct vcpu *v, gpa_t at, unsigned size)
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

// A write that the processor leaves to us: EOI and TPR among them go by what stands in the page.
static noinline_cold void write_helped(struct cpu *c, uint32_t offset, unsigned size, uint32_t value)
{
    lapic_resync(&c->lapic);
    lapic_mmio_write(&c->lapic, offset, size, value);
    tell_all(c);
}

static void cpu_mmio_write(struct vcpu *v, gpa_t at, unsigned size, uint64_t value)
{
    struct lapic *l = &cpu_of(v)->lapic;
    uint32_t offset = at.v & (PAGE_SIZE - 1);
    if (in_lapic(l, at)) {
        if (unlikely(cpu_of(v)->rare & CPU_HELPED))
            write_helped(cpu_of(v), offset, size, (uint32_t)value);
        else
            lapic_mmio_write(l, offset, size, (uint32_t)value);
        return;
    }
    vm_lock(v->vm);
    ioapic_write(&v->vm->devices->ioapic, offset, size, (uint32_t)value);
    vm_unlock(v->vm);
}

// ---- What vmx/ asks for ----

static void end(struct vcpu *v, enum ending how, const char *detail)
{
    vm_end(v->vm, how, 0, detail);
}

const struct vcpu_upcalls vcpu_upcalls = {
    .hypercalls =
        {
#define X(name, number) [HC_##name] = hypercall_##name,
            HYPERCALLS(X)
#undef X
        },
    .halt = cpu_halt,
    .events = cpu_events,
    .offer = cpu_offer,
    .msr_read = cpu_msr_read,
    .msr_write = cpu_msr_write,
    .eoi = cpu_eoi,
    .self_ipi = cpu_self_ipi,
    .apic_written = cpu_apic_written,
    .apic_ended = cpu_apic_ended,
    .cr8_read = cpu_cr8_read,
    .cr8_write = cpu_cr8_write,
    .mmio_covers = cpu_mmio_covers,
    .mmio_read = cpu_mmio_read,
    .mmio_write = cpu_mmio_write,
    .end = end,
    .turn = turn_next,
};
