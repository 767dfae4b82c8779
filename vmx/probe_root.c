// VMX instructions in root operation, one by one, with chosen operands: which may be executed, and what has to be set
// right behind them.
#include "arch/cpu.h"
#include "arch/exception.h"
#include "arch/features.h"
#include "arch/panic.h"
#include "sdm/msr.h"
#include "vmx/probe.h"

struct run {
    struct vcpu *v;
    bool on;         // in VMX operation
    bool with_other; // with a VMXON region that is not the box's
    hpa_t loaded[PROBE_STEPS_MAX];
    uint32_t loads;
};

static uint64_t current_vmcs(void)
{
    uint64_t current;
    __asm__ volatile("vmptrst %0" : "=m"(current)::"cc", "memory");
    return current;
}

// ---- One step ----

static bool is_mov_cr(const struct probe_step *s)
{
    return s->instruction == PROBE_DO_MOV_CR0 || s->instruction == PROBE_DO_MOV_CR4;
}

static bool takes_address(unsigned instruction)
{
    return instruction == PROBE_DO_VMXON || instruction == PROBE_DO_VMCLEAR ||
           instruction == PROBE_DO_VMPTRLD;
}

static uint64_t operand_of(const struct probe_step *s)
{
    return s->flags & PROBE_STEP_VMXON_REGION ? this_vmx()->vmxon_region.v ^ s->operand : s->operand;
}

// Where the processor has to refuse a write; a wrong one that it accepts is undone.
static bool must_refuse_msr(uint32_t msr)
{
    uint64_t control;
    if (msr == MSR_FEATURE_CONTROL)
        return rdmsr_safe(msr, &control) && control & FEATURE_CONTROL_LOCK;
    return msr >= MSR_VMX_BASIC && msr <= MSR_VMX_EXIT_CTLS2;
}

static bool must_refuse(const struct probe_step *s)
{
    switch (s->instruction) {
    case PROBE_DO_WRMSR:
        return s->operand <= UINT32_MAX && must_refuse_msr((uint32_t)s->operand);
    case PROBE_DO_MOV_CR0:
        return s->operand && !(s->operand & vmx_caps.cr0_fixed1 & ~(uint64_t)CR0_NE);
    case PROBE_DO_MOV_CR4:
        return s->operand && !(s->operand & vmx_caps.cr4_fixed1 & ~(uint64_t)CR4_VMXE);
    default:
        return true;
    }
}

enum { ELSEWHERE = PROBE_STEP_CPL3 | PROBE_STEP_COMPATIBILITY };

static bool makes_sense(const struct probe_step *s)
{
    uint32_t place = s->flags & ELSEWHERE;
    if (s->instruction >= PROBE_DO_COUNT || s->flags & ~(uint32_t)PROBE_STEP_FLAGS)
        return false;
    return !place || (place != ELSEWHERE && !(s->flags & ~(place | PROBE_STEP_VMXON_REGION)) &&
                      s->instruction <= PROBE_DO_VMFUNC);
}

static enum error fence_step(const struct run *run, const struct probe_step *s)
{
    uint64_t own = this_vmx()->vmxon_region.v ^ operand_of(s);
    if (!makes_sense(s))
        return E_INVALID;
    if (takes_address(s->instruction) && !probe_owns(run->v->probe, operand_of(s)) &&
        own & ((1ull << features.physical_bits) - PAGE_SIZE))
        return E_DENIED;
    if (s->flags & (PROBE_STEP_WITHOUT_VMXE | PROBE_STEP_WITHOUT_NE) && run->on)
        return E_DENIED;
    if (!must_refuse(s) || (is_mov_cr(s) && !run->on))
        return E_DENIED;
    bool enters = s->instruction == PROBE_DO_VMLAUNCH || s->instruction == PROBE_DO_VMRESUME;
    return enters && run->on && current_vmcs() != ~0ull ? E_DENIED : E_OK;
}

