// HLT, VMCALL, XSETBV.
#include "arch/cpu.h"
#include "vmx/cpuid.h"
#include "vmx/exit.h"

void exit_hlt(struct vcpu *v)
{
    bool interrupts_on = vmread_nat(GUEST_RFLAGS) & RFLAGS_IF;
    skip_instruction();
    vcpu_upcalls.halt(v, interrupts_on);
}

void exit_vmcall(struct vcpu *v)
{
    vcpu_upcalls.hypercall(v);
}

// The rules of SDM, "XSETBV": x87 always, AVX only with SSE, nothing that the guest does not have.
static bool xcr0_legal(uint64_t value)
{
    return value & XCR0_X87 && !(value & ~cpuid_xcr0_allowed) && (!(value & XCR0_AVX) || value & XCR0_SSE);
}

// At CPL > 0 and with CR4.OSXSAVE clear the processor faults before the exit. The guest's XCR0 stays in the processor while its exits are handled; the hypervisor uses no such state.
void exit_xsetbv(struct vcpu *v)
{
    uint64_t value = edx_eax(v);
    if (unlikely((uint32_t)v->gpr[RCX] != 0 || !xcr0_legal(value))) {
        vcpu_inject_fault(v, EXC_GP, 0);
        return;
    }
    xsetbv(0, value);
    v->state.xcr0 = value;
    skip_instruction();
}
