#include "vmx/state.h"
#include "arch/cpu.h"
#include "arch/features.h"
#include "arch/lapic.h"
#include "arch/panic.h"
#include "arch/string.h"
#include "mm/mm.h"
#include "mm/space_impl.h"
#include "sched/timeout.h"
#include "sdm/msr.h"
#include "vmx/exit.h"
#include "vmx/msr.h"
#include "vmx/pml.h"
#include "vmx/tags_check.h"
#include "vmx/vmx.h"

// Image of FXSAVE, which XSAVE areas begin with: the two words that are not zero after reset.
struct fpu_area {
    uint16_t control;
    uint8_t between[22];
    uint32_t mxcsr;
    uint8_t rest[484];
};
enum { FCW_AFTER_FNINIT = 0x37f, MXCSR_AFTER_RESET = 0x1f80 };
_Static_assert(offsetof(struct fpu_area, mxcsr) == 24 && sizeof(struct fpu_area) == 512, "FXSAVE image");

static struct object_cache fpu_cache;
static bool has_xsave, has_xsaveopt;
// KEPT_MSRS as they are in each processor.
static uint64_t loaded_msr[PCPU_MAX][KEPT_COUNT];

void state_init(void)
{
    has_xsave = cpu_has(FEATURE_XSAVE);
    has_xsaveopt = cpu_has(FEATURE_XSAVEOPT) && !*features.hypervisor;
    size_t size = has_xsave ? features.xsave_size : sizeof(struct fpu_area);
    object_cache_init(&fpu_cache, &frames, size, 64);
}

enum error state_create(struct vcpu *v, uint16_t owner)
{
    v->state.fpu = object_alloc(&fpu_cache, owner);
    if (!v->state.fpu)
        return E_NO_MEMORY;
    v->state.fpu->control = FCW_AFTER_FNINIT;
    v->state.fpu->mxcsr = MXCSR_AFTER_RESET;
    v->state.xcr0 = v->state.xcr0_ever = XCR0_X87;
    v->state.dr6 = DR6_INIT & 0xffffffffu;
    return E_OK;
}

void state_restart(struct vcpu *v)
{
    __atomic_fetch_and(&v->state.rare, ~(uint64_t)RARE_DEBUG, __ATOMIC_RELAXED);
    memset(v->state.dr, 0, sizeof(v->state.dr));
    v->state.dr6 = DR6_INIT & 0xffffffffu;
}

void state_destroy(struct vcpu *v, uint16_t owner)
{
    if (v->state.fpu)
        object_free(&fpu_cache, v->state.fpu, owner);
    v->state.fpu = NULL;
}

uint64_t state_bytes(void)
{
    return object_cost(&fpu_cache);
}

// ---- XSAVE state. x87 and SSE belong to every guest, whatever its XCR0 says: legacy SSE and FXSAVE ask CR4.OSFXSR
// alone (SDM volume 1, "Enabling the XSAVE Feature Set and XSAVE-Enabled Features"). A component above them that a
// guest never enabled it can neither see nor change, so it is neither stored nor loaded: with such components
// XSAVE does both, with XCR0 = all that the guest ever enabled; without, FXSAVE, which does not look at XCR0.
//
// XSAVEOPT leaves alone what is as the last XRSTOR from the same address left it. That the guest executes an XRSTOR
// there is no harm: the processor knows VMX non-root operation apart (SDM volume 1, "XSAVEOPT"). With a hypervisor
// below both of us are in it, so there it is XSAVE. ----

enum { XCR0_LEGACY = XCR0_X87 | XCR0_SSE };

static inline bool beyond_legacy(const struct guest_state *s)
{
    return s->xcr0_ever & ~(uint64_t)XCR0_LEGACY;
}

static void rare_add(struct vcpu *v, enum rare_state what)
{
    __atomic_fetch_or(&v->state.rare, (uint64_t)what, __ATOMIC_RELEASE);
}

static inline void save_components(struct fpu_area *area)
{
    if (likely(has_xsaveopt))
        xsaveopt(area, ~0ull);
    else
        xsave(area, ~0ull);
}

