#include "sdm/msr.h"
#include "sdm/text.h"

#define MSR_TO_NUMBER(number, prefix, name) number,
#define MSR_TO_NAME(number, prefix, name)   #prefix "_" #name "\0"
static const uint32_t numbers[] = {MSRS(MSR_TO_NUMBER)};
static const char names[] = MSRS(MSR_TO_NAME);

enum { MTRR_PAIRS_END = MSR_MTRR_PHYSBASE0 + 32 };

const char *msr_name(uint32_t number)
{
    for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (numbers[i] == number)
            return text_nth(names, i);
    if (number >= MSR_MTRR_PHYSBASE0 && number < MTRR_PAIRS_END)
        return number & 1 ? "IA32_MTRR_PHYSMASK" : "IA32_MTRR_PHYSBASE";
    return number >= MSR_X2APIC_FIRST && number <= MSR_X2APIC_LAST ? "IA32_X2APIC" : "MSR";
}
