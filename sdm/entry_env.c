#include "sdm/vmcs_image.h"

// SDM volume 3, "IA32_PERF_GLOBAL_CTRL": a bit that CPUID does not count among the counters.
#define PERF_METRICS (1ull << 48)

// SDM volume 3, "Architectural Performance Monitoring": version, number of general counters; number of fixed ones, from
// version 2 on.
void entry_env_set_counters(struct entry_env *env, uint32_t eax, uint32_t edx)
{
    unsigned version = eax & 0xff, general = eax >> 8 & 0xff, fixed = version > 1 ? edx & 0x1f : 0;
    env->perf_global_ctrl = version ? ((1ull << general % 64) - 1) | ((1ull << fixed) - 1) << 32 : 0;
}

static uint64_t bits_from(unsigned first)
{
    return first < 64 ? ~0ull << first : 0;
}

// SDM volume 4, "IA-32 Architectural MSRs", IA32_DEBUGCTL: bits 5:3 and those from 16 on are reserved on all;
// LBR and BTF are on all; the rest depends on the model, in part without a way to ask.
static void prepare_debugctl(struct entry_env *env)
{
    env->debugctl_known = DEBUGCTL_LBR | DEBUGCTL_BTF;
    env->debugctl_reserved = ~0xffc7ull;
    if (entry_env_has(env, FEATURE_BUS_LOCK_DETECT))
        env->debugctl_known |= DEBUGCTL_BLD;
    if (entry_env_has(env, FEATURE_RTM))
        env->debugctl_known |= DEBUGCTL_RTM;
}

void entry_env_prepare(struct entry_env *env)
{
    for (unsigned word = WORD_PIN; word < WORD_COUNT; word++) {
        struct control_capability can = vmx_caps_control(&env->caps, (enum vmcs_control_word)word);
        env->control[word].must_be_1 = can.must_be_1;
        env->control[word].may_be_1 = can.may_be_1;
    }
    env->beyond_physical = bits_from(env->physical_width);
    prepare_debugctl(env);
    env->efer_reserved = ~(uint64_t)(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE);
    if (!entry_env_has(env, FEATURE_NX))
        env->efer_reserved |= EFER_NXE;
    if (!entry_env_has(env, FEATURE_SYSCALL))
        env->efer_reserved |= EFER_SCE;
    env->perf_reserved = ~env->perf_global_ctrl & ~PERF_METRICS;
    env->pending_debug_reserved = ~0x1500full; // bits 3:0, 12, 14 and 16 are there on all
    if (entry_env_has(env, FEATURE_BUS_LOCK_DETECT))
        env->pending_debug_reserved &= ~(uint64_t)PENDING_DEBUG_BLD;
}
