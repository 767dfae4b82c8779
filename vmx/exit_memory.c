// EPT violations: the first touch of lazily backed memory, or an access to what the machine does not have.
#include "dev/lapic.h"
#include "sdm/qualification.h"
#include "vmx/exit.h"
#include "vmx/pml.h"

_Static_assert(ACCESS_READ == 1 && ACCESS_WRITE == 2 && ACCESS_EXEC == 4, "bits 2:0 of the qualification");

// Memory of the machine's that does not allow this: a read-only page, one that was taken back.
static noinline_cold void not_allowed(struct vcpu *v, uint64_t qualification)
{
    if (decode_ept_violation(qualification).nmi_unblocking)
        restore_nmi_blocking();
    vcpu_inject_fault(v, EXC_GP, 0);
}

// No RAM there: a device, or nothing. An event whose delivery touches a device goes nowhere sensible. Of the
// qualification bit 7 counts, whether the guest-linear address is there, and for E_DENIED bit 12.
static __attribute__((noinline)) void cannot_back(struct vcpu *v, gpa_t at, uint64_t qualification,
                                                  enum error e)
{
    bool delivering = vmread32(IDT_VECTORING_INFO) & EVENT_INFO_VALID;
    if (likely(e == E_BAD_ADDRESS && !delivering && vcpu_upcalls.mmio_covers(v, at)))
        mmio_emulate(v, at, qualification);
    else if (e == E_DENIED && !delivering)
        not_allowed(v, qualification);
    else
        diagnose_end(v, e == E_NO_MEMORY ? END_NO_MEMORY : END_OUTSIDE);
}

// The single step of an instruction that has not run yet is not pending (SDM, "Saving Non-Register State"): it
// is only where MOV SS or STI blocks. Bochs 2.7 says it is whenever TF is set, and the guest would get two.
static noinline_cold void drop_false_step(uint64_t pending)
{
    if (!(vmread32(GUEST_INTERRUPTIBILITY_STATE) & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS)))
        vmwrite_nat(GUEST_PENDING_DEBUG_EXCEPTIONS, pending & ~(uint64_t)PENDING_DEBUG_BS);
}

// The access is made again at the next entry, with the event that it belonged to, if any. Bit 12 of the qualification
// means the same for both exits that come here (SDM, "Information About NMI Unblocking Due to IRET").
static inline void access_again(uint64_t qualification)
{
    uint64_t pending = vmread_nat(GUEST_PENDING_DEBUG_EXCEPTIONS);
    if (unlikely(pending))
        drop_false_step(pending);
    bool was_delivering = reinject_vectored_event();
    if (unlikely(!was_delivering && decode_ept_violation(qualification).nmi_unblocking))
        restore_nmi_blocking();
}

void exit_ept_violation(struct vcpu *v, uint64_t qualification)
{
    gpa_t at = gpa(vmread64(GUEST_PHYSICAL_ADDRESS));
    enum error e = space_fault(v->space, at, qualification & 7);
    if (unlikely(e))
        cannot_back(v, at, qualification, e);
    else
        access_again(qualification);
}

void exit_pml_full(struct vcpu *v, uint64_t qualification)
{
    pml_drain(v);
    access_again(qualification);
}

// What the processor leaves to us of accesses to the xAPIC page: registers that it does not know, odd sizes, and all of
// them while the APIC is disabled. The instruction has not run; no guest-linear address comes with this exit.
void exit_apic_access(struct vcpu *v, uint64_t qualification)
{
    struct apic_access a = decode_apic_access(qualification);
    bool data = a.type == APIC_LINEAR_READ || a.type == APIC_LINEAR_WRITE;
    cannot_back(v, gpa(LAPIC_PAGE | a.offset), 0, data ? E_BAD_ADDRESS : E_NOT_FOUND);
}
