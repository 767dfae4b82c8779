// HLT, VMCALL, XSETBV.
#include "abi/micronova.h"
#include "vmx/cpuid.h"
#include "vmx/exit.h"
#include "vmx/state.h"

void exit_hlt(struct vcpu *v)
{
    bool interrupts_on = vmread_nat(GUEST_RFLAGS) & RFLAGS_IF;
    skip_instruction();
    // A debug exception ends the halt, here the single step's (SDM, "HLT").
    if (likely(!(vmread_nat(GUEST_PENDING_DEBUG_EXCEPTIONS) & PENDING_DEBUG_BS)))
        vcpu_upcalls.halt(v, interrupts_on);
}

// A number that fits 32 bits means the same in every mode; what stands above matters in 64-bit mode only.
static noinline_cold void call_low_half(struct vcpu *v)
{
    if (vcpu_in_64bit_mode(v) || (uint32_t)v->gpr[RAX] >= HC_COUNT)
        v->gpr[RAX] = (uint64_t)-E_UNKNOWN_CALL;
    else
        vcpu_upcalls.hypercalls[(uint32_t)v->gpr[RAX]](v);
}

// The instruction has retired when the call begins, so that a call may hand over to another vCPU.
void exit_vmcall(struct vcpu *v)
{
    skip_instruction();
    uint64_t number = v->gpr[RAX];
    if (unlikely(vmread32(GUEST_SS_ACCESS_RIGHTS) & AR_DPL))
        v->gpr[RAX] = (uint64_t)-E_DENIED;
    else if (likely(number < HC_COUNT))
        vcpu_upcalls.hypercalls[number](v);
    else if (number <= UINT32_MAX)
        v->gpr[RAX] = (uint64_t)-E_UNKNOWN_CALL;
    else
        call_low_half(v);
}

// The rules of SDM, "XSETBV": x87 always, AVX only with SSE, nothing that the guest does not have.
static bool xcr0_legal(uint64_t value)
{
    return value & XCR0_X87 && !(value & ~cpuid_xcr0_allowed) && (!(value & XCR0_AVX) || value & XCR0_SSE);
}

// With CR4.OSXSAVE clear the processor faults before the exit; so it does at CPL > 0, but Bochs 2.7 does not.
// The guest's XCR0 stays in the processor while its exits are handled; the hypervisor uses no such state.
void exit_xsetbv(struct vcpu *v)
{
    uint64_t value = edx_eax(v);
    if (unlikely((uint32_t)v->gpr[RCX] != 0 || !xcr0_legal(value) ||
                 vmread32(GUEST_SS_ACCESS_RIGHTS) & AR_DPL)) {
        vcpu_inject_fault(v, EXC_GP, 0);
        return;
    }
    state_set_xcr0(v, value);
    skip_instruction();
}
