// State that a guest changes and that the VMCS does not hold. The one list of it:
//
//   state                     where it is while others run   saved                loaded
//   RAX..R15 but RSP          vcpu.gpr                       every exit           every entry
//   CR2, DR0-DR3, DR6         state.cr2, .dr, .dr6           another vCPU enters  when it differs in owner
//   XCR0                      state.xcr0                     by XSETBV exits      when it differs
//   x87, SSE, AVX             state.fpu (XSAVE area)         another vCPU enters  it enters
//   KERNEL_GS_BASE            state.kernel_gs_base           another vCPU enters  it enters
//   STAR LSTAR CSTAR FMASK    state.msr                      by WRMSR exits       when it differs
//   TSC_AUX, SPEC_CTRL        state.msr                      by WRMSR exits       when it differs
//
// Not here because the VMCS has it: CR0, CR3, CR4, DR7, DEBUGCTL, RSP, RIP, RFLAGS, segments, SYSENTER, FS and
// GS base, PAT, EFER. Not here because it is hidden: IA32_XSS, PKRU, CET, AVX-512, PMU, MTRRs, TSC_DEADLINE.
//
// The hypervisor uses none of it (it is compiled without vector registers), so nothing moves while one vCPU
// has the processor for itself; when a different one comes in, everything is switched at once, never by CR0.TS.
#pragma once
#include "vmx/vcpu.h"

void state_init(void); // boot processor, once
enum error state_create(struct vcpu *v, uint16_t owner);
void state_destroy(struct vcpu *v, uint16_t owner);
uint64_t state_bytes(void);

// Makes `to`'s state the processor's; whose state was in it gets it stored.
void state_switch(struct vcpu *to);