// The memory operand: an address for some, a descriptor for others, a value for VMREAD and VMWRITE. Control registers
// and MSRs are afterwards what they were.
static void execute(struct room *room, const struct probe_step *s, struct probe_execution *x)
{
    const uint64_t cr0 = read_cr0(), cr4 = read_cr4();
    const bool value_in_rax = s->instruction == PROBE_DO_VMREAD || s->instruction == PROBE_DO_VMWRITE;
    uint64_t msr = 0;
    *x = (struct probe_execution){
        .words = {takes_address(s->instruction) ? operand_of(s) : s->value, s->value2},
        .memory = s->flags & PROBE_STEP_UNMAPPED       ? 0
                  : s->flags & PROBE_STEP_NONCANONICAL ? 1ull << 63
                                                       : PROBE_OPERAND_AT,
        .rax = value_in_rax ? s->value : s->operand,
        .rcx = s->operand,
    };
    if (s->instruction == PROBE_DO_MOV_CR0)
        x->rax ^= cr0;
    if (s->instruction == PROBE_DO_MOV_CR4)
        x->rax ^= cr4;
    if (s->instruction == PROBE_DO_WRMSR) {
        rdmsr_safe((uint32_t)s->operand, &msr);
        x->rax = (uint32_t)(msr ^ s->value);
        x->rdx = (msr ^ s->value) >> 32;
    }
    if (s->flags & PROBE_STEP_WITHOUT_NE)
        write_cr0(cr0 & ~(uint64_t)CR0_NE);
    if (s->flags & PROBE_STEP_WITHOUT_VMXE)
        write_cr4(cr4 & ~(uint64_t)CR4_VMXE);
    probe_execute(room, s, x);
    write_cr0(cr0);
    write_cr4(cr4);
    if (s->instruction == PROBE_DO_WRMSR && !x->caught)
        wrmsr_safe((uint32_t)s->operand, msr);
}

static void note(struct run *run, const struct probe_step *s)
{
    bool succeeded = s->vector == PROBE_NO_FAULT && !(s->rflags & (RFLAGS_CF | RFLAGS_ZF));
    if (!succeeded)
        return;
    if (s->instruction == PROBE_DO_VMPTRLD)
        run->loaded[run->loads++] = hpa(operand_of(s));
    if (s->instruction == PROBE_DO_VMXOFF)
        run->on = false;
    if (s->instruction == PROBE_DO_VMXON)
        run->on = true;
}

static void step(struct run *run, struct probe_step *s)
{
    struct probe_execution x;
    if (s->instruction == PROBE_DO_VMXON && !run->on)
        run->with_other = operand_of(s) != this_vmx()->vmxon_region.v;
    execute(run->v->probe->room, s, &x);
    if (s->instruction == PROBE_DO_VMREAD && !(s->flags & PROBE_STEP_MEMORY))
        s->value = x.rax;
    if (s->instruction == PROBE_DO_VMPTRST ||
        (s->instruction == PROBE_DO_VMREAD && s->flags & PROBE_STEP_MEMORY))
        s->value = x.words[0];
    s->vector = x.caught ? x.vector : PROBE_NO_FAULT;
    s->error_code = x.caught ? x.error : 0;
    s->rflags = (uint32_t)x.rflags;
    note(run, s);
    bool valid = !x.caught && s->rflags & RFLAGS_ZF && !(s->rflags & RFLAGS_CF);
    s->error = valid && run->on && current_vmcs() != ~0ull ? vmread32(VM_INSTRUCTION_ERROR) : 0;
}

// ---- A sequence ----

static bool leaves_operation(const struct probe_step *steps, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (steps[i].instruction == PROBE_DO_VMXOFF)
            return true;
    return false;
}

// VMPTRLD and VMCLEAR of a region of our own: no VMCS is current then. Before VMXOFF every VMCS that is active here
// has to be cleared, or its contents may be lost (SDM, "Software Use of Virtual-Machine Control Structures").
static void begin(const struct run *run, bool clear_all)
{
    vmcs_bind(run->v->vmcs);
    if (clear_all)
        vmcs_clear_active();
    else {
        vmcs_bind(&run->v->probe->vmcs);
        vmcs_clear(&run->v->probe->vmcs);
    }
}

static void clear_region(hpa_t region)
{
    __asm__ volatile("vmclear %0" ::"m"(region) : "cc", "memory");
}

static void finish(struct run *run)
{
    if (run->on)
        for (uint32_t i = 0; i < run->loads; i++)
            clear_region(run->loaded[i]);
    if (run->on && run->with_other) {
        __asm__ volatile("vmxoff" ::: "cc", "memory");
        run->on = false;
    }
    if (!run->on && !vmx_enter_operation(this_vmx()->vmxon_region))
        panic("VMXON behind a probe failed");
    vmcs_bind(run->v->vmcs);
    run->v->probe->filled = false;
}

enum error probe_run(struct vcpu *v, struct probe_step *steps, uint32_t count)
{
    struct run run = {.v = v, .on = true};
    if (!v->probe)
        return E_NOT_FOUND;
    enum error e = E_OK;
    begin(&run, leaves_operation(steps, count));
    for (uint32_t i = 0; !e && i < count; i++) {
        e = fence_step(&run, &steps[i]);
        if (!e)
            step(&run, &steps[i]);
    }
    finish(&run);
    return e;
}
