// error: implicit conversion from .enum vmcs16. to .enum vmcs64.
// A 16-bit field of the VMCS is not read as a 64-bit one.
#include "vmx/vmcs.h"

uint64_t selector(void);
uint64_t selector(void)
{
#ifdef WRONG
    return vmread64(GUEST_ES_SELECTOR);
#else
    return vmread16(GUEST_ES_SELECTOR);
#endif
}
