#include "arch/mtrr.h"
#include "arch/cpu.h"
#include "arch/features.h"
#include "sdm/msr.h"

struct mtrr_state mtrrs;

static const uint32_t fixed_msrs[MTRR_FIXED] = {
    MSR_MTRR_FIX64K_00000, MSR_MTRR_FIX16K_80000, MSR_MTRR_FIX16K_A0000, MSR_MTRR_FIX4K_C0000,
    MSR_MTRR_FIX4K_C8000,  MSR_MTRR_FIX4K_D0000,  MSR_MTRR_FIX4K_D8000,  MSR_MTRR_FIX4K_E0000,
    MSR_MTRR_FIX4K_E8000,  MSR_MTRR_FIX4K_F0000,  MSR_MTRR_FIX4K_F8000,
};

void mtrr_read(struct mtrr_state *m)
{
    *m = (struct mtrr_state){0};
    if (!cpu_has(FEATURE_MTRR))
        return;
    m->capability = rdmsr(MSR_MTRRCAP);
    m->def_type = rdmsr(MSR_MTRR_DEF_TYPE);
    m->variable = (uint32_t)min_u64(m->capability & MTRRCAP_VCNT, MTRR_VARIABLE_MAX);
    for (uint32_t i = 0; i < m->variable; i++) {
        m->base[i] = rdmsr(msr_mtrr_physbase(i));
        m->mask[i] = rdmsr(msr_mtrr_physmask(i));
    }
    if (m->capability & MTRRCAP_FIXED)
        for (unsigned i = 0; i < MTRR_FIXED; i++)
            m->fixed[i] = rdmsr(fixed_msrs[i]);
}
