// The first contents of a VMCS: what every machine gets, and the start state of its guest.
#include "arch/cpu.h"
#include "arch/descriptors.h"
#include "sdm/msr.h"
#include "vmx/apicv.h"
#include "vmx/cpuid.h"
#include "vmx/exit.h"
#include "vmx/pml.h"

void vmx_exit_stub(void);
void vmx_exit_stub_watched(void);

enum { CODE_SELECTOR = 0x10, DATA_SELECTOR = 0x18 };

// What a mode means for segments and control registers (SDM, "Guest Register State").
// clang-format off
static const struct mode {
    uint16_t code_selector, data_selector;
    uint32_t code_rights, data_rights, limit;
    uint64_t cr0, cr4, efer;
} modes[] = {
    [START_REAL] = {0, 0, AR_CODE, AR_DATA, 0xffff, CR0_ET, 0, 0},
    [START_FLAT32] = {CODE_SELECTOR, DATA_SELECTOR, AR_CODE | AR_FLAT32, AR_DATA | AR_FLAT32, 0xffffffff, CR0_PE | CR0_ET, 0, 0},
    [START_LONG] = {CODE_SELECTOR, DATA_SELECTOR, AR_CODE | AR_FLAT64, AR_DATA | AR_FLAT32, 0xffffffff,
                    CR0_PE | CR0_ET | CR0_PG, CR4_PAE, EFER_LME | EFER_LMA},
};
// clang-format on

static void setup_controls(struct vcpu *v)
{
    bool long_mode = vmread64(GUEST_EFER) & EFER_LMA;
    vmwrite32(PIN_BASED_CONTROLS, vmx_controls.pin);
    vmwrite32(PRIMARY_CONTROLS, vmx_controls.primary);
    vmwrite32(SECONDARY_CONTROLS, vmx_controls.secondary);
    vmwrite32(VM_EXIT_CONTROLS, vmx_controls.exit);
    vmwrite32(VM_ENTRY_CONTROLS, vmx_controls.entry | (long_mode ? (uint32_t)ENTRY_IA32E_MODE_GUEST : 0));
    // #DB and #AC are taken because a guest can make their delivery raise them again for ever, which would
    // stop the processor; #MC is the box's.
    vmwrite32(EXCEPTION_BITMAP, 1u << EXC_DB | 1u << EXC_AC | 1u << EXC_MC);
    vmwrite32(PAGE_FAULT_ERROR_CODE_MASK, 0);
    vmwrite32(PAGE_FAULT_ERROR_CODE_MATCH, 0);
    vmwrite32(CR3_TARGET_COUNT, 0);
    vmwrite32(VM_EXIT_MSR_STORE_COUNT, 0);
    vmwrite32(VM_EXIT_MSR_LOAD_COUNT, 0);
    vmwrite32(VM_ENTRY_MSR_LOAD_COUNT, 0);
    vmwrite32(VM_ENTRY_INTERRUPTION_INFO, 0);
    vmwrite64(MSR_BITMAP, vmx_msr_bitmap.v);
    vmwrite64(EPT_POINTER, space_eptp(v->space));
    if (vmx_controls.secondary & SECONDARY_VPID)
        vmwrite16(VIRTUAL_PROCESSOR_ID, v->vpid);
    if (vmx_controls.apicv)
        apicv_setup(v);
}

static void setup_host(const struct vcpu *v)
{
    void (*stub)(void) = v->microscope ? vmx_exit_stub_watched : vmx_exit_stub;
    vmwrite_nat(HOST_CR0, read_cr0());
    vmwrite_nat(HOST_CR3, read_cr3());
    vmwrite_nat(HOST_CR4, read_cr4());
    vmwrite64(HOST_EFER, rdmsr(MSR_EFER));
    vmwrite64(HOST_PAT, rdmsr(MSR_PAT));
    vmwrite16(HOST_CS_SELECTOR, SELECTOR_CODE);
    vmwrite16(HOST_SS_SELECTOR, SELECTOR_DATA);
    vmwrite16(HOST_DS_SELECTOR, SELECTOR_DATA);
    vmwrite16(HOST_ES_SELECTOR, SELECTOR_DATA);
    vmwrite16(HOST_FS_SELECTOR, 0);
    vmwrite16(HOST_GS_SELECTOR, 0);
    vmwrite16(HOST_TR_SELECTOR, SELECTOR_TSS);
    vmwrite_nat(HOST_FS_BASE, 0);
    vmwrite_nat(HOST_IDTR_BASE, (uint64_t)(uintptr_t)idt);
    vmwrite32(HOST_SYSENTER_CS, 0);
    vmwrite_nat(HOST_SYSENTER_ESP, 0);
    vmwrite_nat(HOST_SYSENTER_EIP, 0);
    vmwrite_nat(HOST_RSP, (uint64_t)(uintptr_t)v);
    vmwrite_nat(HOST_RIP, (uint64_t)(uintptr_t)stub);
}

