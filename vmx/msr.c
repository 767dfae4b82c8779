#include "vmx/msr.h"
#include "arch/cpu.h"
#include "arch/memory.h"
#include "arch/string.h"
#include "dev/lapic.h"
#include "mm/mm.h"
#include "sdm/msr.h"
#include "vmx/cpuid.h"
#include "vmx/exit.h"
#include "vmx/state.h"
#include "vmx/vmx.h"

const uint32_t kept_msr_number[KEPT_COUNT] = {
#define X(name) [KEPT_##name] = MSR_##name,
    KEPT_MSRS(X)
#undef X
};
bool kept_msr_exists[KEPT_COUNT];

// MSRs whose accesses need no exit: their values are in the VMCS, or switched with the vCPU.
static const struct {
    uint32_t msr;
    bool read, write;
} passed_through[] = {
    {MSR_TIME_STAMP_COUNTER, true, false}, // with the TSC offset
    {MSR_SYSENTER_CS,        true, true },
    {MSR_SYSENTER_ESP,       true, true },
    {MSR_SYSENTER_EIP,       true, true },
    {MSR_PAT,                true, true },
    {MSR_EFER,               true, false},
    {MSR_FS_BASE,            true, true },
    {MSR_GS_BASE,            true, true },
    {MSR_KERNEL_GS_BASE,     true, true },
};

// Four bitmaps of 1 KiB: reads low and high, writes low and high (SDM, "MSR-Bitmap Address").
static void let_through(uint8_t *bitmap, uint32_t msr, bool write)
{
    uint32_t high = msr >= 0xc0000000 ? 1024 : 0;
    uint8_t *part = bitmap + high + (write ? 2048 : 0);
    part[(msr & 0x1fff) >> 3] &= (uint8_t) ~(1u << (msr & 7));
}

enum error msr_policy_init(struct reason *why)
{
    pfn_t frame = buddy_alloc(&frames, 0, OWNER_KERNEL);
    if (pfn_is_none(frame))
        return reason_set(why, E_NO_MEMORY, "no memory for the MSR bitmap");
    vmx_msr_bitmap = pfn_to_hpa(frame);
    uint8_t *bitmap = pfn_to_virt(frame);
    memset(bitmap, 0xff, PAGE_SIZE);
    for (unsigned i = 0; i < array_size(passed_through); i++) {
        if (passed_through[i].read)
            let_through(bitmap, passed_through[i].msr, false);
        if (passed_through[i].write)
            let_through(bitmap, passed_through[i].msr, true);
    }
    for (unsigned i = 0; i < KEPT_COUNT; i++) {
        kept_msr_exists[i] = (i != KEPT_TSC_AUX || cpuid_rdtscp) && (i != KEPT_SPEC_CTRL || cpuid_spec_ctrl);
        if (kept_msr_exists[i])
            let_through(bitmap, kept_msr_number[i], false);
    }
    return E_OK;
}

// Reads come from the page, but of the timer's count; of writes the processor knows those three (SDM, "Virtualizing
// MSR-Based APIC Accesses"). All others would reach the box's own APIC, or be no faults where they should.
enum error msr_policy_let_x2apic_through(void)
{
    static const uint8_t written[] = {LAPIC_TPR, LAPIC_EOI, LAPIC_SELF_IPI};
    pfn_t frame = buddy_alloc(&frames, 0, OWNER_KERNEL);
    if (pfn_is_none(frame))
        return E_NO_MEMORY;
    vmx_msr_bitmap_x2apic = pfn_to_hpa(frame);
    uint8_t *bitmap = pfn_to_virt(frame);
    memcpy(bitmap, hpa_to_virt(vmx_msr_bitmap), PAGE_SIZE);
    for (unsigned reg = 0; reg < LAPIC_MSRS; reg++)
        if (lapic_x2apic_readable >> reg & 1 && reg != LAPIC_CURRENT_COUNT)
            let_through(bitmap, LAPIC_MSR_FIRST + reg, false);
    for (unsigned i = 0; i < array_size(written); i++)
        let_through(bitmap, LAPIC_MSR_FIRST + written[i], true);
    return E_OK;
}

// Bits of IA32_MISC_ENABLE: fast strings on; BTS and PEBS are not there.
enum { MISC_FAST_STRINGS = 1 << 0, MISC_BTS_UNAVAILABLE = 1 << 11, MISC_PEBS_UNAVAILABLE = 1 << 12 };

// A kept MSR is written where it lives, the processor, which also knows its rules.
static bool write_kept(struct vcpu *v, enum kept_msr i, uint64_t value)
{
    bool legal = wrmsr_safe(kept_msr_number[i], value);
    if (legal)
        state_note_msr(v, i, value);
    return legal;
}

// SDM, "Extended Feature Enable Register": LME cannot change while paging is on, LMA follows by itself.
static bool write_efer(struct vcpu *v, uint64_t value)
{
    (void)v;
    uint64_t old = vmread64(GUEST_EFER);
    if (value & ~cpuid_efer_allowed)
        return false;
    if ((value ^ old) & EFER_LME && vmread_nat(GUEST_CR0) & CR0_PG)
        return false;
    vmwrite64(GUEST_EFER, (value & ~(uint64_t)EFER_LMA) | (old & EFER_LMA));
    flush_guest_tlb(v);
    return true;
}

static bool write_tsc(struct vcpu *v, uint64_t value)
{
    uint64_t offset = value - rdtsc().v;
    vmwrite64(TSC_OFFSET, offset);
    return vcpu_upcalls.msr_write(v, MSR_TIME_STAMP_COUNTER, offset);
}

