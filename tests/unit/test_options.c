#include "kernel/options.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static unsigned complaints;
static char last[256];

static void complain(const char *sentence)
{
    complaints++;
    strncpy(last, sentence, sizeof(last) - 1);
}

static struct options parse(const char *line)
{
    struct options o;
    complaints = 0;
    last[0] = '\0';
    options_parse(line, &o, complain);
    return o;
}

static void defaults(void **state)
{
    (void)state;
    struct options o = parse("");
    assert_int_equal(o.console, CONSOLE_COM1 | CONSOLE_SCREEN);
    assert_int_equal(o.loglevel, LOG_INFO);
    assert_int_equal(o.exit, POWER_DEFAULT);
    assert_int_equal(o.cpus, 0);
    assert_int_equal(o.slice_us, 10000);
    assert_true(o.tap);
    assert_int_equal(complaints, 0);
}

static void every_option(void **state)
{
    (void)state;
    struct options o = parse("console=com2,vga loglevel=debug exit=bochs cpus=2 slice=500us tap=off");
    assert_int_equal(complaints, 0);
    assert_int_equal(o.console, CONSOLE_COM2 | CONSOLE_SCREEN);
    assert_int_equal(o.loglevel, LOG_DEBUG);
    assert_int_equal(o.exit, POWER_BOCHS);
    assert_int_equal(o.cpus, 2);
    assert_int_equal(o.slice_us, 500);
    assert_false(o.tap);
    assert_int_equal(parse("console=none").console, CONSOLE_NONE);
    assert_int_equal(parse("apicv=on").apicv, APICV_ON);
    assert_int_equal(parse("apicv=off").apicv, APICV_OFF);
    assert_int_equal(parse("apicv=off apicv=auto").apicv, APICV_AUTO);
    assert_int_equal(parse("slice=100us").slice_us, SLICE_US_MIN);
    assert_int_equal(parse("slice=10s").slice_us, SLICE_US_MAX);
    assert_int_equal(parse("cpus=4294967295").cpus, UINT32_MAX);
    assert_int_equal(parse("").fail_alloc.n, 0);
    assert_int_equal(parse("fail-alloc=7").fail_alloc.n, 7);
    o = parse("fail-alloc=victim:12");
    assert_int_equal(o.fail_alloc.n, 12);
    assert_string_equal(o.fail_alloc.machine, "victim");
    o = parse("fail-alloc=a:rising");
    assert_true(o.fail_alloc.rising && o.fail_alloc.n);
    assert_int_equal(parse("exit=halt").exit, POWER_HALT);
    assert_int_equal(parse("exit=reboot").exit, POWER_REBOOT);
}

static void a_bad_word_is_named_and_the_rest_counts(void **state)
{
    (void)state;
    struct options o = parse("quiet tap=off");
    assert_int_equal(complaints, 1);
    assert_string_equal(last, "option ignored: \"quiet\" is not of the form key=value");
    assert_false(o.tap);
    static const char *const bad[] = {
        "console=",
        "console=com1,",
        "console=com3",
        "console=com1com2",
        "console=abcdefghijkl",
        "loglevel=5",
        "exit=",
        "exit=no",
        "cpus=0",
        "cpus=x",
        "cpus=4294967296",
        "fail-alloc=0",
        "fail-alloc=x",
        "fail-alloc=rising",
        "fail-alloc=:3",
        "fail-alloc=a:0",
        "fail-alloc=a:",
        "fail-alloc=abcdefghijabcdefghijabcdefghijab:1",
        "slice=10",
        "slice=99us",
        "slice=11s",
        "slice=ms",
        "tap=yes",
        "apicv=",
        "apicv=yes",
        "tap",
        "=",
        "\"console=com1",
    };
    for (size_t i = 0; i < array_size(bad); i++) {
        o = parse(bad[i]);
        assert_int_equal(complaints, 1);
        assert_int_equal(o.console, CONSOLE_COM1 | CONSOLE_SCREEN);
        assert_int_equal(o.loglevel, LOG_INFO);
        assert_int_equal(o.exit, POWER_DEFAULT);
        assert_int_equal(o.cpus, 0);
        assert_int_equal(o.fail_alloc.n, 0);
        assert_false(o.fail_alloc.rising);
        assert_string_equal(o.fail_alloc.machine, "");
        assert_int_equal(o.slice_us, SLICE_US_DEFAULT);
        assert_true(o.tap);
        assert_int_equal(o.dirty, DIRTY_METHOD_COUNT);
        assert_int_equal(o.apicv, APICV_AUTO);
    }
    assert_int_equal(parse("dirty=protect").dirty, DIRTY_PROTECT);
    assert_int_equal(parse("dirty=pml dirty=bits dirty=none").dirty, DIRTY_BITS);
    assert_string_equal(last, "option ignored: dirty=none: expected pml, bits or protect");
    parse("cpus=many");
    assert_string_equal(last, "option ignored: cpus=many: expected a number from 1");
}

static void a_word_beyond_all_bounds(void **state)
{
    (void)state;
    char line[1000];
    memset(line, 'x', sizeof(line));
    strcpy(line + 990, " tap=off");
    assert_false(parse(line).tap);
    assert_int_equal(complaints, 1);
    assert_non_null(strstr(last, "too long"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(every_option),
        cmocka_unit_test(a_bad_word_is_named_and_the_rest_counts),
        cmocka_unit_test(a_word_beyond_all_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
