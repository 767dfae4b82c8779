// MOV to CR0 and CR4 that exit because the guest changes a bit that it does not own, and CR8. The whole write
// is done here, with the rules and side effects of SDM, "MOV - Move to/from Control Registers".
#include "arch/features.h"
#include "sdm/qualification.h"
#include "vmx/cpuid.h"
#include "vmx/exit.h"

enum { PDPTE_P = 1 };

// RSP is in the VMCS, not among the stored registers.
static uint64_t operand(const struct vcpu *v, unsigned gpr)
{
    uint64_t value = gpr == RSP ? vmread_nat(GUEST_RSP) : v->gpr[gpr];
    return vcpu_in_64bit_mode(v) ? value : (uint32_t)value;
}

static bool long_mode(void)
{
    return vmread64(GUEST_EFER) & EFER_LMA;
}

static void set_long_mode(bool on)
{
    uint64_t efer = vmread64(GUEST_EFER);
    uint32_t entry = vmread32(VM_ENTRY_CONTROLS);
    vmwrite64(GUEST_EFER, on ? efer | EFER_LMA : efer & ~(uint64_t)EFER_LMA);
    vmwrite32(VM_ENTRY_CONTROLS,
              on ? entry | (uint32_t)ENTRY_IA32E_MODE_GUEST : entry & ~(uint32_t)ENTRY_IA32E_MODE_GUEST);
}

bool load_pdptes(struct vcpu *v)
{
    uint64_t pdpte[4];
    uint64_t reserved = ~((1ull << features.physical_bits) - 1) | 0x1e6;
    if (guest_read(v->space, gpa(vmread_nat(GUEST_CR3) & 0xffffffe0), pdpte, sizeof(pdpte)))
        return false;
    for (unsigned i = 0; i < 4; i++)
        if (pdpte[i] & PDPTE_P && pdpte[i] & reserved)
            return false;
    for (unsigned i = 0; i < 4; i++)
        vmwrite64((enum vmcs64)(GUEST_PDPTE0 + 2 * i), pdpte[i]);
    return true;
}

// SDM, "IA-32e Mode Operation": with PAE, from a segment that is not 64-bit, and with no 16-bit TSS in TR.
static bool may_enter_long_mode(void)
{
    return vmread_nat(GUEST_CR4) & CR4_PAE && !(vmread32(GUEST_CS_ACCESS_RIGHTS) & AR_L) &&
           (vmread32(GUEST_TR_ACCESS_RIGHTS) & AR_TYPE) == AR_TYPE_BUSY_TSS;
}

static bool may_leave_paging(void)
{
    return !(vmread_nat(GUEST_CR4) & CR4_PCIDE) && !(long_mode() && vmread32(GUEST_CS_ACCESS_RIGHTS) & AR_L);
}

// What goes with a change of PG, CD or NW. The paging mode follows EFER.LME when PG is set; changing cache
// control loads the PDPTEs too.
static noinline_cold bool change_paging(struct vcpu *v, uint64_t changed, uint64_t value)
{
    bool on = changed & value & CR0_PG, off = changed & ~value & CR0_PG;
    bool to_long = on && vmread64(GUEST_EFER) & EFER_LME, was_long = long_mode();
    if ((to_long && !may_enter_long_mode()) || (off && !may_leave_paging()))
        return false;
    if (value & CR0_PG && !to_long && !was_long && vmread_nat(GUEST_CR4) & CR4_PAE && !load_pdptes(v))
        return false;
    if (to_long || (off && was_long))
        set_long_mode(to_long);
    return true;
}

static bool write_cr0(struct vcpu *v, uint64_t value)
{
    if (value >> 32 || (value & CR0_NW && !(value & CR0_CD)) || (value & CR0_PG && !(value & CR0_PE)))
        return false;
    const uint64_t caching = CR0_CD | CR0_NW; // the guest's are in the shadow alone
    uint64_t changed = value ^ ((vmread_nat(GUEST_CR0) & ~caching) | (vmread_nat(CR0_READ_SHADOW) & caching));
    if (changed & (CR0_PG | caching) && !change_paging(v, changed, value))
        return false;
    value |= CR0_ET;
    vmwrite_nat(CR0_READ_SHADOW, value);
    vmwrite_nat(GUEST_CR0, (value & ~caching & vmx_caps.cr0_fixed1) | vmx_cr0_must);
    return true;
}

static bool write_cr4(struct vcpu *v, uint64_t value)
{
    uint64_t old = vmread_nat(GUEST_CR4);
    bool paging = vmread_nat(GUEST_CR0) & CR0_PG;
    if (value & ~cpuid_cr4_allowed)
        return false;
    if (long_mode() && !(value & CR4_PAE))
        return false;
    if (value & ~old & CR4_PCIDE && (!long_mode() || vmread_nat(GUEST_CR3) & 0xfff))
        return false;
    uint64_t pae_bits = CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP;
    if (paging && !long_mode() && value & CR4_PAE && (value ^ old) & pae_bits && !load_pdptes(v))
        return false;
    vmwrite_nat(CR4_READ_SHADOW, value);
    vmwrite_nat(GUEST_CR4, value | vmx_cr4_must);
    return true;
}

static bool write_cr8(struct vcpu *v, uint64_t value)
{
    if (value > 15)
        return false;
    vcpu_upcalls.cr8_write(v, value);
    return true;
}

static noinline_cold void read_cr8(struct vcpu *v, unsigned gpr)
{
    uint64_t value = vcpu_upcalls.cr8_read(v);
    if (gpr == RSP)
        vmwrite_nat(GUEST_RSP, value);
    else
        v->gpr[gpr] = value;
    skip_instruction();
}

static bool write(struct vcpu *v, unsigned cr, uint64_t value)
{
    switch (cr) {
    case 0:
        return write_cr0(v, value);
    case 4:
        return write_cr4(v, value);
    default:
        return write_cr8(v, value);
    }
}

// CLTS and LMSW never exit: the bits that they change belong to the guest. So what is not MOV to a control
// register is MOV from CR8.
void exit_cr_access(struct vcpu *v, uint64_t qualification)
{
    struct cr_access a = decode_cr_access(qualification);
    if (unlikely(a.type == CR_MOV_FROM)) {
        read_cr8(v, a.gpr);
        return;
    }
    if (!write(v, a.cr, operand(v, a.gpr))) {
        vcpu_inject_fault(v, EXC_GP, 0);
        return;
    }
    skip_instruction();
    if (a.cr == 8)
        vcpu_upcalls.offer(v);
    else
        flush_guest_tlb(v);
}