// A component is set to its initial state when it is enabled for the first time, whoever left something there.
// Loading AVX state loads MXCSR too (SDM, "XRSTOR"), which XSETBV has to leave as it is.
static void enable_first(struct vcpu *v, uint64_t value)
{
    uint64_t components = value & ~(v->state.xcr0_ever | XCR0_LEGACY);
    if (components) {
        struct {
            struct fpu_area legacy;
            uint8_t header[64]; // XSTATE_BV = 0: everything is in its initial state
        } initial __attribute__((aligned(64))) = {.legacy = {.control = FCW_AFTER_FNINIT}};
        initial.legacy.mxcsr = read_mxcsr();
        xsetbv(0, value);
        xrstor(&initial, components);
    }
    v->state.xcr0_ever |= value;
}

// To something else than all that was ever enabled. RARE_XCR0 stays from the first time on.
void state_change_xcr0(struct vcpu *v, uint64_t value)
{
    if (value & ~v->state.xcr0_ever)
        enable_first(v, value);
    if (value != v->state.xcr0_ever)
        rare_add(v, RARE_XCR0);
}

// ---- What is rare ----

static void save_debug(struct guest_state *s)
{
    s->dr[0] = read_dr0();
    s->dr[1] = read_dr1();
    s->dr[2] = read_dr2();
    s->dr[3] = read_dr3();
    s->dr6 = read_dr6();
}

static void load_debug(const struct guest_state *s)
{
    write_dr0(s->dr[0]);
    write_dr1(s->dr[1]);
    write_dr2(s->dr[2]);
    write_dr3(s->dr[3]);
    write_dr6(s->dr6);
}

void state_use_debug(struct vcpu *v)
{
    if (v->state.rare & RARE_DEBUG)
        return;
    rare_add(v, RARE_DEBUG);
    load_debug(&v->state);
    vmwrite32(PRIMARY_CONTROLS, vmread32(PRIMARY_CONTROLS) & ~(uint32_t)PRIMARY_MOV_DR_EXITING);
}

static void load_msrs(const struct guest_state *s)
{
    uint64_t *here = loaded_msr[this_pcpu()->id];
    for (unsigned i = 0; i < KEPT_COUNT; i++)
        if (s->msr[i] != here[i] && kept_msr_exists[i]) {
            wrmsr(kept_msr_number[i], s->msr[i]);
            here[i] = s->msr[i];
        }
}

void state_note_msr(struct vcpu *v, unsigned kept, uint64_t value)
{
    v->state.msr[kept] = loaded_msr[this_pcpu()->id][kept] = value;
    if (value)
        rare_add(v, RARE_MSRS);
}

// What firmware or the boot loader left in the kept MSRs is not known: the first vCPU on a processor sets all.
static noinline_cold void take_over(void)
{
    for (unsigned i = 0; i < KEPT_COUNT; i++) {
        loaded_msr[this_pcpu()->id][i] = 0;
        if (kept_msr_exists[i])
            wrmsr(kept_msr_number[i], 0);
    }
    wrmsr(MSR_KERNEL_GS_BASE, 0);
}

// ---- Both ways ----

static inline void save_plain(struct guest_state *s)
{
    s->cr2 = read_cr2();
    s->kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE);
}

static inline void load_plain(const struct guest_state *s, uint64_t kernel_gs_base)
{
    write_cr2(s->cr2);
    if (s->kernel_gs_base != kernel_gs_base)
        wrmsr(MSR_KERNEL_GS_BASE, s->kernel_gs_base);
}

static void save_all(struct guest_state *s)
{
    save_plain(s);
    if (s->rare & RARE_DEBUG)
        save_debug(s);
    if (beyond_legacy(s)) {
        xsetbv(0, s->xcr0_ever);
        save_components(s->fpu);
    } else {
        fxsave(s->fpu);
    }
}

