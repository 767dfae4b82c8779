#include "vmx/state.h"
#include "arch/cpu.h"
#include "arch/features.h"
#include "mm/mm.h"
#include "sdm/msr.h"
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
// KEPT_MSRS as they are in each processor.
static uint64_t loaded_msr[PCPU_MAX][KEPT_COUNT];

void state_init(void)
{
    size_t size = cpu_has(FEATURE_XSAVE) ? features.xsave_size : sizeof(struct fpu_area);
    object_cache_init(&fpu_cache, "FPU areas", &frames, size, 64);
}

enum error state_create(struct vcpu *v, uint16_t owner)
{
    v->state.fpu = object_alloc(&fpu_cache, owner);
    if (!v->state.fpu)
        return E_NO_MEMORY;
    v->state.fpu->control = FCW_AFTER_FNINIT;
    v->state.fpu->mxcsr = MXCSR_AFTER_RESET;
    v->state.xcr0 = XCR0_X87;
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

// The whole XSAVE state goes, also parts that the guest's XCR0 does not enable now but did before. `enabled` is
// the XCR0 that is in the processor.
static void save_fpu(struct fpu_area *area, uint64_t enabled)
{
    if (!cpu_has(FEATURE_XSAVE)) {
        fxsave(area);
        return;
    }
    if (enabled != features.xcr0_supported)
        xsetbv(0, features.xcr0_supported);
    xsave(area, ~0ull);
}

static void load_fpu(const struct fpu_area *area, uint64_t enable)
{
    if (!cpu_has(FEATURE_XSAVE)) {
        fxrstor(area);
        return;
    }
    xrstor(area, ~0ull);
    if (enable != features.xcr0_supported)
        xsetbv(0, enable);
}

static void save(struct vcpu *v)
{
    struct guest_state *s = &v->state;
    s->cr2 = read_cr2();
    s->dr[0] = read_dr0();
    s->dr[1] = read_dr1();
    s->dr[2] = read_dr2();
    s->dr[3] = read_dr3();
    s->dr6 = read_dr6();
    s->kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE);
    save_fpu(s->fpu, s->xcr0);
}

static void load(struct vcpu *v)
{
    const struct guest_state *s = &v->state;
    write_cr2(s->cr2);
    write_dr0(s->dr[0]);
    write_dr1(s->dr[1]);
    write_dr2(s->dr[2]);
    write_dr3(s->dr[3]);
    write_dr6(s->dr6);
    wrmsr(MSR_KERNEL_GS_BASE, s->kernel_gs_base);
    load_fpu(s->fpu, s->xcr0);
    uint64_t *here = loaded_msr[this_pcpu()->id];
    for (unsigned i = 0; i < KEPT_COUNT; i++)
        if (s->msr[i] != here[i] && kept_msr_exists[i]) {
            wrmsr(kept_msr_number[i], s->msr[i]);
            here[i] = s->msr[i];
        }
}

// What firmware or the boot loader left in the kept MSRs is not known: the first vCPU on a processor sets all.
static void take_over(void)
{
    for (unsigned i = 0; i < KEPT_COUNT; i++) {
        loaded_msr[this_pcpu()->id][i] = 0;
        if (kept_msr_exists[i])
            wrmsr(kept_msr_number[i], 0);
    }
    if (cpu_has(FEATURE_XSAVE))
        xsetbv(0, features.xcr0_supported);
}

void state_switch(struct vcpu *to)
{
    struct vmx_cpu *cpu = this_vmx();
    if (cpu->loaded == to)
        return;
    if (cpu->loaded)
        save(cpu->loaded);
    else
        take_over();
    load(to);
    cpu->loaded = to;
}
