// EPT violations: the first touch of lazily backed memory, or an access to what the machine does not have.
#include "sdm/qualification.h"
#include "vmx/diagnose.h"
#include "vmx/exit.h"

_Static_assert(ACCESS_READ == 1 && ACCESS_WRITE == 2 && ACCESS_EXEC == 4, "bits 2:0 of the qualification");

static noinline_cold void cannot_back(struct vcpu *v, enum error e)
{
    diagnose_end(v, e == E_NO_MEMORY ? END_NO_MEMORY : END_OUTSIDE);
}

// The access is made again at the next entry, with the event that it belonged to, if any.
void exit_ept_violation(struct vcpu *v, uint64_t qualification)
{
    enum error e = space_fault(v->space, gpa(vmread64(GUEST_PHYSICAL_ADDRESS)), qualification & 7);
    if (unlikely(e)) {
        cannot_back(v, e);
        return;
    }
    bool was_delivering = reinject_vectored_event();
    if (unlikely(!was_delivering && decode_ept_violation(qualification).nmi_unblocking))
        restore_nmi_blocking();
}
