#include "sdm/entry_cases.h"
#include "sdm/entry_cases_control.h"
#include "sdm/entry_cases_guest.h"

// A row of the lists: CASE(rule, mode, steps ...), a step: PRE, BAD or GOOD (operation, field, value). All
// stand in one array, each case behind a step of this kind that holds rule and mode.
enum { STEP_CASE = 0xff };

// clang-format off
#define STEP(when, op, field, value) {field, when, STEP_##op, (uint32_t)((uint64_t)(value) >> 32), (uint32_t)(value)}
#define PRE(op, field, value)        STEP(STEP_PREPARE, op, field, value)
#define BAD(op, field, value)        STEP(STEP_BAD, op, field, value)
#define GOOD(op, field, value)       STEP(STEP_GOOD, op, field, value)
#define CASE(rule, mode, ...)        {RULE_##rule, STEP_CASE, MODE_##mode, 0, 0}, __VA_ARGS__,

static const struct entry_step steps[] = {
    CASES_BASIC(CASE) CASES_EXECUTION(CASE) CASES_EXIT_ENTRY(CASE) CASES_HOST(CASE) CASES_GUEST_REGISTERS(CASE)
    CASES_SEGMENTS(CASE) CASES_RIP(CASE) CASES_NON_REGISTER(CASE) CASES_PDPTES(CASE) CASES_MSRS(CASE)
    {0, STEP_CASE, MODE_COUNT, 0, 0}
};
// clang-format on

// Cases of the same rule that stand before: not all of them are neighbours.
static unsigned cases_before(const struct entry_step *head)
{
    unsigned n = 0;
    for (const struct entry_step *s = steps; s < head; s++)
        n += s->when == STEP_CASE && s->field == head->field;
    return n;
}

bool entry_case_next(struct entry_case *c)
{
    const struct entry_step *head = c->step ? c->step + c->steps : steps;
    if (head->op == MODE_COUNT)
        return false;
    c->number = cases_before(head);
    c->rule = (enum entry_rule)head->field;
    c->mode = (enum entry_mode)head->op;
    c->step = head + 1;
    for (c->steps = 0; c->step[c->steps].when != STEP_CASE;)
        c->steps++;
    return true;
}

// ---- Steps ----

static const struct {
    uint16_t field;
    uint8_t word;
} control_fields[] = {
    {PIN_BASED_CONTROLS,         WORD_PIN      },
    {PRIMARY_CONTROLS,           WORD_PRIMARY  },
    {SECONDARY_CONTROLS,         WORD_SECONDARY},
    {TERTIARY_CONTROLS,          WORD_TERTIARY },
    {VM_EXIT_CONTROLS,           WORD_EXIT     },
    {VM_ENTRY_CONTROLS,          WORD_ENTRY    },
    {VM_FUNCTION_CONTROLS,       WORD_FUNCTION },
    {SECONDARY_VM_EXIT_CONTROLS, WORD_EXIT2    },
};

struct allowed {
    uint64_t must_be_1, may_be_1;
};

// What the capability MSRs allow in a field: all, if it is none of those that they are about.
static struct allowed allowed_in(uint32_t field, const struct entry_env *env)
{
    for (unsigned i = 0; i < sizeof(control_fields) / sizeof(control_fields[0]); i++)
        if (control_fields[i].field == field)
            return (struct allowed){env->control[control_fields[i].word].must_be_1,
                                    env->control[control_fields[i].word].may_be_1};
    if (field == GUEST_CR0 || field == HOST_CR0)
        return (struct allowed){env->caps.cr0_fixed0, env->caps.cr0_fixed1};
    if (field == GUEST_CR4 || field == HOST_CR4)
        return (struct allowed){env->caps.cr4_fixed0, env->caps.cr4_fixed1};
    return (struct allowed){0, ~0ull};
}

static uint64_t width_mask(uint32_t field)
{
    return vmcs_width(field) == VMCS_WIDTH_32 ? 0xffffffff : ~0ull;
}

static uint64_t highest(uint64_t bits)
{
    return bits ? 1ull << (63 - __builtin_clzll(bits)) : 0;
}

