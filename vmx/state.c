#include "vmx/state.h"
#include "arch/cpu.h"
#include "arch/features.h"
#include "arch/panic.h"
#include "mm/mm.h"
#include "mm/space_impl.h"
#include "sdm/msr.h"
#include "vmx/exit.h"
#include "vmx/msr.h"
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
static bool has_xsave;
// KEPT_MSRS as they are in each processor.
static uint64_t loaded_msr[PCPU_MAX][KEPT_COUNT];

void state_init(void)
{
    has_xsave = cpu_has(FEATURE_XSAVE);
    size_t size = has_xsave ? features.xsave_size : sizeof(struct fpu_area);
    object_cache_init(&fpu_cache, "FPU areas", &frames, size, 64);
}

enum error state_create(struct vcpu *v, uint16_t owner)
{
    v->state.fpu = object_alloc(&fpu_cache, owner);
    if (!v->state.fpu)
        return E_NO_MEMORY;
    v->state.fpu->control = FCW_AFTER_FNINIT;
    v->state.fpu->mxcsr = MXCSR_AFTER_RESET;
    v->state.xcr0 = v->state.xcr0_ever = XCR0_X87;
    v->state.rare = has_xsave ? 0 : RARE_FXSAVE;
    v->state.dr6 = DR6_INIT & 0xffffffffu;
    return E_OK;
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

// ---- XSAVE state. What a guest never enabled in XCR0 it can neither see nor change, so it is neither stored
// nor loaded: both happen with XCR0 = all that the guest ever enabled. A component that it enables for the
// first time is set to its initial state then, whoever left something there. ----

static void enable_first(struct vcpu *v, uint64_t value)
{
    static const struct {
        struct fpu_area legacy;
        uint8_t header[64]; // XSTATE_BV = 0: everything is in its initial state
    } initial __attribute__((aligned(64))) = {.legacy = {.control = FCW_AFTER_FNINIT, .mxcsr = MXCSR_AFTER_RESET}};
    xsetbv(0, value);
    xrstor(&initial, value & ~v->state.xcr0_ever);
    v->state.xcr0_ever |= value;
}

// To something else than all that was ever enabled. RARE_XCR0 stays from the first time on.
void state_change_xcr0(struct vcpu *v, uint64_t value)
{
    if (value & ~v->state.xcr0_ever)
        enable_first(v, value);
    if (value != v->state.xcr0_ever)
        v->state.rare |= RARE_XCR0;
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
    v->state.rare |= RARE_DEBUG;
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
    v->state.rare |= value ? RARE_MSRS : 0;
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
    if (has_xsave)
        xsetbv(0, features.xcr0_supported);
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
    if (s->rare & RARE_FXSAVE) {
        fxsave(s->fpu);
        return;
    }
    xsetbv(0, s->xcr0_ever);
    xsave(s->fpu, ~0ull);
}

static void load_all(const struct guest_state *s)
{
    load_plain(s, ~s->kernel_gs_base);
    load_msrs(s);
    if (s->rare & RARE_DEBUG)
        load_debug(s);
    if (s->rare & RARE_FXSAVE) {
        fxrstor(s->fpu);
        return;
    }
    xsetbv(0, s->xcr0_ever);
    xrstor(s->fpu, ~0ull);
    xsetbv(0, s->xcr0);
}

static noinline_cold void switch_all(struct vcpu *from, struct vcpu *to)
{
    if (from)
        save_all(&from->state);
    else
        take_over();
    load_all(&to->state);
}

// XCR0 in the processor is xcr0_ever of both, and nothing rare is there: registers that every guest has.
static inline void switch_state(struct vmx_cpu *cpu, struct vcpu *to)
{
    struct vcpu *from = cpu->loaded;
    if (unlikely(from == to))
        return;
    cpu->loaded = to;
    struct guest_state *old = &from->state, *new = &to->state;
    if (unlikely(!from || (old->xcr0_ever ^ new->xcr0_ever) | old->rare | new->rare)) {
        switch_all(from, to);
        return;
    }
    save_plain(old);
    xsave(old->fpu, ~0ull);
    load_plain(new, old->kernel_gs_base);
    xrstor(new->fpu, ~0ull);
}

// ---- Switching ----

static void invept_all(void)
{
    struct {
        uint64_t eptp, zero;
    } none = {0, 0};
    enum { INVEPT_ALL_CONTEXTS = 2 };
    bool failed;
    __asm__ volatile("invept %1, %2" : "=@ccbe"(failed) : "m"(none), "r"((uint64_t)INVEPT_ALL_CONTEXTS) : "memory");
    if (failed)
        panic("INVEPT of all contexts failed");
}

static noinline_cold void go_idle(struct pcpu *p)
{
    space_leave(p->id);
    p->current = NULL;
}

void vcpu_switch(struct vcpu *to)
{
    struct pcpu *p = this_pcpu();
    if (unlikely(!to)) {
        go_idle(p);
        return;
    }
    struct vmx_cpu *cpu = p->vmx;
    if (p->current != to) {
        vmcs_bind(to->vmcs);
        switch_state(cpu, to);
        p->current = to;
    } else if (likely(!seat_stale(to->space, cpu->seat))) {
        return;
    }
    if (unlikely(space_enter(to->space, cpu->seat)))
        invept_all();
}
