#include "sdm/entry_rules.h"
#include "sdm/exit_reason.h"
#include "sdm/qualification.h"
#include "sdm/vm_error.h"

// VM entry never checks these two bits: neither it nor VM exit changes them.
#define CR0_UNCHECKED ((uint64_t)(CR0_CD | CR0_NW))

// What many rules ask for, once: the view that the predicates have.
struct view {
    const struct vmcs_image *im;
    const struct entry_env *env;
    uint64_t pin, primary, secondary, tertiary, exit, exit2, entry, function; // 0 where not activated
    uint64_t beyond;     // bits that no address of a VMX structure has
    uint64_t beyond_cr3; // and that CR3 has not
    uint64_t lam;        // bits of CR3 that may be there or not
    uint64_t activity, blocking;
    bool unrestricted, long_mode, mode64, v86, pae, pae_from_memory, smm, from_32bit, looks_at_vtpr;
    bool fred;         // the guest will use FRED transitions
    bool step_pending; // what BS has to agree with ...
    bool steps;        // ... RFLAGS.TF without BTF
    bool pending_rtm;
    struct {
        uint64_t info;
        unsigned type, vector;
        bool valid, code, code_due, code_undue, code_unclear, software, interrupt, nmi, other, other_exists;
    } event;
};

#define V(field)        (w->im->value[AT_##field])
#define PIN(bit)        (w->pin & PIN_##bit)
#define PRIMARY(bit)    (w->primary & PRIMARY_##bit)
#define SECONDARY(bit)  (w->secondary & SECONDARY_##bit)
#define TERTIARY(bit)   (w->tertiary & TERTIARY_##bit)
#define EXIT(bit)       (w->exit & EXIT_##bit)
#define ENTRY(bit)      (w->entry & ENTRY_##bit)
#define FUNCTION(bit)   (w->function & FUNCTION_##bit)
#define AR(reg)         V(GUEST_##reg##_ACCESS_RIGHTS)
#define TYPE(reg)       (AR(reg) & AR_TYPE)
#define DPL(reg)        ((AR(reg) & AR_DPL) >> AR_DPL_SHIFT)
#define RPL(reg)        (V(GUEST_##reg##_SELECTOR) & SELECTOR_RPL)
#define USABLE(reg)     (!(AR(reg) & AR_UNUSABLE))
#define COUNTS(reg)     (!w->v86 && USABLE(reg)) // its access rights are looked at part by part
#define array_length(a) (sizeof(a) / sizeof((a)[0]))

static void view_controls(struct view *w)
{
    w->pin = V(PIN_BASED_CONTROLS);
    w->primary = V(PRIMARY_CONTROLS);
    w->exit = V(VM_EXIT_CONTROLS);
    w->entry = V(VM_ENTRY_CONTROLS);
    w->secondary = PRIMARY(ACTIVATE_SECONDARY) ? V(SECONDARY_CONTROLS) : 0;
    w->tertiary = PRIMARY(ACTIVATE_TERTIARY) ? V(TERTIARY_CONTROLS) : 0;
    w->exit2 = EXIT(ACTIVATE_SECONDARY) ? V(SECONDARY_VM_EXIT_CONTROLS) : 0;
    w->function = SECONDARY(VM_FUNCTIONS) ? V(VM_FUNCTION_CONTROLS) : 0;
    w->unrestricted = SECONDARY(UNRESTRICTED_GUEST);
    w->looks_at_vtpr =
        PRIMARY(TPR_SHADOW) && !SECONDARY(APIC_ACCESSES) && !SECONDARY(VIRTUAL_INTERRUPT_DELIVERY);
    w->smm = V(ATTEMPT) & ATTEMPT_IN_SMM;
    w->from_32bit = V(ATTEMPT) & ATTEMPT_HOST_32BIT;
}

static void view_guest(struct view *w)
{
    w->long_mode = ENTRY(IA32E_MODE_GUEST);
    w->mode64 = w->long_mode && AR(CS) & AR_L;
    w->v86 = V(GUEST_RFLAGS) & RFLAGS_VM;
    w->fred = V(GUEST_CR4) & CR4_FRED;
    w->pae = V(GUEST_CR0) & CR0_PG && V(GUEST_CR4) & CR4_PAE && !w->long_mode;
    w->pae_from_memory = w->pae && !SECONDARY(EPT) && w->im->known & KNOWN_PDPTES;
    w->activity = V(GUEST_ACTIVITY_STATE);
    w->blocking = V(GUEST_INTERRUPTIBILITY_STATE);
    w->step_pending = w->activity == ACTIVITY_HLT || w->blocking & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS);
    w->steps = V(GUEST_RFLAGS) & RFLAGS_TF && !(V(GUEST_DEBUGCTL) & DEBUGCTL_BTF);
    w->pending_rtm = V(GUEST_PENDING_DEBUG_EXCEPTIONS) & PENDING_DEBUG_RTM;
}

