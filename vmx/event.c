// Events injected at VM entry (SDM, "Event Injection").
#include "sdm/qualification.h"
#include "vmx/exit.h"

enum { INTR_VALID = (int)0x80000000, INTR_ERROR_CODE = 1 << 11, INTR_NMI_UNBLOCKING = 1 << 12 };
enum { INTR_TYPE_SHIFT = 8, INTR_TYPE = 7 << INTR_TYPE_SHIFT };
enum { TYPE_NMI = 2, TYPE_HARDWARE_EXCEPTION = 3, TYPE_SOFTWARE_INTERRUPT = 4, TYPE_SOFTWARE_EXCEPTION = 6 };

static void inject(uint32_t info, uint32_t error_code)
{
    vmwrite32(VM_ENTRY_INTERRUPTION_INFO, info);
    if (info & INTR_ERROR_CODE)
        vmwrite32(VM_ENTRY_EXCEPTION_ERROR_CODE, error_code);
}
