#include "sdm/msr.h"

static const struct {
    uint32_t number;
    const char *name;
} names[] = {
#define MSR_TO_ROW(number, prefix, name) {number, #prefix "_" #name},
    MSRS(MSR_TO_ROW)
#undef MSR_TO_ROW
};

enum { MTRR_PAIRS_END = MSR_MTRR_PHYSBASE0 + 32 };

const char *msr_name(uint32_t number)
{
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].number == number)
            return names[i].name;
    if (number >= MSR_MTRR_PHYSBASE0 && number < MTRR_PAIRS_END)
        return number & 1 ? "IA32_MTRR_PHYSMASK" : "IA32_MTRR_PHYSBASE";
    return number >= MSR_X2APIC_FIRST && number <= MSR_X2APIC_LAST ? "IA32_X2APIC" : "MSR";
}
