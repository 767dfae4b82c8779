// The kernel's own memory and string functions, under names of their own beside the C library's.
#include <string.h>
#undef MICRONOVA_HOST
#define memcpy  kernel_memcpy
#define memmove kernel_memmove
#define memset  kernel_memset
#define memcmp  kernel_memcmp
#define memchr  kernel_memchr
#define strlen  kernel_strlen
#define strnlen kernel_strnlen
#define strcmp  kernel_strcmp
#define strncmp kernel_strncmp
#define strchr  kernel_strchr
#include "arch/string.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef memchr
#undef strlen
#undef strnlen
#undef strcmp
#undef strncmp
#undef strchr
#include "arch/types.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum { SIZE = 96 };

static void fill(uint8_t *bytes, unsigned seed)
{
    for (unsigned i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)(i * 7 + seed);
}

// Every length and every alignment of both ends, with guards around.
static void copies_exactly(void **state)
{
    (void)state;
    for (unsigned to = 0; to < 16; to++)
        for (unsigned from = 0; from < 16; from++)
            for (unsigned n = 0; n < 40; n++) {
                uint8_t got[SIZE], want[SIZE], source[SIZE];
                fill(got, 1), fill(want, 1), fill(source, 99);
                memcpy(want + to, source + from, n);
                assert_ptr_equal(kernel_memcpy(got + to, source + from, n), got + to);
                assert_memory_equal(got, want, SIZE);
            }
}

static void moves_over_itself(void **state)
{
    (void)state;
    for (unsigned to = 0; to < 24; to++)
        for (unsigned from = 0; from < 24; from++)
            for (unsigned n = 0; n < 40; n++) {
                uint8_t got[SIZE], want[SIZE];
                fill(got, 1), fill(want, 1);
                memmove(want + to, want + from, n);
                assert_ptr_equal(kernel_memmove(got + to, got + from, n), got + to);
                assert_memory_equal(got, want, SIZE);
            }
}

static void sets_exactly(void **state)
{
    (void)state;
    for (unsigned at = 0; at < 16; at++)
        for (unsigned n = 0; n < 40; n++) {
            uint8_t got[SIZE], want[SIZE];
            fill(got, 1), fill(want, 1);
            memset(want + at, 0x1a5, n);
            assert_ptr_equal(kernel_memset(got + at, 0x1a5, n), got + at);
            assert_memory_equal(got, want, SIZE);
        }
}

static int sign(int v)
{
    return (v > 0) - (v < 0);
}

static void compares_as_unsigned_bytes(void **state)
{
    (void)state;
    static const char *const words[] = {"", "a", "ab", "abc", "b", "\x80", "\xff", "a\x80"};
    for (size_t i = 0; i < array_size(words); i++)
        for (size_t j = 0; j < array_size(words); j++) {
            assert_int_equal(sign(kernel_strcmp(words[i], words[j])), sign(strcmp(words[i], words[j])));
            for (size_t n = 0; n < 5; n++)
                assert_int_equal(sign(kernel_strncmp(words[i], words[j], n)),
                                 sign(strncmp(words[i], words[j], n)));
        }
    assert_int_equal(sign(kernel_memcmp("a\0b", "a\0c", 3)), -1);
    assert_int_equal(kernel_memcmp("a\0b", "a\0c", 2), 0);
    assert_int_equal(sign(kernel_memcmp("\xff", "\x01", 1)), 1);
}

static void finds_and_measures(void **state)
{
    (void)state;
    const char *text = "abcabc";
    assert_int_equal(kernel_strlen(text), 6);
    assert_int_equal(kernel_strlen(""), 0);
    assert_int_equal(kernel_strnlen(text, 3), 3);
    assert_int_equal(kernel_strnlen(text, 10), 6);
    assert_ptr_equal(kernel_strchr(text, 'c'), text + 2);
    assert_ptr_equal(kernel_strchr(text, 0), text + 6);
    assert_null(kernel_strchr(text, 'x'));
    assert_ptr_equal(kernel_memchr(text, 'c', 3), text + 2);
    assert_null(kernel_memchr(text, 'c', 2));
    assert_ptr_equal(kernel_memchr("\xff", 0x1ff, 1), kernel_memchr("\xff", 0xff, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_exactly),     cmocka_unit_test(moves_over_itself),
        cmocka_unit_test(sets_exactly),       cmocka_unit_test(compares_as_unsigned_bytes),
        cmocka_unit_test(finds_and_measures),
    };
    return cmocka_run_group_tests_name("string", tests, NULL, NULL);
}