static void load_all(const struct guest_state *s)
{
    load_plain(s, ~s->kernel_gs_base);
    load_msrs(s);
    if (s->rare & RARE_DEBUG)
        load_debug(s);
    if (beyond_legacy(s)) {
        xsetbv(0, s->xcr0_ever);
        xrstor(s->fpu, ~0ull);
    } else {
        fxrstor(s->fpu);
    }
    if (has_xsave)
        xsetbv(0, s->xcr0);
}

static void switch_all(struct vcpu *from, struct vcpu *to)
{
    if (from)
        save_all(&from->state);
    else
        take_over();
    load_all(&to->state);
}

void state_unload(struct vcpu *v)
{
    save_all(&v->state);
    this_vmx()->loaded = NULL;
}

// XCR0 in the processor is xcr0_ever of both, and nothing rare is there.
static inline bool switches_plainly(const struct guest_state *old, const struct guest_state *new)
{
    return !((old->xcr0_ever ^ new->xcr0_ever) | old->rare | new->rare);
}

static inline void switch_plainly(struct guest_state *old, const struct guest_state *new)
{
    save_plain(old);
    load_plain(new, old->kernel_gs_base);
    if (unlikely(beyond_legacy(old))) {
        save_components(old->fpu);
        xrstor(new->fpu, ~0ull);
    } else {
        fxsave(old->fpu);
        fxrstor(new->fpu);
    }
}

// ---- Entering ----

static noinline_cold void invept_all(void)
{
    struct {
        uint64_t eptp, zero;
    } none = {0, 0};
    enum { INVEPT_ALL_CONTEXTS = 2 };
    bool failed;
    __asm__ volatile("invept %1, %2"
                     : "=@ccbe"(failed)
                     : "m"(none), "r"((uint64_t)INVEPT_ALL_CONTEXTS)
                     : "memory");
    if (failed)
        panic("INVEPT of all contexts failed");
    tags_check_invept_all();
}

static noinline_cold struct vcpu *set_apic_deadline(struct vcpu *v, tsc_t deadline)
{
    v->fuel = FUEL;
    lapic_timer_arm(deadline);
    return v;
}

// The timer counts down by one whenever bit `rate` of the TSC changes, and ends the guest's turn at zero. With
// "save VMX preemption-timer value" it goes on where it stopped; without it every entry starts it anew, so
// that the deadline has to be set before each (SDM, "VMX-Preemption Timer"). It has 32 bits: who calls keeps to
// vcpu_longest_turn().
static inline struct vcpu *set_deadline(struct vcpu *v, tsc_t now, tsc_t deadline)
{
    if (unlikely(vmx_timer_fuel < 0))
        return set_apic_deadline(v, deadline);
    v->fuel = vmx_timer_fuel;
    vmwrite_raw(PREEMPTION_TIMER_VALUE, deadline.v > now.v ? (deadline.v - now.v) >> vmx_timer_rate : 0);
    return v;
}

static noinline_cold struct vcpu *flush_and_set_deadline(struct vcpu *v, tsc_t now, tsc_t deadline)
{
    invept_all();
    return set_deadline(v, now, deadline);
}

static inline struct vcpu *enter_space(struct vmx_cpu *cpu, struct vcpu *v, tsc_t now, tsc_t deadline)
{
    if (unlikely(space_enter(v->space, cpu->seat)))
        return flush_and_set_deadline(v, now, deadline);
    return set_deadline(v, now, deadline);
}

// The flag goes first: what is posted while the upcall looks sets it again. Returns the deadline, nearer if the upcall
// set a timeout that is; 0 when the vCPU does not run now.
static noinline_cold tsc_t look_at_events(struct vcpu *v, tsc_t deadline)
{
    const struct timeouts *ts = this_pcpu()->timeouts;
    tsc_t before = timeouts_next(ts);
    __atomic_fetch_and(&v->state.rare, ~(uint64_t)RARE_EVENTS, __ATOMIC_ACQUIRE);
    if (!vcpu_upcalls.events(v))
        return tsc(0);
    return timeouts_next(ts).v < before.v ? tsc(min_u64(deadline.v, timeouts_next(ts).v)) : deadline;
}

void vcpu_request_events(struct vcpu *v)
{
    rare_add(v, RARE_EVENTS);
}