// Vectors with an error code, for VM entry: #CP is not among them.
enum {
    WITH_ERROR_CODE =
        1 << EXC_DF | 1 << EXC_TS | 1 << EXC_NP | 1 << EXC_SS | 1 << EXC_GP | 1 << EXC_PF | 1 << EXC_AC
};

// SDM volume 3, "VM-Entry Control Fields": from IA32_VMX_BASIC bit 56 on, hardware exceptions may come with or
// without.
static void view_error_code(struct view *w)
{
    bool hardware = w->event.type == EVENT_HARDWARE_EXCEPTION;
    bool real = !(V(GUEST_CR0) & CR0_PE), any = w->env->caps.basic & VMX_BASIC_ANY_ERROR_CODE;
    bool has = w->event.vector < 32 && (uint32_t)WITH_ERROR_CODE >> w->event.vector & 1;
    w->event.code_unclear = hardware && real && !w->unrestricted;
    w->event.code_due = hardware && !real && !any && has;
    w->event.code_undue = !hardware || (real && w->unrestricted) || (!real && !any && !has);
}

static bool has_mtf(const struct view *w)
{
    return w->env->control[WORD_PRIMARY].may_be_1 & PRIMARY_MONITOR_TRAP_FLAG;
}

static void view_event(struct view *w)
{
    w->event.info = V(VM_ENTRY_INTERRUPTION_INFO);
    w->event.valid = w->event.info & EVENT_INFO_VALID;
    if (!w->event.valid)
        return;
    w->event.type = w->event.info >> 8 & 7;
    w->event.vector = w->event.info & 0xff;
    w->event.code = w->event.info & EVENT_INFO_ERROR_CODE;
    w->event.other = w->event.type == EVENT_OTHER;
    w->event.other_exists = has_mtf(w) || entry_env_has(w->env, FEATURE_FRED);
    w->event.software = event_has_length(w->event.type) || (w->event.other && w->event.vector);
    w->event.interrupt = w->event.type == EVENT_EXTERNAL_INTERRUPT;
    w->event.nmi = w->event.type == EVENT_NMI;
    view_error_code(w);
}

static void view_addresses(struct view *w)
{
    w->lam = entry_env_has(w->env, FEATURE_LAM) ? (uint64_t)(CR3_LAM_U48 | CR3_LAM_U57) : 0;
    w->beyond_cr3 = w->env->beyond_physical & ~w->lam;
    w->beyond = w->env->beyond_physical;
    if (w->env->caps.basic & VMX_BASIC_ADDRESSES_32)
        w->beyond |= ~0xffffffffull;
}

// ---- The questions that predicates ask ----

static inline bool canonical(const struct view *w, uint64_t address)
{
    return is_canonical(address, w->env->linear_width);
}
// A weaker demand: bits beyond the linear-address width.
static inline bool linear(const struct view *w, uint64_t address)
{
    return is_canonical(address, w->env->linear_width + 1u);
}

static bool ends_beyond(const struct view *w, uint64_t address, uint64_t bytes)
{
    uint64_t last = address + bytes - 1;
    return last < address || last & w->beyond;
}

#define EACH_BYTE 0x0101010101010101ull
static bool pat_allowed(uint64_t pat) // no byte is 2, 3 or above 7
{
    return !(pat & 0xf8 * EACH_BYTE) && !(pat >> 1 & ~(pat >> 2) & EACH_BYTE);
}

static bool eptp_type_allowed(const struct view *w)
{
    unsigned type = V(EPT_POINTER) & 7;
    return (type == MT_UC && w->env->caps.ept_vpid & EPT_CAP_UC) ||
           (type == MT_WB && w->env->caps.ept_vpid & EPT_CAP_WB);
}
static bool eptp_walk_allowed(const struct view *w)
{
    unsigned less_1 = V(EPT_POINTER) >> 3 & 7;
    return (less_1 == 3 && w->env->caps.ept_vpid & EPT_CAP_WALK_4) ||
           (less_1 == 4 && w->env->caps.ept_vpid & EPT_CAP_WALK_5);
}