void vmcs_write_segment(unsigned i, uint16_t selector, uint64_t base, uint32_t limit, uint32_t rights)
{
    vmwrite16((enum vmcs16)(GUEST_ES_SELECTOR + 2 * i), selector);
    vmwrite_nat((enum vmcsnat)(GUEST_ES_BASE + 2 * i), base);
    vmwrite32((enum vmcs32)(GUEST_ES_LIMIT + 2 * i), limit);
    vmwrite32((enum vmcs32)(GUEST_ES_ACCESS_RIGHTS + 2 * i), rights);
}

static void setup_segments(const struct mode *m, const struct guest_start *start)
{
    enum { ES, CS, SS, DS, FS, GS, LDTR, TR };
    for (unsigned i = ES; i <= GS; i++)
        vmcs_write_segment(i, m->data_selector, 0, m->limit, m->data_rights);
    bool real = start->mode == START_REAL;
    uint16_t selector = real ? (uint16_t)(start->code_base >> 4) : m->code_selector;
    vmcs_write_segment(CS, selector, real ? start->code_base : 0, m->limit, m->code_rights);
    vmcs_write_segment(LDTR, 0, 0, 0xffff, AR_UNUSABLE);
    vmcs_write_segment(TR, 0, 0, 0xffff, AR_TYPE_BUSY_TSS | AR_P);
    vmwrite_nat(GUEST_GDTR_BASE, start->gdt_limit ? start->gdt.v : 0);
    vmwrite32(GUEST_GDTR_LIMIT, start->gdt_limit);
    vmwrite_nat(GUEST_IDTR_BASE, 0);
    vmwrite32(GUEST_IDTR_LIMIT, start->mode == START_REAL ? 0xffff : 0);
}

// Bits of CR0 and CR4 that the guest cannot change by itself: those that VMX fixes, those that would reach
// beyond the guest (VM entry and exit leave CD and NW alone), and those of features that it does not have.
static void setup_control_registers(const struct mode *m, const struct guest_start *start)
{
    uint64_t cr0_owned = vmx_cr0_must | CR0_CD | CR0_NW | ~vmx_caps.cr0_fixed1;
    uint64_t cr4_owned = vmx_cr4_must | ~cpuid_cr4_allowed;
    vmwrite_nat(CR0_GUEST_HOST_MASK, cr0_owned & ~(uint64_t)(CR0_PE | CR0_PG));
    vmwrite_nat(CR4_GUEST_HOST_MASK, cr4_owned);
    vmwrite_nat(CR0_READ_SHADOW, m->cr0);
    vmwrite_nat(CR4_READ_SHADOW, m->cr4);
    vmwrite_nat(GUEST_CR0, m->cr0 | vmx_cr0_must);
    vmwrite_nat(GUEST_CR4, m->cr4 | vmx_cr4_must);
    vmwrite_nat(GUEST_CR3, start->cr3);
    vmwrite64(GUEST_EFER, m->efer);
}

static void setup_rest(const struct guest_start *start)
{
    vmwrite_nat(GUEST_RIP, start->rip);
    vmwrite_nat(GUEST_RSP, start->gpr[RSP]);
    vmwrite_nat(GUEST_RFLAGS, RFLAGS_FIXED1);
    vmwrite_nat(GUEST_DR7, DR7_INIT);
    vmwrite64(GUEST_DEBUGCTL, 0);
    vmwrite32(GUEST_INTERRUPTIBILITY_STATE, 0);
    vmwrite32(GUEST_ACTIVITY_STATE, ACTIVITY_ACTIVE);
    vmwrite_nat(GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
    vmwrite64(VMCS_LINK_POINTER, ~0ull);
}

// What INIT leaves alone (SDM, "Processor State After Reset"): the TSC, whose offset the local APIC has a copy of, and
// other MSRs; and notes of written pages that are not handed over yet.
static void setup_kept(const struct vcpu *v)
{
    vmwrite64(TSC_OFFSET, 0);
    vmwrite64(GUEST_PAT, PAT_POWER_UP);
    vmwrite32(GUEST_SYSENTER_CS, 0);
    vmwrite_nat(GUEST_SYSENTER_ESP, 0);
    vmwrite_nat(GUEST_SYSENTER_EIP, 0);
    pml_setup(v);
}

void vmcs_restart(struct vcpu *v, const struct guest_start *start)
{
    const struct mode *m = &modes[start->mode];
    setup_control_registers(m, start);
    setup_segments(m, start);
    setup_rest(start);
    setup_host(v);
    setup_controls(v);
}

void vmcs_setup(struct vcpu *v, const struct guest_start *start)
{
    vmcs_restart(v, start);
    setup_kept(v);
}
