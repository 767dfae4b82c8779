#include "kernel/words.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void check_words(const char *line, const char *const *expected)
{
    char word[64];
    for (; *expected; expected++) {
        assert_int_equal(word_next(&line, word, sizeof(word)), WORD_OK);
        assert_string_equal(word, *expected);
    }
    assert_int_equal(word_next(&line, word, sizeof(word)), WORD_NONE);
}
#define WORDS(line, ...) check_words(line, (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

// Left: bytes that GRUB 2.06 handed over (tests/data); right: what the user wrote in grub.cfg.
static void grub_quoting_is_undone(void **state)
{
    (void)state;
    WORDS("linux mem=192M \"cmdline=console=ttyS0 quiet\" initrd=rootfs", "linux", "mem=192M",
          "cmdline=console=ttyS0 quiet", "initrd=rootfs");
    WORDS("b \"cmdline=with \\\"double\\\" quotes\"", "b", "cmdline=with \"double\" quotes");
    WORDS("c cmdline=it\\'s", "c", "cmdline=it's");
    WORDS("d cmdline=back\\\\slash", "d", "cmdline=back\\slash");
    WORDS("e cmdline=back\\\\slash\\\\n", "e", "cmdline=back\\slash\\n");
    WORDS("i cmdline=a\\\\\\\"b", "i", "cmdline=a\\\"b");
    WORDS("o cmdline=tab\there \\\"", "o", "cmdline=tab\there", "\"");
    WORDS("h cmdline=", "h", "cmdline=");
    WORDS("n  x", "n", "x");
}

static void quotes_anywhere(void **state)
{
    (void)state;
    WORDS("");
    WORDS("   ");
    WORDS(" a  b ", "a", "b");
    WORDS("a\"b c\"d", "ab cd");
    WORDS("'a \"b'\" 'c\"", "a \"b 'c");
    WORDS("\"\"", "");
    WORDS("a\\b", "a\\b");
    WORDS("a\\", "a\\");
}

static void bad_words(void **state)
{
    (void)state;
    char word[4];
    const char *line = "\"ab";
    assert_int_equal(word_next(&line, word, sizeof(word)), WORD_UNBALANCED);
    assert_string_equal(word, "ab");
    line = "abcd e";
    assert_int_equal(word_next(&line, word, sizeof(word)), WORD_TOO_LONG);
    assert_string_equal(word, "abc");
    assert_int_equal(word_next(&line, word, sizeof(word)), WORD_OK);
    assert_string_equal(word, "e");
    line = "a\\\"";
    assert_int_equal(word_next(&line, word, sizeof(word)), WORD_OK);
    assert_string_equal(word, "a\"");
}

static void numbers(void **state)
{
    (void)state;
    uint64_t v;
    assert_true(number_parse("0", &v) && v == 0);
    assert_true(number_parse("0x1F", &v) && v == 31);
    assert_true(number_parse("0XafAF09", &v) && v == 0xafaf09);
    assert_true(number_parse("18446744073709551615", &v) && v == UINT64_MAX);
    assert_true(number_parse("0xffffffffffffffff", &v) && v == UINT64_MAX);
    static const char *const bad[] = {
        "", "x", "0x", "0xg", "1a", "-1", "+1", " 1", "1 ", "18446744073709551616", "0x10000000000000000"};
    for (size_t i = 0; i < array_size(bad); i++)
        assert_false(number_parse(bad[i], &v));
}

static void sizes(void **state)
{
    (void)state;
    uint64_t v;
    assert_true(bytes_parse("4096", &v) && v == 4096);
    assert_true(bytes_parse("4K", &v) && v == 4096);
    assert_true(bytes_parse("16M", &v) && v == 16 << 20);
    assert_true(bytes_parse("3G", &v) && v == 3ull << 30);
    assert_true(bytes_parse("0x10k", &v) && v == 16384);
    static const char *const bad[] = {"", "M", "1Q", "1MB", "1.5M", "17179869184G", "-4M"};
    for (size_t i = 0; i < array_size(bad); i++)
        assert_false(bytes_parse(bad[i], &v));
}

static void times(void **state)
{
    (void)state;
    uint64_t v;
    assert_true(time_parse("10us", &v) && v == 10);
    assert_true(time_parse("10ms", &v) && v == 10000);
    assert_true(time_parse("2s", &v) && v == 2000000);
    assert_true(time_parse("0", &v) && v == 0);
    static const char *const bad[] = {"", "10", "ms", "10m", "10 ms", "18446744073709551615s"};
    for (size_t i = 0; i < array_size(bad); i++)
        assert_false(time_parse(bad[i], &v));
}

static void cpu_lists(void **state)
{
    (void)state;
    uint64_t v;
    assert_true(cpu_list_parse("0", &v) && v == 1);
    assert_true(cpu_list_parse("0,2-3", &v) && v == 13);
    assert_true(cpu_list_parse("63,0", &v) && v == (1ull << 63 | 1));
    assert_true(cpu_list_parse("0-63", &v) && v == UINT64_MAX);
    static const char *const bad[] = {"", ",", "0,", "64", "3-2", "0-", "-1", "0,,1", "0 1", "0-1-2", "0-64"};
    for (size_t i = 0; i < array_size(bad); i++)
        assert_false(cpu_list_parse(bad[i], &v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grub_quoting_is_undone),
        cmocka_unit_test(quotes_anywhere),
        cmocka_unit_test(bad_words),
        cmocka_unit_test(numbers),
        cmocka_unit_test(sizes),
        cmocka_unit_test(times),
        cmocka_unit_test(cpu_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