static bool activity_supported(const struct view *w)
{
    if (w->activity == ACTIVITY_ACTIVE || w->activity > ACTIVITY_WAIT_FOR_SIPI)
        return true; // the latter is another rule's
    return w->env->caps.misc & VMX_MISC_ACTIVITY_HLT << (w->activity - ACTIVITY_HLT);
}
static bool is_exception(const struct view *w, unsigned vector)
{
    return w->event.type == EVENT_HARDWARE_EXCEPTION && w->event.vector == vector;
}
static bool wakes_hlt(const struct view *w)
{
    return w->event.interrupt || w->event.nmi || is_exception(w, EXC_DB) || is_exception(w, EXC_MC) ||
           (w->event.type == EVENT_OTHER && w->event.vector == 0);
}
static bool wakes_shutdown(const struct view *w)
{
    return w->event.nmi || is_exception(w, EXC_MC);
}

// SDM volume 3, "VM-Entry Controls for Event Injection".
static bool other_vector_allowed(const struct view *w)
{
    return w->event.vector ? w->fred && w->event.vector <= OTHER_SYSENTER : has_mtf(w);
}

// SDM volume 3, "IA32_RTIT_CTL MSR": what no processor has; and OS, User, TSCEn, DisRETC and BranchEn, which all with
// Intel PT have.
#define RTIT_CTL_RESERVED (1ull << 18 | 1ull << 23 | 7ull << 28 | 0x7full << 48 | 0x7full << 57)
#define RTIT_CTL_KNOWN    (1ull << 2 | 1ull << 3 | 1ull << 10 | 1ull << 11 | 1ull << 13)

static bool cet_part_missing(const struct view *w, uint64_t s_cet)
{
    return (!entry_env_has(w->env, FEATURE_CET_SS) && s_cet & 3) ||
           (!entry_env_has(w->env, FEATURE_CET_IBT) && s_cet & ~3ull);
}

static bool unknown_controls(const struct view *w)
{
    const uint64_t value[WORD_COUNT] = {
        [WORD_PIN] = w->pin,           [WORD_PRIMARY] = w->primary, [WORD_SECONDARY] = w->secondary,
        [WORD_TERTIARY] = w->tertiary, [WORD_EXIT] = w->exit,       [WORD_ENTRY] = w->entry,
        [WORD_FUNCTION] = w->function, [WORD_EXIT2] = w->exit2};
    for (unsigned word = WORD_PIN; word < WORD_COUNT; word++)
        if (value[word] & ~control_words[word].bits.named & w->env->control[word].may_be_1 &
            ~w->env->control[word].must_be_1)
            return true;
    return false;
}

static const uint16_t host_addresses[] = {AT_HOST_SYSENTER_ESP,
                                          AT_HOST_SYSENTER_EIP,
                                          AT_HOST_FS_BASE,
                                          AT_HOST_GS_BASE,
                                          AT_HOST_GDTR_BASE,
                                          AT_HOST_IDTR_BASE,
                                          AT_HOST_TR_BASE,
                                          AT_HOST_RIP,
                                          AT_HOST_S_CET,
                                          AT_HOST_SSP,
                                          AT_HOST_INTERRUPT_SSP_TABLE_ADDRESS};
static const uint16_t guest_addresses[] = {AT_GUEST_SYSENTER_ESP,
                                           AT_GUEST_SYSENTER_EIP,
                                           AT_GUEST_FS_BASE,
                                           AT_GUEST_GS_BASE,
                                           AT_GUEST_TR_BASE,
                                           AT_GUEST_LDTR_BASE,
                                           AT_GUEST_GDTR_BASE,
                                           AT_GUEST_IDTR_BASE,
                                           AT_GUEST_BNDCFGS,
                                           AT_GUEST_S_CET,
                                           AT_GUEST_INTERRUPT_SSP_TABLE_ADDRESS};
static bool wider_than_48(const struct view *w, const uint16_t *at, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (!is_canonical(w->im->value[at[i]], 48))
            return true;
    return false;
}

// ---- The judge ----

