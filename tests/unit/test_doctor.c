#include "vmx/doctor.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "sdm/entry_cases.h"
#include "tests/host/entry_machine.h"

static char text[8192];

static void keep(void *context, const char *line)
{
    assert_ptr_equal(context, text);
    assert_true(strlen(text) + strlen(line) + 2 < sizeof(text));
    strcat(strcat(text, line), "\n");
}

static struct entry_env env;
static struct vmcs_image im;

static int start(void **state)
{
    (void)state;
    text[0] = 0;
    entry_haswell(&env);
    return !entry_valid_image(&im, &env, MODE_LONG);
}

static size_t sentence(char *buf, size_t size)
{
    struct text t = text_in(buf, size);
    doctor_sentence(&t, &im, &env);
    return t.len;
}

static void one_broken_rule_is_one_sentence(void **state)
{
    (void)state;
    char buf[400];
    image_set(&im, GUEST_RFLAGS, 0);
    size_t n = sentence(buf, sizeof(buf));
    assert_string_equal(
        buf, "guest-rflags-must-be-1: bit 1 is 1; GUEST_RFLAGS=0h (exit reason 33; SDM, \"Checks on "
             "Guest RIP, RFLAGS, and SSP\")");
    assert_int_equal(n, strlen(buf));
    assert_true(doctor_tell(&im, &env, keep, text));
    assert_string_equal(text,
                        "breaks guest-rflags-must-be-1: bit 1 is 1; GUEST_RFLAGS=0h (exit reason 33; SDM, "
                        "\"Checks on Guest RIP, RFLAGS, and SSP\")\n");
}

static void each_broken_rule_has_a_line(void **state)
{
    (void)state;
    image_set(&im, GUEST_RFLAGS, 0);
    image_set(&im, HOST_CS_SELECTOR, 0);
    image_set(&im, CR3_TARGET_COUNT, 5);
    doctor_tell(&im, &env, keep, text);
    assert_ptr_equal(strstr(text, "breaks cr3-target-count: "),
                     text); // what the processor checks first comes first
    assert_non_null(strstr(text, "\nbreaks host-cs-selector-null: "));
    assert_non_null(strstr(text, "\nbreaks guest-rflags-must-be-1: "));
}

static void innocence_is_said(void **state)
{
    (void)state;
    char buf[80];
    assert_false(doctor_tell(&im, &env, keep, text));
    assert_non_null(strstr(text, "none is broken"));
    sentence(buf, sizeof(buf));
    assert_string_equal(buf, "no rule that is known is broken");
}

static void open_questions_are_said(void **state)
{
    (void)state;
    image_set(&im, VM_ENTRY_CONTROLS, im.value[AT_VM_ENTRY_CONTROLS] | ENTRY_LOAD_DEBUG_CONTROLS);
    image_set(&im, GUEST_DEBUGCTL, 1 << 14);
    assert_false(doctor_tell(&im, &env, keep, text));
    assert_non_null(strstr(text, "not judged: the model decides about bits of GUEST_DEBUGCTL\n"));
}

// Id, demand, values, kind and section: all of it in the room that the end of a machine has for it.
static void every_sentence_is_whole(void **state)
{
    (void)state;
    enum { ROOM = 320 };
    char buf[ROOM];
    entry_newest(&env);
    for (struct entry_case c = {0}; entry_case_next(&c);) {
        entry_valid_image(&im, &env, c.mode);
        if (entry_case_apply(&c, STEP_BAD, &env, ENTRY_PAGES, &im))
            continue;
        struct entry_verdict v;
        entry_judge(&v, &im, &env);
        for (enum entry_rule r = entry_next_broken(&v, 0); r < RULE_COUNT; r = entry_next_broken(&v, r + 1)) {
            struct text t = text_in(buf, sizeof(buf));
            entry_explain(&t, r, &im);
            assert_true(t.len < sizeof(buf));
            assert_non_null(strstr(buf, entry_rules[r].sentence));
            assert_non_null(strstr(buf, image_name(entry_rules[r].field[0])));
            assert_non_null(strstr(buf, entry_section_title((enum entry_section)entry_rules[r].section)));
        }
    }
}

static void short_buffers_are_terminated(void **state)
{
    (void)state;
    char buf[400], cut[16];
    image_set(&im, GUEST_RFLAGS, 0);
    size_t n = sentence(buf, sizeof(buf));
    assert_int_equal(sentence(cut, sizeof(cut)), n);
    assert_int_equal(strlen(cut), sizeof(cut) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(one_broken_rule_is_one_sentence, start),
        cmocka_unit_test_setup(each_broken_rule_has_a_line, start),
        cmocka_unit_test_setup(innocence_is_said, start),
        cmocka_unit_test_setup(open_questions_are_said, start),
        cmocka_unit_test_setup(every_sentence_is_whole, start),
        cmocka_unit_test_setup(short_buffers_are_terminated, start),
    };
    return cmocka_run_group_tests_name("doctor", tests, NULL, NULL);
}
