// VMX instructions in root operation, one by one, with chosen operands and under an exception fix-up.
#include "arch/cpu.h"
#include "arch/exception.h"
#include "arch/features.h"
#include "arch/panic.h"
#include "sdm/msr.h"
#include "vmx/probe.h"

enum { STATUS_FLAGS = RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF };

// All status flags are set before an instruction, so that one that does nothing shows. `caught` keeps RAX's value
// unless a fix-up puts vector and error code there.
#define EXECUTE(instruction, ...)                                                                  \
    __asm__ volatile(                                                                              \
        "pushq %[status]; popfq; 1: " instruction                                                  \
        "; 2: pushfq; popq %[flags]\n\t" EXCEPTION_FIXUP("1b", "2b")                               \
        : [flags] "=&r"(r.flags), "+a"(r.caught), [value] "+&r"(value)                             \
        : [status] "i"(STATUS_FLAGS | RFLAGS_FIXED1), [memory] "r"(memory), [operand] "r"(operand) \
        : "cc", "memory")

struct run {
    struct vcpu *v;
    bool on;         // in VMX operation
    bool with_other; // with a VMXON region that is not the box's
    hpa_t loaded[PROBE_STEPS_MAX];
    uint32_t loads;
};

#define RAX_BEFORE (~0ull)

struct result {
    uint64_t flags, caught;
    uint64_t before; // RAX: `caught` where nothing was
};

static uint64_t current_vmcs(void)
{
    uint64_t current;
    __asm__ volatile("vmptrst %0" : "=m"(current)::"cc", "memory");
    return current;
}

// ---- Each instruction: `memory` is the address of its memory operand ----

static struct result execute_wrmsr(uint32_t msr, uint64_t value)
{
    struct result r = {.caught = (uint32_t)value, .before = (uint32_t)value};
    __asm__ volatile(
        "pushq %[status]; popfq; 1: wrmsr; 2: pushfq; popq %[flags]\n\t" EXCEPTION_FIXUP("1b", "2b")
        : [flags] "=&r"(r.flags), "+a"(r.caught)
        : [status] "i"(STATUS_FLAGS | RFLAGS_FIXED1), "c"(msr), "d"(value >> 32)
        : "cc", "memory");
    return r;
}

// What the MSR holds afterwards is what it held before.
static struct result flip_msr(const struct probe_step *s)
{
    uint64_t before = 0;
    rdmsr_safe((uint32_t)s->operand, &before);
    struct result r = execute_wrmsr((uint32_t)s->operand, before ^ s->value);
    if (r.caught == r.before)
        wrmsr_safe((uint32_t)s->operand, before);
    return r;
}

static struct result execute(const struct probe_step *s, uint64_t memory, uint64_t operand, uint64_t *result)
{
    struct result r = {.caught = RAX_BEFORE, .before = RAX_BEFORE};
    uint64_t value = s->value;
    bool from_memory = s->flags & (PROBE_STEP_MEMORY | PROBE_STEP_UNMAPPED | PROBE_STEP_NONCANONICAL);
    switch ((enum probe_instruction)s->instruction) {
    case PROBE_DO_VMXON:
        EXECUTE("vmxon (%[memory])");
        break;
    case PROBE_DO_VMXOFF:
        EXECUTE("vmxoff");
        break;
    case PROBE_DO_VMCLEAR:
        EXECUTE("vmclear (%[memory])");
        break;
    case PROBE_DO_VMPTRLD:
        EXECUTE("vmptrld (%[memory])");
        break;
    case PROBE_DO_VMPTRST:
        EXECUTE("vmptrst (%[memory])");
        break;
    case PROBE_DO_VMREAD:
        if (from_memory)
            EXECUTE("vmread %[operand], (%[memory])");
        else
            EXECUTE("vmread %[operand], %[value]");
        break;
    case PROBE_DO_VMWRITE:
        if (from_memory)
            EXECUTE("vmwrite (%[memory]), %[operand]");
        else
            EXECUTE("vmwrite %[value], %[operand]");
        break;
    case PROBE_DO_VMLAUNCH:
        EXECUTE("vmlaunch");
        break;
    case PROBE_DO_VMRESUME:
        EXECUTE("vmresume");
        break;
    case PROBE_DO_INVEPT:
        EXECUTE("invept (%[memory]), %[operand]");
        break;
    case PROBE_DO_INVVPID:
        EXECUTE("invvpid (%[memory]), %[operand]");
        break;
    case PROBE_DO_VMCALL:
        EXECUTE("vmcall");
        break;
    case PROBE_DO_VMFUNC:
        r.caught = r.before = (uint32_t)operand;
        EXECUTE(".byte 0x0f, 0x01, 0xd4");
        break;
    case PROBE_DO_WRMSR:
        r = flip_msr(s);
        break;
    case PROBE_DO_MOV_CR0:
        EXECUTE("mov %[operand], %%cr0");
        break;
    case PROBE_DO_MOV_CR4:
        EXECUTE("mov %[operand], %%cr4");
        break;
    case PROBE_DO_COUNT:
        break;
    }
    *result = value;
    return r;
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
                      probe_can_elsewhere(s->instruction));
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

