// The exit path inside C: handlers and what they share. docs/design.md, "The life of an exit".
#pragma once
#include "sdm/bits.h"
#include "vmx/vmcs.h"

// One handler per basic exit reason, in vmx/exit_*.c. What stands in the second column of the table in
// exit.c is read before the handler and passed to it.
void exit_exception(struct vcpu *v, uint32_t interruption);
void exit_external_interrupt(struct vcpu *v, uint32_t interruption);
void exit_cpuid(struct vcpu *v);
void exit_hlt(struct vcpu *v);
void exit_vmcall(struct vcpu *v);
void exit_cr_access(struct vcpu *v, uint64_t qualification);
void exit_task_switch(struct vcpu *v, uint64_t qualification);
void exit_io(struct vcpu *v, uint64_t qualification);
void exit_rdmsr(struct vcpu *v);
void exit_wrmsr(struct vcpu *v);
void exit_xsetbv(struct vcpu *v);
void exit_ept_violation(struct vcpu *v, uint64_t qualification);
void exit_pml_full(struct vcpu *v, uint64_t qualification);
void exit_apic_access(struct vcpu *v, uint64_t qualification);
void exit_apic_write(struct vcpu *v, uint64_t qualification);
void exit_virtualized_eoi(struct vcpu *v, uint64_t qualification);

// Emulates the instruction at RIP, whose access to gpa `at`, known to be a device's, made the EPT violation that
// `qualification` describes, or (0) an exit that tells nothing about linear addresses. One that the decoder does not
// know ends the machine, in words.
void mmio_emulate(struct vcpu *v, gpa_t at, uint64_t qualification);
// Ends `v`'s machine because of the present exit, with a sentence made from it.
noinline_cold void diagnose_end(struct vcpu *v, enum ending how);

noinline_cold uint64_t skip_truncated(uint64_t rip);
noinline_cold void skip_slow(void);

// The only way past an emulated instruction: RIP truncated to the mode, blocking by STI and MOV SS cleared, the
// single-step trap pended when TF is set. Inline because every emulated instruction ends here. A RIP that does not
// leave its 64-KiB block needs no truncation in any mode.
static inline void skip_from(uint64_t rip, uint64_t length, uint64_t rflags)
{
    uint64_t next = rip + length;
    if (unlikely((rip ^ next) >> 16))
        next = skip_truncated(next);
    vmwrite_nat(GUEST_RIP, next);

    uint64_t blocking = vmread_raw(GUEST_INTERRUPTIBILITY_STATE) & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS);
    if (unlikely(blocking | (rflags & RFLAGS_TF)))
        skip_slow();
}
static inline void skip_instruction(void)
{
    uint64_t length = vmread_raw(VM_EXIT_INSTRUCTION_LENGTH);
    skip_from(vmread_nat(GUEST_RIP), length, vmread_nat(GUEST_RFLAGS));
}

// After an emulated change that makes the processor drop translations (SDM, "Operations that Invalidate TLBs
// and Paging-Structure Caches").
void flush_guest_tlb(struct vcpu *v);

// The four PDPTEs of PAE paging, from where GUEST_CR3 points; false: a reserved bit is set, which is #GP(0) (SDM,
// "PDPTE Registers"), and none is loaded.
bool load_pdptes(struct vcpu *v);

// EDX:EAX as instructions give and take it.
static inline uint64_t edx_eax(const struct vcpu *v)
{
    return v->gpr[RDX] << 32 | (uint32_t)v->gpr[RAX];
}
static inline void set_edx_eax(struct vcpu *v, uint64_t value)
{
    v->gpr[RAX] = (uint32_t)value;
    v->gpr[RDX] = value >> 32;
}

// Has the processor deliver `info` at the next entry; error code and length in bytes where its type has them.
void inject_event(uint32_t info, uint32_t error_code, uint32_t length);
// What was being delivered when the exit came is delivered again (SDM, "Information for VM Exits During Event
// Delivery"). For exits that retire no instruction. Returns whether there was something.
bool reinject_vectored_event(void);
// The exit came out of an IRET that had ended NMI blocking, and that IRET runs again (SDM, "Exit
// Qualification for EPT Violations").
void restore_nmi_blocking(void);
