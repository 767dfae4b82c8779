#include "sdm/text.h"
#include <limits.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

// The C library is the judge of everything that both understand.
#define same(...)                                                  \
    do {                                                           \
        char got[256], want[256];                                  \
        int n = snprintf(want, sizeof want, __VA_ARGS__);          \
        assert_int_equal(format(got, sizeof got, __VA_ARGS__), n); \
        assert_string_equal(got, want);                            \
    } while (0)

static void writes_numbers(void **state)
{
    (void)state;
    same("%d %d %d %d", 0, 7, INT_MAX, INT_MIN);
    same("%ld %lld", LONG_MIN, LLONG_MAX);
    same("%u %x %lx %llx %zu %zx", UINT_MAX, 0xdeadbeef, ~0ul, ~0ull, (size_t)-1, (size_t)16);
    same("%zd", (ptrdiff_t)-5);
    same("[%5d] [%-5d] [%05d] [%5d] [%-5d] [%05d]", 42, 42, 42, -42, -42, -42);
    same("[%016lx] [%2x] [%-8x] [%08x] [%1u]", 0x1234ul, 0x12345, 0xab, 0xab, 123);
    same("[%*d] [%-*d]", 6, 12, 6, 12);
}

static void writes_text(void **state)
{
    (void)state;
    same("%s|%10s|%-10s|%.3s|%.*s|%10.2s", "", "ab", "ab", "abcdef", 2, "xyz", "qwe");
    same("%c%c%%|%3c|%-3c|", 'a', 'b', 'c', 'd');
    same("no conversions at all");
    char open[3] = {'a', 'b', 'c'}; // no terminator: precision must bound the reading
    same("%.3s", open);
}

static void cuts_like_snprintf(void **state)
{
    (void)state;
    for (size_t size = 0; size < 12; size++) {
        char got[16], want[16];
        memset(got, '!', sizeof got);
        memset(want, '!', sizeof want);
        int n = snprintf(want, size, "%s-%d", "abc", 12345);
        assert_int_equal(format(got, size, "%s-%d", "abc", 12345), n);
        assert_memory_equal(got, want, sizeof got);
    }
}

static void shows_what_it_does_not_know(void **state)
{
    (void)state;
    char got[32];
    const char *odd = "%q 100%"; // a variable: the compiler would refuse it as a literal
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
    format(got, sizeof got, odd);
#pragma GCC diagnostic pop
    assert_string_equal(got, "%q 100%");
    const char *volatile none = NULL; // volatile: the compiler would see it coming
    format(got, sizeof got, "%s", none);
    assert_string_equal(got, "(null)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_numbers),
        cmocka_unit_test(writes_text),
        cmocka_unit_test(cuts_like_snprintf),
        cmocka_unit_test(shows_what_it_does_not_know),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
