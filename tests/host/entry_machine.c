#include "tests/host/entry_machine.h"

void entry_haswell(struct entry_env *env)
{
    *env = (struct entry_env){
        .caps = {.basic = 0x00d810000000002b,
                 .pin = 0x0000007f00000016,
                 .primary = 0xf7f9fffe0401e172,
                 .exit = 0x007fffff00036dff,
                 .entry = 0x0000ffff000011ff,
                 .misc = 0x000401e0,
                 .cr0_fixed0 = 0x80000021,
                 .cr0_fixed1 = 0xffffffff,
                 .cr4_fixed0 = 0x2000,
                 .cr4_fixed1 = 0x1727ff,
                 .vmcs_enum = 0x2e,
                 .true_pin = 0x0000007f00000016,
                 .true_primary = 0xf7f9fffe04006172,
                 .true_exit = 0x007fffff00036dfb,
                 .true_entry = 0x0000ffff000011fb,
                 .secondary = 0x00047fff00000000,
                 .ept_vpid = 0x00000f0106334141,
                 .vm_functions = 1},
        .physical_width = 40,
        .linear_width = 48,
        .perf_global_ctrl = 0x70000000f,
        .current_vmcs = 0x100000,
    };
    entry_env_set_feature(env, FEATURE_NX);
    entry_env_set_feature(env, FEATURE_SYSCALL);
    entry_env_prepare(env);
}

void entry_westmere(struct entry_env *env)
{
    entry_haswell(env);
    env->caps.basic |= VMX_BASIC_ADDRESSES_32;
    env->caps.misc &= ~(uint64_t)VMX_MISC_ACTIVITY_SIPI;
    env->caps.secondary = 0xffull << 32;
    env->caps.ept_vpid &= ~(uint64_t)EPT_CAP_ACCESSED_DIRTY;
    env->caps.vm_functions = 0;
    env->physical_width = 36;
    entry_env_prepare(env);
}

void entry_newest(struct entry_env *env)
{
    entry_haswell(env);
    env->caps.pin |= 0xffull << 32;
    env->caps.true_pin |= 0xffull << 32;
    env->caps.primary |= 0xfffaffffull << 32;
    env->caps.true_primary |= 0xfffaffffull << 32;
    env->caps.exit |= 0xffffffffull << 32;
    env->caps.true_exit |= 0xffffffffull << 32;
    env->caps.entry |= 0x00ffffffull << 32;
    env->caps.true_entry |= 0x00ffffffull << 32;
    env->caps.secondary |= 0xffffffffull << 32;
    env->caps.tertiary = 0xdf;
    env->caps.exit2 = 0xb;
    env->caps.basic |= VMX_BASIC_ANY_ERROR_CODE | VMX_BASIC_NESTED_EXCEPTION;
    env->caps.misc |= VMX_MISC_LENGTH_0;
    env->caps.ept_vpid |= EPT_CAP_WALK_5 | EPT_CAP_SUPERVISOR_SHADOW_STACK;
    env->caps.cr4_fixed1 |= CR4_CET | CR4_PKE | CR4_PKS | CR4_LA57 | CR4_UMIP | CR4_SMAP | CR4_FRED;
    env->physical_width = 52;
    env->linear_width = 57;
    for (unsigned f = 0; f < FEATURE_COUNT; f++)
        entry_env_set_feature(env, f);
    entry_env_prepare(env);
}

static void set_host(struct vmcs_image *im, const struct entry_env *env)
{
    im->value[AT_HOST_CR0] = env->caps.cr0_fixed0 | CR0_ET | CR0_WP;
    im->value[AT_HOST_CR4] = env->caps.cr4_fixed0 | CR4_PAE;
    im->value[AT_HOST_CR3] = 0x3000;
    im->value[AT_HOST_EFER] = EFER_LMA | EFER_LME | EFER_SCE;
    im->value[AT_HOST_PAT] = PAT_POWER_UP;
    im->value[AT_HOST_CS_SELECTOR] = 0x8;
    im->value[AT_HOST_SS_SELECTOR] = 0x10;
    im->value[AT_HOST_DS_SELECTOR] = 0x10;
    im->value[AT_HOST_TR_SELECTOR] = 0x18;
    im->value[AT_HOST_GDTR_BASE] = 0xffff800000001000;
    im->value[AT_HOST_IDTR_BASE] = 0xffff800000002000;
    im->value[AT_HOST_TR_BASE] = 0xffff800000003000;
    im->value[AT_HOST_RIP] = 0x100000; // below 4 GB: also of a 32-bit host
}

bool entry_valid_image(struct vmcs_image *im, const struct entry_env *env, enum entry_mode mode)
{
    *im = (struct vmcs_image){.known = KNOWN_PDPTES | KNOWN_VTPR | KNOWN_LINK | KNOWN_MSRS};
    set_host(im, env);
    im->value[AT_EPT_POINTER] = 0x101000 | 3 << 3 | MT_WB;
    return entry_mode_set(im, env, mode);
}