// Control registers are afterwards what they were.
static struct result with_memory_at(struct probe_step *s, uint64_t memory, uint64_t operand, uint64_t *value)
{
    uint64_t cr0 = read_cr0(), cr4 = read_cr4();
    if (s->flags & PROBE_STEP_WITHOUT_NE)
        write_cr0(cr0 & ~(uint64_t)CR0_NE);
    if (s->flags & PROBE_STEP_WITHOUT_VMXE)
        write_cr4(cr4 & ~(uint64_t)CR4_VMXE);
    struct result r = execute(s, memory, operand, value);
    if (s->flags & PROBE_STEP_WITHOUT_NE || s->instruction == PROBE_DO_MOV_CR0)
        write_cr0(cr0);
    if (s->flags & PROBE_STEP_WITHOUT_VMXE || s->instruction == PROBE_DO_MOV_CR4)
        write_cr4(cr4);
    return r;
}

// The memory operand: an address for some, a descriptor for others, a value for VMREAD and VMWRITE.
static enum error elsewhere(struct probe *p, struct probe_step *s, struct result *r)
{
    const uint64_t words[2] = {takes_address(s->instruction) ? operand_of(s) : s->value, s->value2};
    struct probe_fault f;
    enum error e = probe_elsewhere(p, s, words, STATUS_FLAGS | RFLAGS_FIXED1, &f);
    if (!e)
        *r = (struct result){.flags = f.rflags,
                             .before = RAX_BEFORE,
                             .caught = f.caught ? f.vector | (uint64_t)f.error << 8 : RAX_BEFORE};
    return e;
}

static struct result with_operands(struct probe_step *s)
{
    uint64_t words[2] = {takes_address(s->instruction) ? operand_of(s) : s->value, s->value2};
    uint64_t memory = s->flags & PROBE_STEP_UNMAPPED       ? 0
                      : s->flags & PROBE_STEP_NONCANONICAL ? 1ull << 63
                                                           : (uint64_t)(uintptr_t)words;
    uint64_t value = 0;
    uint64_t operand = s->instruction == PROBE_DO_MOV_CR0   ? read_cr0() ^ s->operand
                       : s->instruction == PROBE_DO_MOV_CR4 ? read_cr4() ^ s->operand
                                                            : s->operand;
    struct result r = with_memory_at(s, memory, operand, &value);
    bool from_memory = s->flags & PROBE_STEP_MEMORY;
    if (s->instruction == PROBE_DO_VMREAD)
        s->value = from_memory ? words[0] : value;
    if (s->instruction == PROBE_DO_VMPTRST)
        s->value = words[0];
    return r;
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

static enum error step(struct run *run, struct probe_step *s)
{
    bool was_on = run->on;
    struct result r;
    enum error e = E_OK;
    if (s->instruction == PROBE_DO_VMXON && !was_on)
        run->with_other = operand_of(s) != this_vmx()->vmxon_region.v;
    if (s->flags & ELSEWHERE)
        e = elsewhere(run->v->probe, s, &r);
    else
        r = with_operands(s);
    if (e)
        return e;
    bool caught = r.caught != r.before;
    s->vector = caught ? r.caught & 0xff : PROBE_NO_FAULT;
    s->error_code = caught ? (uint32_t)(r.caught >> 8) : 0;
    s->rflags = (uint32_t)r.flags;
    note(run, s);
    bool valid = !caught && s->rflags & RFLAGS_ZF && !(s->rflags & RFLAGS_CF);
    s->error = valid && run->on && current_vmcs() != ~0ull ? vmread32(VM_INSTRUCTION_ERROR) : 0;
    return E_OK;
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
            e = step(&run, &steps[i]);
    }
    finish(&run);
    return e;
}
