#include "sdm/entry_cases.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tests/host/entry_machine.h"

typedef void (*make_env)(struct entry_env *env);
static const make_env processors[] = {entry_westmere, entry_haswell, entry_newest};
static const char *const processor_names[] = {"westmere", "haswell", "newest"};
enum { PROCESSORS = sizeof(processors) / sizeof(processors[0]) };

static const char *id(enum entry_rule rule)
{
    static char buf[64];
    struct text t = text_in(buf, sizeof(buf));
    entry_rule_id(&t, rule);
    return buf;
}

static void print_broken(const struct entry_verdict *v, const struct vmcs_image *im)
{
    char line[400];
    for (enum entry_rule r = entry_next_broken(v, 0); r < RULE_COUNT; r = entry_next_broken(v, r + 1)) {
        struct text t = text_in(line, sizeof(line));
        entry_explain(&t, r, im);
        print_error("    %s\n", line);
    }
    for (unsigned o = 0; o < OPEN_COUNT; o++)
        if (v->open >> o & 1)
            print_error("    open: %s\n", open_question_words(o));
}

static void valid_states_obey(void **state)
{
    (void)state;
    for (unsigned p = 0; p < PROCESSORS; p++)
        for (enum entry_mode mode = 0; mode < MODE_COUNT; mode++) {
            struct entry_env env;
            struct vmcs_image im;
            struct entry_verdict v;
            processors[p](&env);
            assert_true(entry_valid_image(&im, &env, mode));
            entry_judge(&v, &im, &env);
            if (v.kind != VERDICT_OBEYS)
                print_broken(&v, &im);
            assert_int_equal(v.kind, VERDICT_OBEYS);
        }
}

// Cases whose bad side breaks other rules too, for reasons that lie in the rules: what else is broken.
static const struct {
    enum entry_rule rule, also;
} supersets[] = {
    {RULE_ENTRY_TO_SMM_OUTSIDE_SMM,     RULE_BLOCKING_SMI_IN_SMM     },
    {RULE_ENTRY_TO_SMM_WITHOUT_MONITOR, RULE_ENTRY_TO_SMM_OUTSIDE_SMM},
    {RULE_ENTRY_TO_SMM_WITHOUT_MONITOR, RULE_DUAL_MONITOR_OUTSIDE_SMM},
    {RULE_ENTRY_TO_SMM_WITHOUT_MONITOR, RULE_BLOCKING_SMI_IN_SMM     },
    {RULE_LONG_GUEST_FROM_32BIT,        RULE_LONG_GUEST_OF_32BIT_HOST},
    {RULE_LONG_GUEST_FROM_32BIT,        RULE_LONG_GUEST_CR0_PG       },
    {RULE_LONG_GUEST_FROM_32BIT,        RULE_LONG_GUEST_CR4_PAE      },
    {RULE_LONG_GUEST_OF_32BIT_HOST,     RULE_HOST32_FROM_64BIT       },
};

static bool declared(enum entry_rule rule, enum entry_rule also)
{
    for (unsigned i = 0; i < sizeof(supersets) / sizeof(supersets[0]); i++)
        if (supersets[i].rule == rule && supersets[i].also == also)
            return true;
    return false;
}

static bool only_declared(enum entry_rule rule, const struct entry_verdict *v)
{
    for (enum entry_rule r = entry_next_broken(v, 0); r < RULE_COUNT; r = entry_next_broken(v, r + 1))
        if (r != rule && !declared(rule, r))
            return false;
    return true;
}

static unsigned done[RULE_COUNT]; // bad sides that broke the rule, on any processor
static unsigned faults;

static void check_case(const struct entry_case *c, const struct entry_env *env, const char *processor)
{
    struct vmcs_image good, bad;
    struct entry_verdict v;
    entry_valid_image(&good, env, c->mode);
    bad = good;
    if (entry_case_apply(c, STEP_BAD, env, ENTRY_PAGES, &bad))
        return;
    entry_judge(&v, &bad, env);
    if (!entry_breaks(&v, c->rule))
        return;
    done[c->rule]++;
    if (!only_declared(c->rule, &v)) {
        faults++;
        print_error("%s, case %u on %s breaks more:\n", id(c->rule), c->number, processor);
        print_broken(&v, &bad);
    }
    if (entry_case_apply(c, STEP_GOOD, env, ENTRY_PAGES, &good))
        return;
    entry_judge(&v, &good, env);
    if (v.kind != VERDICT_OBEYS && !(good.value[AT_ATTEMPT] & ATTEMPT_IN_SMM)) {
        faults++;
        print_error("%s, case %u on %s: the good neighbour is not good:\n", id(c->rule), c->number,
                    processor);
        print_broken(&v, &good);
    }
}

static void each_case_breaks_its_rule_alone(void **state)
{
    (void)state;
    for (unsigned p = 0; p < PROCESSORS; p++) {
        struct entry_env env;
        processors[p](&env);
        for (struct entry_case c = {0}; entry_case_next(&c);)
            check_case(&c, &env, processor_names[p]);
    }
    for (enum entry_rule r = 0; r < RULE_COUNT; r++)
        if (!done[r]) {
            faults++;
            print_error("no case breaks %s\n", id(r));
        }
    assert_int_equal(faults, 0);
}

// What the manual leaves to the model is not judged, and only that.
static void open_bits_are_open(void **state)
{
    (void)state;
    static const struct {
        uint32_t control;
        uint32_t field;
        uint64_t known, open;
    } rows[] = {
        {ENTRY_LOAD_RTIT_CTL,       GUEST_RTIT_CTL, 1 << 2 | 1 << 3 | 1 << 10 | 1 << 11 | 1 << 13, 1                   },
        {ENTRY_LOAD_RTIT_CTL,       GUEST_RTIT_CTL, 0,                                             1ull << 55          },
        {ENTRY_LOAD_LBR_CTL,        GUEST_LBR_CTL,  7,                                             1 << 3              },
        {ENTRY_LOAD_DEBUG_CONTROLS, GUEST_DEBUGCTL, DEBUGCTL_LBR | DEBUGCTL_BTF,                   DEBUGCTL_FREEZE_LBRS},
    };
    struct entry_env env;
    struct vmcs_image im;
    struct entry_verdict v;
    entry_newest(&env);
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_true(entry_valid_image(&im, &env, MODE_LONG));
        im.value[AT_VM_ENTRY_CONTROLS] |= rows[i].control;
        image_set(&im, rows[i].field, rows[i].known);
        entry_judge(&v, &im, &env);
        assert_int_equal(v.kind, VERDICT_OBEYS);
        image_set(&im, rows[i].field, rows[i].open);
        entry_judge(&v, &im, &env);
        assert_int_equal(v.kind, VERDICT_NOT_JUDGED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_states_obey),
        cmocka_unit_test(each_case_breaks_its_rule_alone),
        cmocka_unit_test(open_bits_are_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
