#include "arch/tsc.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

uint64_t tsc_hz; // the kernel's is in arch/tsc.c, which measures

static void converts_without_overflow(void **state)
{
    (void)state;
    static const uint64_t rates[] = {1, 999999, 20000000, 3399999999, 10000000000};
    static const uint64_t times[] = {0, 1, 999999, 1000000, 86400000000, 1ull << 63, ~0ull};
    for (unsigned i = 0; i < array_size(rates); i++) {
        tsc_hz = rates[i];
        for (unsigned j = 0; j < array_size(times); j++) {
            unsigned __int128 exact = (unsigned __int128)times[j] * tsc_hz / 1000000;
            uint64_t got = tsc_from_us(times[j]).v;
            if (exact < (unsigned __int128)~0ull - 2 * tsc_hz)
                assert_int_equal(got, (uint64_t)exact);
            else
                assert_true(got >= ~0ull - 3 * tsc_hz); // the end of time, about
            exact = (unsigned __int128)times[j] * 1000000 / tsc_hz;
            got = tsc_to_us(tsc(times[j]));
            if (exact < (unsigned __int128)~0ull - 2000000)
                assert_int_equal(got, (uint64_t)exact);
            else
                assert_int_equal(got, ~0ull);
        }
    }
}

static void milliseconds_are_a_thousand_microseconds(void **state)
{
    (void)state;
    tsc_hz = 20000000;
    assert_int_equal(tsc_from_ms(10).v, 200000);
    assert_int_equal(tsc_from_ms(~0ull).v, ~0ull);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(converts_without_overflow),
        cmocka_unit_test(milliseconds_are_a_thousand_microseconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