void vcpu_log_writes(struct vcpu *v)
{
    rare_add(v, RARE_LOG);
}

// Before the seat says that this processor has passed, or runs something else.
static inline void hand_over_notes(struct vcpu *v)
{
    if (unlikely(v->state.rare & RARE_LOG))
        pml_drain(v);
}

// New here: another vCPU may have had its VPID, and what it did to its translations while it ran elsewhere dropped
// them only there (SDM, "Guidelines for Use of the INVVPID Instruction").
static void bind(struct pcpu *p, struct vcpu *to)
{
    bool is_new = to->vmcs->active_on != p;
    vmcs_bind(to->vmcs);
    if (is_new)
        flush_guest_tlb(to);
}

// Any switch, also of a vCPU that is new on this processor or comes back after idling.
static noinline_cold struct vcpu *switch_slowly(struct pcpu *p, struct vcpu *to, tsc_t now, tsc_t deadline)
{
    struct vmx_cpu *cpu = p->vmx;
    if (p->current)
        hand_over_notes(p->current);
    bind(p, to);
    if (cpu->loaded != to)
        switch_all(cpu->loaded, to);
    cpu->loaded = to;
    p->current = to;
    if (to->state.rare & RARE_EVENTS && !(deadline = look_at_events(to, deadline)).v)
        return vcpu_upcalls.turn();
    return enter_space(cpu, to, now, deadline);
}

// Written so that the common switch calls nothing: what is rare leaves by a tail call.
struct vcpu *vcpu_enter(struct vcpu *to, tsc_t now, tsc_t deadline)
{
    struct pcpu *p = this_pcpu();
    struct vmx_cpu *cpu = p->vmx;
    struct vcpu *from = p->current;
    if (from == to) {
        if (unlikely(to->state.rare & RARE_EVENTS) && !(deadline = look_at_events(to, deadline)).v)
            return vcpu_upcalls.turn();
        if (likely(!seat_stale(to->space, cpu->seat)))
            return set_deadline(to, now, deadline);
        hand_over_notes(to);
        return enter_space(cpu, to, now, deadline);
    }
    if (unlikely(!from || to->vmcs->active_on != p || !switches_plainly(&from->state, &to->state)))
        return switch_slowly(p, to, now, deadline);
    vmcs_load(to->vmcs);
    switch_plainly(&from->state, &to->state);
    cpu->loaded = p->current = to;
    return enter_space(cpu, to, now, deadline);
}

// A turn check that finds nothing but another vCPU, and vcpu_enter() for that one. No fuel: there is something else,
// or this is a box where every exit has a turn check.
void vcpu_hand_over(struct vcpu *from, struct vcpu *to, tsc_t now)
{
    struct pcpu *p = this_pcpu();
    struct vmx_cpu *cpu = p->vmx;
    uint64_t deadline = min_u64(to->sched.turn_end.v, timeouts_next(p->timeouts).v);
    if (unlikely(from->fuel <= 0 || vmx_timer_fuel < 0 || now.v >= deadline || p->kick ||
                 to->vmcs->active_on != p || !switches_plainly(&from->state, &to->state))) {
        vcpu_attention(from);
        return;
    }
    vmcs_load(to->vmcs);
    vmwrite_raw(PREEMPTION_TIMER_VALUE, (deadline - now.v) >> vmx_timer_rate);
    switch_plainly(&from->state, &to->state);
    to->fuel = vmx_timer_fuel;
    to->gpr[RSP] = from->gpr[RSP]; // the microscope's: the exit that began there ends here
    cpu->loaded = p->current = to;
    if (unlikely(space_enter(to->space, cpu->seat)))
        invept_all();
}

tsc_t vcpu_longest_turn(void)
{
    return tsc((uint64_t)UINT32_MAX << vmx_timer_rate);
}

void vcpu_leave(void)
{
    if (this_pcpu()->current)
        hand_over_notes(this_pcpu()->current);
    space_leave(this_pcpu()->id);
    this_pcpu()->current = NULL;
}