static bool write_misc_enable(struct vcpu *v, uint64_t value)
{
    uint64_t fixed = MISC_BTS_UNAVAILABLE | MISC_PEBS_UNAVAILABLE;
    if ((value | fixed) & ~(fixed | MISC_FAST_STRINGS))
        return false;
    v->misc_enable = value | fixed;
    return true;
}

static bool write_debugctl(struct vcpu *v, uint64_t value)
{
    (void)v;
    if (value & ~(uint64_t)DEBUGCTL_BTF)
        return false;
    vmwrite64(GUEST_DEBUGCTL, value);
    return true;
}

// Commands to the processor's predictors: harmless to others, so they are passed on.
static bool write_command(uint32_t msr, uint64_t value)
{
    return cpuid_spec_ctrl && wrmsr_safe(msr, value);
}

#define REFUSED false
#define IGNORED true
// MSR, value read, what a write of `value` does. Reads that never exit have the same value here as in the
// processor; the rows are there because writes exit.
// clang-format off
#define EMULATED_MSRS(X) \
    X(APIC_BASE,          v->apic_base,              vcpu_upcalls.msr_write(v, MSR_APIC_BASE, value)) \
    X(FEATURE_CONTROL,    FEATURE_CONTROL_LOCK,      REFUSED) \
    X(BIOS_SIGN_ID,       0,                         IGNORED) \
    X(MISC_ENABLE,        v->misc_enable,            write_misc_enable(v, value)) \
    X(DEBUGCTL,           vmread64(GUEST_DEBUGCTL),  write_debugctl(v, value)) \
    X(TIME_STAMP_COUNTER, rdtsc().v + vmread64(TSC_OFFSET), write_tsc(v, value)) \
    X(EFER,               vmread64(GUEST_EFER),      write_efer(v, value))
// clang-format on

static noinline_cold bool write_rare(struct vcpu *v, uint32_t msr, uint64_t value)
{
    for (unsigned i = 0; i < KEPT_COUNT; i++)
        if (msr == kept_msr_number[i] && kept_msr_exists[i])
            return write_kept(v, i, value);
    return msr == MSR_PRED_CMD ? write_command(msr, value) : vcpu_upcalls.msr_write(v, msr, value);
}

void exit_rdmsr(struct vcpu *v)
{
    uint64_t value;
    switch ((uint32_t)v->gpr[RCX]) {
#define X(name, read, write) \
    case MSR_##name:         \
        value = (read);      \
        break;
        EMULATED_MSRS(X)
#undef X
    default:
        if (!vcpu_upcalls.msr_read(v, (uint32_t)v->gpr[RCX], &value)) {
            vcpu_inject_fault(v, EXC_GP, 0);
            return;
        }
    }
    set_edx_eax(v, value);
    skip_instruction();
}

// What became due by the write comes behind the instruction.
static __attribute__((noinline)) void write_apic(struct vcpu *v, uint32_t msr, uint64_t value)
{
    if (unlikely(!vcpu_upcalls.msr_write(v, msr, value))) {
        vcpu_inject_fault(v, EXC_GP, 0);
        return;
    }
    skip_instruction();
    vcpu_upcalls.offer(v);
}

// The two writes that every interrupt may make have a way of their own: what is legal retires first, and the rest
// is one call that does not come back.
static bool is_x2apic_write(const struct vcpu *v, uint64_t value, uint64_t most)
{
    return likely(value <= most && v->apic_base & APIC_BASE_X2APIC);
}

static __attribute__((noinline)) void wrmsr_eoi(struct vcpu *v)
{
    if (!is_x2apic_write(v, edx_eax(v), 0))
        return write_apic(v, MSR_X2APIC_EOI, edx_eax(v));
    skip_instruction();
    vcpu_upcalls.eoi(v);
}

static __attribute__((noinline)) void wrmsr_self_ipi(struct vcpu *v)
{
    uint64_t vector = edx_eax(v), rflags = vmread_nat(GUEST_RFLAGS);
    if (!is_x2apic_write(v, vector, 0xff))
        return write_apic(v, MSR_X2APIC_SELF_IPI, vector);
    skip_from(vmread_nat(GUEST_RIP), vmread_raw(VM_EXIT_INSTRUCTION_LENGTH), rflags);
    vcpu_upcalls.self_ipi(v, (uint8_t)vector, rflags & RFLAGS_IF);
}

static __attribute__((noinline)) void write_other(struct vcpu *v, uint32_t msr)
{
    uint64_t value = edx_eax(v);
    bool done;
    if (likely(msr - MSR_X2APIC_FIRST <= MSR_X2APIC_LAST - MSR_X2APIC_FIRST))
        return write_apic(v, msr, value);
    switch (msr) {
#define X(name, read, write) \
    case MSR_##name:         \
        done = (write);      \
        break;
        EMULATED_MSRS(X)
#undef X
    case MSR_TSC_DEADLINE:
        return write_apic(v, msr, value);
    default:
        done = write_rare(v, msr, value);
    }
    if (done)
        skip_instruction();
    else
        vcpu_inject_fault(v, EXC_GP, 0);
}

void exit_wrmsr(struct vcpu *v)
{
    uint32_t msr = (uint32_t)v->gpr[RCX];
    if (msr == MSR_X2APIC_EOI)
        wrmsr_eoi(v);
    else if (msr == MSR_X2APIC_SELF_IPI)
        wrmsr_self_ipi(v);
    else
        write_other(v, msr);
}