static uint64_t reserved_1(uint32_t field, const struct entry_env *env)
{
    return highest(~allowed_in(field, env).may_be_1 & width_mask(field));
}
static uint64_t reserved_0(uint32_t field, const struct entry_env *env)
{
    uint64_t bits = allowed_in(field, env).must_be_1;
    return bits & -bits;
}

// The lowest address that no structure of VMX can have.
static uint64_t first_beyond(const struct entry_env *env)
{
    bool below_4g = env->caps.basic & VMX_BASIC_ADDRESSES_32;
    return 1ull << (below_4g && env->physical_width > 32 ? 32 : env->physical_width);
}

static bool activity_supported(unsigned state, const struct entry_env *env)
{
    return state == ACTIVITY_ACTIVE || state > ACTIVITY_WAIT_FOR_SIPI ||
           env->caps.misc & VMX_MISC_ACTIVITY_HLT << (state - ACTIVITY_HLT);
}
static uint64_t unsupported_activity(const struct entry_env *env)
{
    unsigned state = ACTIVITY_ACTIVE;
    while (state <= ACTIVITY_WAIT_FOR_SIPI && activity_supported(state, env))
        state++;
    return state;
}

uint64_t entry_step_value(const struct entry_step *s, const struct entry_env *env, uint64_t old,
                          uint64_t pages)
{
    uint64_t value = (uint64_t)s->high << 32 | s->low;
    switch ((enum step_op)s->op) {
    case STEP_FEATURE:
    case STEP_NO_FEATURE:
        return old;
    case STEP_VALUE:
        return value;
    case STEP_SET:
        return old | value;
    case STEP_CLEAR:
        return old & ~value;
    case STEP_TOGGLE:
        return old ^ value;
    case STEP_PAGE:
        return pages + value * 4096;
    case STEP_BEYOND:
        return old | first_beyond(env);
    case STEP_TOP_BYTES:
        return first_beyond(env) - value;
    case STEP_NONCANONICAL:
        return 1ull << (env->linear_width - 1);
    case STEP_BEYOND_LINEAR:
        return 1ull << env->linear_width;
    case STEP_REVISION:
        return vmx_basic_revision(env->caps.basic) | value;
    case STEP_CURRENT_VMCS:
        return env->current_vmcs;
    case STEP_CR3_TARGETS:
        return vmx_misc_cr3_targets(env->caps.misc) + value;
    case STEP_UNSUPPORTED:
        return unsupported_activity(env);
    case STEP_RESERVED_1:
        return old | reserved_1(s->field, env);
    case STEP_RESERVED_0:
        return old & ~reserved_0(s->field, env);
    }
    return old;
}

// Can the processor do the step, but for what its rule forbids?
static bool can_do(const struct entry_step *s, const struct entry_env *env, uint64_t old, uint64_t new)
{
    switch (s->op) {
    case STEP_FEATURE:
    case STEP_NO_FEATURE:
        return entry_env_has(env, (enum cpuid_feature)s->low) == (s->op == STEP_FEATURE);
    case STEP_RESERVED_1:
    case STEP_RESERVED_0:
        return new != old;
    case STEP_UNSUPPORTED:
        return new <= ACTIVITY_WAIT_FOR_SIPI;
    }
    if (s->field == GUEST_ACTIVITY_STATE)
        return activity_supported((unsigned)new, env);
    return !(new & ~old & ~allowed_in(s->field, env).may_be_1);
}

#define FACT_TO_KNOWN(name, encoding, group) KNOWN_##group,
static const uint8_t fact_known[] = {IMAGE_FACTS(FACT_TO_KNOWN)};

const struct entry_step *entry_case_apply(const struct entry_case *c, enum step_when when,
                                          const struct entry_env *env, uint64_t pages, struct vmcs_image *im)
{
    for (unsigned i = 0; i < c->steps; i++) {
        const struct entry_step *s = &c->step[i];
        if (s->when != STEP_PREPARE && s->when != when)
            continue;
        uint64_t old = image_get(im, s->field), new = entry_step_value(s, env, old, pages);
        if (!can_do(s, env, old, new))
            return s;
        image_set(im, s->field, new);
        if (s->field >= FACT_FIRST)
            im->known |= fact_known[(s->field - FACT_FIRST) / 2];
    }
    return NULL;
}
