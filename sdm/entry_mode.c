#include "sdm/entry_cases.h"

enum {
    V86_RIGHTS = AR_DATA | AR_DPL,
    CODE_SELECTOR = 0x8,
    DATA_SELECTOR = 0x10,
};

// clang-format off
static const struct mode {
    uint32_t code, data, limit;
    uint16_t code_selector, data_selector;
    uint64_t cr0, cr4, rflags;
    bool unrestricted; // only under unrestricted guest
} modes[MODE_COUNT] = {
    [MODE_REAL]      = {AR_CODE,          AR_DATA,          0xffff,     0, 0, 0, 0, 0, true},
    [MODE_PROTECTED] = {AR_CODE | AR_FLAT32, AR_DATA | AR_FLAT32, 0xffffffff, CODE_SELECTOR, DATA_SELECTOR, CR0_PE, 0, 0, true},
    [MODE_PAGED]     = {AR_CODE | AR_FLAT32, AR_DATA | AR_FLAT32, 0xffffffff, CODE_SELECTOR, DATA_SELECTOR, CR0_PE | CR0_PG, 0, 0, false},
    [MODE_PAE]       = {AR_CODE | AR_FLAT32, AR_DATA | AR_FLAT32, 0xffffffff, CODE_SELECTOR, DATA_SELECTOR, CR0_PE | CR0_PG, CR4_PAE, 0, false},
    [MODE_LONG]      = {AR_CODE | AR_FLAT64, AR_DATA | AR_FLAT32, 0xffffffff, CODE_SELECTOR, DATA_SELECTOR, CR0_PE | CR0_PG, CR4_PAE, 0, false},
    [MODE_V86]       = {V86_RIGHTS,    V86_RIGHTS,    0xffff,     0, 0, CR0_PE | CR0_PG, 0, RFLAGS_VM, false},
};
// clang-format on

static void set_controls(struct vmcs_image *im, const struct entry_env *env, bool long_mode)
{
    im->value[AT_PIN_BASED_CONTROLS] = env->control[WORD_PIN].must_be_1;
    im->value[AT_PRIMARY_CONTROLS] = env->control[WORD_PRIMARY].must_be_1 |
                                     (env->control[WORD_PRIMARY].may_be_1 & PRIMARY_ACTIVATE_SECONDARY);
    im->value[AT_SECONDARY_CONTROLS] =
        env->control[WORD_SECONDARY].may_be_1 & (SECONDARY_EPT | SECONDARY_UNRESTRICTED_GUEST);
    im->value[AT_VM_EXIT_CONTROLS] = env->control[WORD_EXIT].must_be_1 | EXIT_HOST_ADDRESS_SPACE_SIZE;
    im->value[AT_VM_ENTRY_CONTROLS] =
        env->control[WORD_ENTRY].must_be_1 | (long_mode ? (uint64_t)ENTRY_IA32E_MODE_GUEST : 0);
    im->value[AT_TERTIARY_CONTROLS] = 0;
    im->value[AT_SECONDARY_VM_EXIT_CONTROLS] = 0;
    im->value[AT_VM_FUNCTION_CONTROLS] = 0;
    im->value[AT_CR3_TARGET_COUNT] = 0;
    im->value[AT_VM_EXIT_MSR_STORE_COUNT] = 0;
    im->value[AT_VM_EXIT_MSR_LOAD_COUNT] = 0;
    im->value[AT_VM_ENTRY_MSR_LOAD_COUNT] = 0;
    im->value[AT_VM_ENTRY_INTERRUPTION_INFO] = 0;
    im->value[AT_VM_ENTRY_EXCEPTION_ERROR_CODE] = 0;
    im->value[AT_VM_ENTRY_INSTRUCTION_LENGTH] = 0;
}

// Segment fields follow one another by 2 in their encodings, so by 1 in an image: ES CS SS DS FS GS LDTR TR.
static void set_segment(struct vmcs_image *im, unsigned segment, uint16_t selector, uint32_t limit,
                        uint32_t rights)
{
    im->value[AT_GUEST_ES_SELECTOR + segment] = selector;
    im->value[AT_GUEST_ES_LIMIT + segment] = limit;
    im->value[AT_GUEST_ES_ACCESS_RIGHTS + segment] = rights;
    im->value[AT_GUEST_ES_BASE + segment] = 0;
}

static void set_segments(struct vmcs_image *im, const struct mode *m)
{
    enum { ES, CS, SS, DS, FS, GS, LDTR, TR };
    for (unsigned segment = ES; segment <= GS; segment++)
        set_segment(im, segment, m->data_selector, m->limit, m->data);
    set_segment(im, CS, m->code_selector, m->limit, m->code);
    set_segment(im, LDTR, 0, 0, AR_UNUSABLE);
    set_segment(im, TR, 0, 0x67, AR_TYPE_BUSY_TSS | AR_P);
}

static const uint16_t zeros[] = {
    AT_GUEST_CR3,
    AT_GUEST_RIP,
    AT_GUEST_RSP,
    AT_GUEST_GDTR_BASE,
    AT_GUEST_GDTR_LIMIT,
    AT_GUEST_IDTR_BASE,
    AT_GUEST_IDTR_LIMIT,
    AT_GUEST_SYSENTER_CS,
    AT_GUEST_SYSENTER_ESP,
    AT_GUEST_SYSENTER_EIP,
    AT_GUEST_DEBUGCTL,
    AT_GUEST_ACTIVITY_STATE,
    AT_GUEST_PDPTE0,
    AT_GUEST_PDPTE1,
    AT_GUEST_PDPTE2,
    AT_GUEST_PDPTE3,
    AT_GUEST_PENDING_DEBUG_EXCEPTIONS,
    AT_GUEST_INTERRUPTIBILITY_STATE,
};

bool entry_mode_set(struct vmcs_image *im, const struct entry_env *env, enum entry_mode mode)
{
    const struct mode *m = &modes[mode];
    const uint64_t unrestricted = CR0_PE | CR0_PG;
    if (m->unrestricted && !(env->control[WORD_SECONDARY].may_be_1 & SECONDARY_UNRESTRICTED_GUEST))
        return false;
    set_controls(im, env, mode == MODE_LONG);
    set_segments(im, m);
    for (unsigned i = 0; i < sizeof(zeros) / sizeof(zeros[0]); i++)
        im->value[zeros[i]] = 0;
    im->value[AT_GUEST_CR0] = m->cr0 | (env->caps.cr0_fixed0 & ~unrestricted) | CR0_ET;
    im->value[AT_GUEST_CR4] = m->cr4 | env->caps.cr4_fixed0;
    im->value[AT_GUEST_RFLAGS] = m->rflags | RFLAGS_FIXED1;
    im->value[AT_GUEST_DR7] = DR7_INIT;
    im->value[AT_GUEST_PAT] = PAT_POWER_UP;
    im->value[AT_GUEST_EFER] = mode == MODE_LONG ? EFER_LME | EFER_LMA : 0;
    im->value[AT_VMCS_LINK_POINTER] = ~0ull;
    return true;
}
