#include "kernel/tap.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "kernel/report.h"

static char out[TAP_LINE_MAX + 1];

static const char *render(struct tap *t, enum record_kind kind, int result, const char *text, size_t n)
{
    struct log_record record = {.kind = (uint8_t)kind, .detail = (uint8_t)result, .length = (uint16_t)n};
    size_t len = tap_render(t, &record, text, out);
    assert_true(len <= TAP_LINE_MAX);
    out[len] = 0;
    return out;
}

#define expect(t, kind, result, text, want) \
    assert_string_equal(render(t, kind, result, text, sizeof text - 1), want)

static void numbers_points_in_order(void **state)
{
    (void)state;
    struct tap t = {0};
    expect(&t, RECORD_POINT, POINT_OK, "cpu/first", "ok 1 - cpu/first\n");
    expect(&t, RECORD_LINE, 0, "a line", "# a line\n");
    expect(&t, RECORD_POINT, POINT_NOT_OK, "cpu/second", "not ok 2 - cpu/second\n");
    expect(&t, RECORD_POINT, POINT_SKIP, "cpu/third\nno such CPU", "ok 3 - cpu/third # SKIP no such CPU\n");
    expect(&t, RECORD_POINT, POINT_SKIP, "cpu/fourth", "ok 4 - cpu/fourth # SKIP\n");
    expect(&t, RECORD_POINT, POINT_NOT_OK, "cpu/fifth\nexpected 1\n\ngot 2\n",
           "not ok 5 - cpu/fifth\n# expected 1\n# got 2\n");
    expect(&t, RECORD_POINT, POINT_SKIP, "cpu/sixth\nwhy\nmore", "ok 6 - cpu/sixth # SKIP why\n# more\n");
    out[tap_end(&t, out)] = 0;
    assert_string_equal(out, "1..6\n# 1 passed, 2 failed, 3 skipped\n");
}

static void ends_with_a_plan_even_without_points(void **state)
{
    (void)state;
    struct tap t = {0};
    out[tap_end(&t, out)] = 0;
    assert_string_equal(out, "1..0\n# 0 passed, 0 failed\n");
    expect(&t, RECORD_POINT, POINT_OK, "late/point", "# ok late/point\n");
    assert_int_equal(t.points, 0);
}

static void without_tap_there_are_only_lines(void **state)
{
    (void)state;
    struct tap t = {.off = true};
    expect(&t, RECORD_POINT, POINT_NOT_OK, "a/b", "# not ok a/b\n");
    out[tap_end(&t, out)] = 0;
    assert_string_equal(out, "# 0 passed, 1 failed\n");
}

static void nothing_leaves_unescaped(void **state)
{
    (void)state;
    struct tap t = {0};
    expect(&t, RECORD_LINE, 0, "a\nok 1 - forged", "# a\\x0aok 1 - forged\n");
    expect(&t, RECORD_POINT, POINT_OK, "a/b\nBail out!", "ok 1 - a/b\n# Bail out!\n");
    expect(&t, RECORD_LINE, 0, "\0\x1b\x7f\x80\xff~ ", "# \\x00\\x1b\\x7f\\x80\\xff~ \n");
    char worst[RECORD_TEXT_MAX];
    memset(worst, 0xff, sizeof worst);
    for (int kind = RECORD_LINE; kind <= RECORD_POINT; kind++)
        for (int result = POINT_NOT_OK; result <= POINT_SKIP; result++) {
            t.points = ~0u - 10;
            size_t len = strlen(render(&t, (enum record_kind)kind, result, worst, sizeof worst));
            assert_in_range(len, 4 * RECORD_TEXT_MAX + 1, TAP_LINE_MAX);
        }
    for (size_t i = 1; i < sizeof worst; i += 2)
        worst[i] = '\n';
    render(&t, RECORD_POINT, POINT_SKIP, worst, sizeof worst);
    for (const char *line = strchr(out, '\n') + 1; *line; line = strchr(line, '\n') + 1)
        assert_memory_equal(line, "# ", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_points_in_order),
        cmocka_unit_test(ends_with_a_plan_even_without_points),
        cmocka_unit_test(without_tap_there_are_only_lines),
        cmocka_unit_test(nothing_leaves_unescaped),
    };
    return cmocka_run_group_tests_name("tap", tests, NULL, NULL);
}
