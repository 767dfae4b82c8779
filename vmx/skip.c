// The rare parts of going past an emulated instruction.
#include "vmx/exit.h"

// RIP wraps at 4 GiB outside 64-bit mode (SDM, "Checks on Guest RIP, RFLAGS, and SSP"). In a 16-bit segment
// too it only wraps where a branch cuts it: an instruction that ends at 64 KiB is followed by one beyond, if
// only by a #GP for the segment's limit.
uint64_t skip_truncated(uint64_t rip)
{
    uint32_t rights = vmread32(GUEST_CS_ACCESS_RIGHTS);
    bool long_mode = vmread_nat(GUEST_CR0) & CR0_PG && vmread64(GUEST_EFER) & EFER_LMA;
    if (long_mode && rights & AR_L)
        return rip;
    return (uint32_t)rip;
}

// An instruction that completes ends blocking by STI and MOV SS, and traps when TF was set (SDM, "Guest
// Non-Register State": with blocking kept, or without the pending trap, the next entry would fail or the
// guest's debugger would miss a step). With DEBUGCTL.BTF only branches trap.
void skip_slow(void)
{
    uint32_t blocking = BLOCKING_BY_STI | BLOCKING_BY_MOV_SS;
    vmwrite32(GUEST_INTERRUPTIBILITY_STATE, vmread32(GUEST_INTERRUPTIBILITY_STATE) & ~blocking);
    if (vmread_nat(GUEST_RFLAGS) & RFLAGS_TF && !(vmread64(GUEST_DEBUGCTL) & DEBUGCTL_BTF))
        vmwrite_nat(GUEST_PENDING_DEBUG_EXCEPTIONS,
                    vmread_nat(GUEST_PENDING_DEBUG_EXCEPTIONS) | PENDING_DEBUG_BS);
}
