// State that a guest changes and that the VMCS does not hold. The one list of it:
//
//   state                     where it is while others run   saved                loaded
//   RAX..R15 but RSP          vcpu.gpr                       every exit           every entry
//   CR2                       state.cr2                      another vCPU enters  it enters
//   DR0-DR3, DR6              state.dr, .dr6                 another vCPU enters  it enters, once it used them
//   XCR0                      state.xcr0                     by XSETBV exits      when it differs
//   x87, SSE, MXCSR           state.fpu (XSAVE area)         another vCPU enters  it enters
//   AVX                       state.fpu                      another vCPU enters  it enters, once XCR0 had it
//   KERNEL_GS_BASE            state.kernel_gs_base           another vCPU enters  when it differs
//   STAR LSTAR CSTAR FMASK    state.msr                      by WRMSR exits       when it differs
//   TSC_AUX, SPEC_CTRL        state.msr                      by WRMSR exits       when it differs
//
// Not here because the VMCS has it: CR0, CR3, CR4, DR7, DEBUGCTL, RSP, RIP, RFLAGS, segments, SYSENTER, FS and
// GS base, PAT, EFER. Not here because it is hidden: IA32_XSS, PKRU, CET, AVX-512, PMU, MTRRs. Not here because the
// local APIC has it: TSC_DEADLINE.
//
// The hypervisor uses none of it (it is compiled without vector registers), so nothing moves while one vCPU
// has the processor for itself; when a different one comes in, everything is switched at once, never by CR0.TS.
#pragma once
#include "arch/cpu.h"
#include "vmx/vcpu.h"

// What most vCPUs do without, so that one test on switching covers it all.
enum rare_state {
    RARE_MSRS = 1,   // one of state.msr is not zero
    RARE_DEBUG = 2,  // it uses DR0-DR3 and DR6; until then MOV DR exits
    RARE_XCR0 = 4,   // XCR0 was at times less than it once was
    RARE_EVENTS = 8, // the upcall `events` is due; any processor sets it, so all of it changes atomically
    RARE_LOG = 16    // its writes are or were logged: see vmx/pml.h
};

void state_init(void); // boot processor, once
enum error state_create(struct vcpu *v, uint16_t owner);
void state_restart(struct vcpu *v); // INIT of the current vCPU
void state_destroy(struct vcpu *v, uint16_t owner);
// The state of `v`, which this processor holds, goes to memory; it holds nobody's then.
void state_unload(struct vcpu *v);
uint64_t state_bytes(void);

// XSETBV of the current vCPU with a legal value: see "XSAVE state" in state.c.
noinline_cold void state_change_xcr0(struct vcpu *v, uint64_t value);
static inline void state_set_xcr0(struct vcpu *v, uint64_t value)
{
    if (unlikely(value != v->state.xcr0_ever))
        state_change_xcr0(v, value);
    xsetbv(0, value);
    v->state.xcr0 = value;
}

// Before anything touches DR0-DR3 or DR6 of the current vCPU: from now on they are switched, and MOV DR does
// not exit any more.
void state_use_debug(struct vcpu *v);
// The current vCPU wrote `value` to a kept MSR (enum kept_msr of vmx/msr.h), which the processor has by now.
void state_note_msr(struct vcpu *v, unsigned kept, uint64_t value);