#define RULE_TO_JUDGE(name, kind, number, section, fields, is_broken, sentence) \
    if (is_broken)                                                              \
        broken[RULE_##name / 64] |= 1ull << RULE_##name % 64;

static void judge_controls(const struct view *w, uint64_t *broken)
{
    ENTRY_RULES_BASIC(RULE_TO_JUDGE)
    ENTRY_RULES_EXECUTION(RULE_TO_JUDGE)
    ENTRY_RULES_EXIT(RULE_TO_JUDGE)
    ENTRY_RULES_ENTRY(RULE_TO_JUDGE)
}
static void judge_host(const struct view *w, uint64_t *broken)
{
    ENTRY_RULES_HOST_REGISTERS(RULE_TO_JUDGE)
    if (w->exit2 & EXIT2_LOAD_FRED) {
        ENTRY_RULES_HOST_FRED(RULE_TO_JUDGE)
    }
    ENTRY_RULES_HOST_SEGMENTS(RULE_TO_JUDGE)
    ENTRY_RULES_ADDRESS_SPACE(RULE_TO_JUDGE)
}
static void judge_guest(const struct view *w, uint64_t *broken)
{
    ENTRY_RULES_GUEST_REGISTERS(RULE_TO_JUDGE)
    if (ENTRY(LOAD_FRED)) {
        ENTRY_RULES_GUEST_FRED(RULE_TO_JUDGE)
    }
    ENTRY_RULES_SEGMENTS(RULE_TO_JUDGE)
    ENTRY_RULES_RIP(RULE_TO_JUDGE)
    ENTRY_RULES_NON_REGISTER(RULE_TO_JUDGE)
    if (w->pae) { // all of them are about PAE paging
        ENTRY_RULES_PDPTES(RULE_TO_JUDGE)
    }
}

struct msr_entry {
    uint32_t index, reserved;
    uint64_t value;
};

static bool holds_address(uint32_t msr)
{
    return msr == MSR_SYSENTER_ESP || msr == MSR_SYSENTER_EIP || msr == MSR_LSTAR || msr == MSR_CSTAR ||
           msr == MSR_KERNEL_GS_BASE;
}
// MSRs that take any value, or whose values rules are about.
static bool values_known(uint32_t msr)
{
    return holds_address(msr) || msr == MSR_PAT || msr == MSR_EFER || msr == MSR_STAR ||
           msr == MSR_SYSENTER_CS;
}

// Is the entry without fault?
static bool judge_msr(const struct view *w, const struct msr_entry *e, uint64_t *broken)
{
    uint64_t before = broken[RULE_WORDS - 1] | broken[RULE_WORDS - 2];
    ENTRY_RULES_MSRS(RULE_TO_JUDGE)
    return before == (broken[RULE_WORDS - 1] | broken[RULE_WORDS - 2]);
}

static void judge_msrs(const struct view *w, struct entry_verdict *v)
{
    uint64_t count = V(VM_ENTRY_MSR_LOAD_COUNT);
    if (!count || !(w->im->known & KNOWN_MSRS))
        return;
    for (unsigned i = 0; i < count && i < IMAGE_MSRS; i++) {
        const uint64_t *raw = &w->im->value[AT_ENTRY_MSR_0 + 2 * i];
        struct msr_entry e = {(uint32_t)raw[0], (uint32_t)(raw[0] >> 32), raw[1]};
        if (!judge_msr(w, &e, v->broken)) {
            v->msr_entry = (uint8_t)(i + 1);
            return;
        }
        if (!values_known(e.index) ||
            (w->env->linear_width > 48 && holds_address(e.index) && !is_canonical(e.value, 48)))
            v->open |= 1u << OPEN_MSR_UNKNOWN;
    }
    if (count > IMAGE_MSRS)
        v->open |= 1u << OPEN_MSR_COUNT;
}

#define OPEN_TO_STAGE(name, stage, arises, words) stage,
static const uint8_t open_stages[OPEN_COUNT] = {OPEN_QUESTIONS(OPEN_TO_STAGE)};
#define KIND_TO_STAGE(name, words, stage) stage,
static const uint8_t kind_stages[KIND_COUNT] = {RULE_KINDS(KIND_TO_STAGE)};
enum { STAGE_INSTRUCTION, STAGE_CONTROLS, STAGE_GUEST, STAGE_MSRS, STAGE_NONE };

static unsigned broken_stage(const struct entry_verdict *v)
{
    enum entry_rule first = entry_next_broken(v, 0); // rules stand in the order of stages
    return first == RULE_COUNT ? (unsigned)STAGE_NONE : kind_stages[entry_rules[first].kind];
}

static unsigned open_stage(const struct entry_verdict *v)
{
    unsigned first = STAGE_NONE;
    for (uint32_t left = v->open; left; left &= left - 1) {
        unsigned stage = open_stages[__builtin_ctz(left)];
        first = stage < first ? stage : first;
    }
    return first;
}

static enum verdict_kind verdict_kind(const struct entry_verdict *v)
{
    unsigned broken = broken_stage(v), open = open_stage(v);
    if (broken == STAGE_NONE && open == STAGE_NONE)
        return VERDICT_OBEYS;
    // An MSR that cannot be judged stands before the one that breaks a rule.
    if (broken < open || (broken == open && broken != STAGE_MSRS))
        return VERDICT_BREAKS;
    return VERDICT_NOT_JUDGED;
}

void entry_judge(struct entry_verdict *v, const struct vmcs_image *im, const struct entry_env *env)
{
    struct view view = {.im = im, .env = env}, *w = &view;
    *v = (struct entry_verdict){0};
    view_controls(w);
    view_guest(w);
    view_event(w);
    view_addresses(w);
    judge_controls(w, v->broken);
    judge_host(w, v->broken);
    judge_guest(w, v->broken);
#define OPEN_TO_JUDGE(name, stage, arises, words) \
    if (arises)                                   \
        v->open |= 1u << OPEN_##name;
    OPEN_QUESTIONS(OPEN_TO_JUDGE)
    judge_msrs(w, v);
    v->kind = verdict_kind(v);
}

enum entry_rule entry_next_broken(const struct entry_verdict *v, unsigned from)
{
    for (unsigned rule = from; rule < RULE_COUNT; rule = (rule / 64 + 1) * 64) {
        uint64_t left = v->broken[rule / 64] >> rule % 64;
        if (left)
            return (enum entry_rule)(rule + (unsigned)__builtin_ctzll(left));
    }
    return RULE_COUNT;
}

// ---- Does the processor agree? ----

static bool vmfail_agrees(const struct entry_verdict *v, struct entry_outcome got)
{
    bool control = got.number == VM_ERROR_ENTRY_CONTROLS, host = got.number == VM_ERROR_ENTRY_HOST_STATE;
    if (got.end != ENTRY_VMFAIL_VALID || (!control && !host))
        return false;
    if (open_stage(v) == STAGE_CONTROLS)
        return true;
    for (enum entry_rule r = entry_next_broken(v, 0); r < RULE_COUNT; r = entry_next_broken(v, r + 1)) {
        unsigned kind = entry_rules[r].kind;
        if (kind == KIND_CONTROL_OR_HOST || (control && kind == KIND_CONTROL) || (host && kind == KIND_HOST))
            return true;
    }
    return false;
}

static bool guest_failure_agrees(const struct entry_verdict *v, struct entry_outcome got)
{
    if (got.end != ENTRY_FAILED || got.number != REASON_INVALID_GUEST_STATE)
        return false;
    if (open_stage(v) == STAGE_GUEST)
        return true;
    for (enum entry_rule r = entry_next_broken(v, 0); r < RULE_COUNT; r = entry_next_broken(v, r + 1))
        if (entry_rules[r].kind == KIND_GUEST && entry_rules[r].number == got.qualification)
            return true;
    return false;
}

bool entry_agrees(const struct entry_verdict *v, struct entry_outcome got)
{
    if (v->kind != VERDICT_BREAKS)
        return v->kind == VERDICT_NOT_JUDGED || got.end == ENTRY_ENTERED;
    const struct entry_rule_info *first = &entry_rules[entry_next_broken(v, 0)];
    switch (kind_stages[first->kind]) {
    case STAGE_INSTRUCTION: // in this order, says the manual
        return first->number ? got.end == ENTRY_VMFAIL_VALID && got.number == first->number
                             : got.end == ENTRY_VMFAIL_INVALID;
    case STAGE_CONTROLS:
        return vmfail_agrees(v, got);
    case STAGE_GUEST:
        return guest_failure_agrees(v, got);
    default:
        return got.end == ENTRY_FAILED && got.number == REASON_MSR_LOADING &&
               got.qualification == v->msr_entry;
    }
}
