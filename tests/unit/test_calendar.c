#include "dev/calendar.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>

static void check(int64_t seconds, int year, int month, int day, int hour, int minute, int second,
                  int weekday)
{
    struct calendar c = calendar_from_seconds(seconds);
    assert_int_equal(c.year, year);
    assert_int_equal(c.month, month);
    assert_int_equal(c.day, day);
    assert_int_equal(c.hour, hour);
    assert_int_equal(c.minute, minute);
    assert_int_equal(c.second, second);
    assert_int_equal(c.weekday, weekday);
    assert_int_equal(calendar_to_seconds(&c), seconds);
}

static void known_days(void **state)
{
    (void)state;
    check(0, 1970, 1, 1, 0, 0, 0, 5);
    check(-1, 1969, 12, 31, 23, 59, 59, 4);
    check(951782400, 2000, 2, 29, 0, 0, 0, 3);
    check(951868799, 2000, 2, 29, 23, 59, 59, 3);
    check(4107542400, 2100, 3, 1, 0, 0, 0, 2);
    check(1795338867, 2026, 11, 22, 9, 14, 27, 1);
}

static void agrees_with_the_c_library(void **state)
{
    (void)state;
    for (int64_t s = -3000000000; s < 20000000000; s += 86400 * 11 + 12345) {
        struct tm tm;
        time_t t = s;
        assert_non_null(gmtime_r(&t, &tm));
        check(s, tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
              tm.tm_wday + 1);
    }
}

static void fields_carry_over(void **state)
{
    (void)state;
    struct calendar c = {.year = 2026, .month = 13, .day = 32, .hour = 24, .minute = 60, .second = 60};
    struct calendar same = calendar_from_seconds(calendar_to_seconds(&c));
    assert_int_equal(same.year, 2027);
    assert_int_equal(same.month, 2);
    assert_int_equal(same.day, 2);
    assert_int_equal(same.hour, 1);
    assert_int_equal(same.minute, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_days),
        cmocka_unit_test(agrees_with_the_c_library),
        cmocka_unit_test(fields_carry_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
