// Checks the processor that a machine sees: state at entry, CPUID, MSRs, control registers, XSAVE, and the
// instructions that the hypervisor stands in for. Expectations are the SDM's and abi/micronova.h's; what
// a processor may choose is read from CPUID first.
#include "guests/cpu/cpu.h"

bool feature_present(struct feature f)
{
    struct cpuid c = cpuid(f.leaf, f.subleaf);
    const uint32_t regs[] = {c.eax, c.ebx, c.ecx, c.edx};
    uint32_t highest = cpuid(f.leaf & 0x80000000, 0).eax;
    return f.leaf <= highest && (regs[f.reg] >> f.bit & 1);
}

int main(const struct start_info *start)
{
    (void)start;
    unsigned points = 0;
#define X(group) points += group##_points();
    GROUPS(X)
#undef X
    tap_plan(points);
#define X(group) group##_test();
    GROUPS(X)
#undef X
    return tap_end();
}
