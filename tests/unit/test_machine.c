#include "kernel/machine.h"
#include "abi/micronova.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct machine m;
static struct reason why;

static void good(const char *line)
{
    enum error e = machine_parse(&m, line, &why);
    if (e != E_OK)
        print_error("%s: %s\n", line, why.text);
    assert_int_equal(e, E_OK);
}

static void bad(const char *line, enum error expected, const char *sentence)
{
    assert_int_equal(machine_parse(&m, line, &why), expected);
    assert_string_equal(why.text, sentence);
}

static void defaults(void **state)
{
    (void)state;
    good("hello");
    assert_string_equal(m.name, "hello");
    assert_int_equal(m.mem, 4 << 20);
    assert_false(m.eager);
    assert_int_equal(m.vcpus, 1);
    assert_int_equal(m.cpus, 0);
    assert_int_equal(m.slice_us, 0);
    assert_int_equal(m.weight, 1);
    assert_int_equal(m.timeout_us, 0);
    assert_int_equal(m.rights, 0);
    assert_true(m.console);
    assert_false(m.dump_screen);
    assert_int_equal(m.expect, END_EXIT);
    assert_int_equal(m.expect_code, 0);
    assert_string_equal(m.cmdline, "");
}

static void every_key(void **state)
{
    (void)state;
    good("a.b_c+d-1 \"cmdline=console=ttyS0 quiet\" mem=192M backing=eager vcpus=1 cpu=0,2-3 slice=2ms "
         "timeout=30s console=none caps=probe,control,log initrd=rootfs expect=exit:0x10 "
         "\"fail=screen:Errors: *[1-9]\" screen=dump flip=0x200000 weight=7 break=GUEST_RFLAGS,2 "
         "input=serial");
    assert_string_equal(m.name, "a.b_c+d-1");
    assert_string_equal(m.cmdline, "console=ttyS0 quiet");
    assert_int_equal(m.mem, 192 << 20);
    assert_true(m.eager);
    assert_int_equal(m.cpus, 13);
    assert_int_equal(m.slice_us, 2000);
    assert_int_equal(m.weight, 7);
    assert_int_equal(m.timeout_us, 30000000);
    assert_int_equal(m.rights, RIGHT_PROBE | RIGHT_CONTROL | RIGHT_LOG);
    assert_false(m.console);
    assert_true(m.dump_screen);
    assert_true(m.input);
    assert_string_equal(m.initrd, "rootfs");
    assert_int_equal(m.expect, END_EXIT);
    assert_int_equal(m.expect_code, 16);
    assert_string_equal(m.fail_screen, "Errors: *[1-9]");
    assert_int_equal(m.flip, 0x200000);
    assert_string_equal(m.break_field, "GUEST_RFLAGS");
    assert_int_equal(m.break_xor, 2);
    good("x cpu=any timeout=none caps= console=log cmdline= input=none");
    assert_int_equal(m.cpus, 0);
    assert_false(m.input);
    assert_int_equal(m.rights, 0);
}

static void bounds(void **state)
{
    (void)state;
    good("azAZ09 slice=100us timeout=1ms mem=64G");
    good("x slice=10s timeout=86400s mem=4K weight=100");
    static const char *const beyond[] = {"x slice=99us", "x slice=10000001us", "x timeout=999us",
                                         "x timeout=86401s", "x mem=68719480832"};
    for (size_t i = 0; i < array_size(beyond); i++)
        assert_int_equal(machine_parse(&m, beyond[i], &why), E_MALFORMED);
}

static void endings(void **state)
{
    (void)state;
    good("x expect=triple-fault");
    assert_int_equal(m.expect, END_TRIPLE_FAULT);
    good("x \"expect=screen:Pass: *[1-9]\"");
    assert_int_equal(m.expect, END_SCREEN);
    assert_string_equal(m.expect_screen, "Pass: *[1-9]");
    for (enum ending e = 0; e < END_COUNT; e++) {
        char line[64] = "x expect=";
        assert_true(*ending_word(e) && *ending_text(e));
        if (e == END_SCREEN)
            continue;
        good(strcat(line, ending_word(e)));
        assert_int_equal(m.expect, e);
    }
    assert_string_equal(ending_word(END_COUNT), "?");
    assert_string_equal(ending_text(END_COUNT), "unknown ending");
}

static void refusals_name_key_and_value(void **state)
{
    (void)state;
    bad("", E_MALFORMED, "the module line is empty: it needs a name");
    bad("mem=4M", E_MALFORMED, "the line has no name before \"mem=4M\"");
    bad("a/b", E_MALFORMED, "the name \"a/b\" has a character other than A-Z a-z 0-9 . _ + -");
    bad("\"\"", E_MALFORMED, "the name \"\" has a character other than A-Z a-z 0-9 . _ + -");
    bad("x frob=1", E_MALFORMED, "unknown key \"frob\"");
    bad("x me=1", E_MALFORMED, "unknown key \"me\"");
    bad("x memory=1", E_MALFORMED, "unknown key \"memory\"");
    bad("x =1", E_MALFORMED, "unknown key \"\"");
    bad("x quiet", E_MALFORMED, "\"quiet\" is not of the form key=value");
    bad("x mem=4M mem=8M", E_MALFORMED, "mem= is given twice");
    bad("x mem=12Q", E_MALFORMED, "mem=12Q: expected a multiple of 4K, not 0, up to 64G, such as 4M");
    bad("x mem=", E_MALFORMED, "mem=: expected a multiple of 4K, not 0, up to 64G, such as 4M");
    bad("x mem=0", E_MALFORMED, "mem=0: expected a multiple of 4K, not 0, up to 64G, such as 4M");
    bad("x mem=4097", E_MALFORMED, "mem=4097: expected a multiple of 4K, not 0, up to 64G, such as 4M");
    bad("x mem=65G", E_MALFORMED, "mem=65G: expected a multiple of 4K, not 0, up to 64G, such as 4M");
    bad("x mem=99999999999999999999", E_MALFORMED,
        "mem=99999999999999999999: expected a multiple of 4K, not 0, up to 64G, such as 4M");
    bad("x vcpus=17", E_MALFORMED, "vcpus=17: expected a number from 1 to 16");
    bad("x vcpus=0", E_MALFORMED, "vcpus=0: expected a number from 1 to 16");
    bad("x weight=0", E_MALFORMED, "weight=0: expected a number from 1 to 100");
    bad("x weight=101", E_MALFORMED, "weight=101: expected a number from 1 to 100");
    bad("x cpu=64", E_MALFORMED, "cpu=64: expected any, or processors such as 0,2-3 (below 64)");
    bad("x slice=10", E_MALFORMED, "slice=10: expected a time from 100us to 10s, such as 10ms");
    bad("x timeout=0", E_MALFORMED,
        "timeout=0: expected none, or a time with its unit from 1ms to 86400s, such as 500ms");
    bad("x console=com1", E_MALFORMED, "console=com1: expected log or none");
    bad("x screen=on", E_MALFORMED, "screen=on: expected dump");
    good("x backing=lazy");
    assert_false(m.eager);
    good("x mem=1M balloon=1G");
    assert_int_equal(m.balloon, 1 << 30);
    bad("x balloon=4M", E_INVALID, "balloon=4096K is not more than mem=4096K");
    bad("x balloon=5000", E_MALFORMED,
        "balloon=5000: expected a multiple of 4K, not 0, up to 64G, such as 4M");
    bad("x backing=none", E_MALFORMED, "backing=none: expected lazy or eager");
    bad("x caps=root", E_MALFORMED, "caps=root: expected a list of probe, control, log");
    bad("x caps=probe,", E_MALFORMED, "caps=probe,: expected a list of probe, control, log");
    bad("x caps=probes", E_MALFORMED, "caps=probes: expected a list of probe, control, log");
    good("x mem=5M window=64K");
    assert_int_equal(m.window, 0x10000);
    assert_int_equal(machine_window(&m).v, 0x600);
    good("x mem=0xfd000000 window=32M");
    assert_int_equal(machine_window(&m).v, 0x100000);
    bad("x window=0", E_MALFORMED, "window=0: expected a multiple of 4K, not 0, up to 1G, such as 16M");
    bad("x window=5000", E_MALFORMED, "window=5000: expected a multiple of 4K, not 0, up to 1G, such as 16M");
    bad("x window=2G", E_MALFORMED, "window=2G: expected a multiple of 4K, not 0, up to 1G, such as 16M");
    char peer[MACHINE_NAME_MAX + 1];
    good("x ipc=a,b.c,x");
    assert_true(machine_peer(&m, 0, peer));
    assert_string_equal(peer, "a");
    assert_true(machine_peer(&m, 2, peer));
    assert_string_equal(peer, "x");
    assert_false(machine_peer(&m, 3, peer));
    bad("x ipc=", E_MALFORMED, "ipc=: expected names of machines, commas between, each once");
    bad("x ipc=a,,b", E_MALFORMED, "ipc=a,,b: expected names of machines, commas between, each once");
    bad("x ipc=a,b,", E_MALFORMED, "ipc=a,b,: expected names of machines, commas between, each once");
    bad("x ipc=ab,b,ab,c", E_MALFORMED,
        "ipc=ab,b,ab,c: expected names of machines, commas between, each once");
    bad("x ipc=a,b,a", E_MALFORMED, "ipc=a,b,a: expected names of machines, commas between, each once");
    bad("x ipc=0123456789012345678901234567890123456789", E_MALFORMED,
        "ipc=0123456789012345678901234567890123456789: expected names of machines, commas between, each "
        "once");
    bad("x initrd=a/b", E_MALFORMED, "initrd=a/b: expected the name of a module");
    bad("x initrd=", E_MALFORMED, "initrd=: expected the name of a module");
    bad("x expect=win", E_MALFORMED,
        "expect=win: expected an ending such as triple-fault, exit:CODE or screen:REGEX");
    bad("x expect=screen", E_MALFORMED,
        "expect=screen: expected an ending such as triple-fault, exit:CODE or screen:REGEX");
    bad("x expect=exit:", E_MALFORMED,
        "expect=exit:: expected an ending such as triple-fault, exit:CODE or screen:REGEX");
    bad("x expect=screen:", E_MALFORMED,
        "expect=screen:: expected an ending such as triple-fault, exit:CODE or screen:REGEX");
    assert_int_equal(machine_parse(&m, "x expect=screen:(a", &why), E_UNSUPPORTED);
    assert_non_null(strstr(why.text, "(a"));
    assert_int_equal(machine_parse(&m, "x fail=screen:[a", &why), E_MALFORMED);
    bad("x fail=exit:1", E_MALFORMED, "fail=exit:1: expected screen:REGEX");
    bad("x flip=0x400000 mem=4M", E_INVALID, "flip=0x400000 is not in its memory, see mem=");
    bad("x break=GUEST_RFLAGS", E_MALFORMED,
        "break=GUEST_RFLAGS: expected a VMCS field and a number, such as GUEST_RFLAGS,2");
    bad("x break=,2", E_MALFORMED, "break=,2: expected a VMCS field and a number, such as GUEST_RFLAGS,2");
    bad("x break=GUEST_RFLAGS,", E_MALFORMED,
        "break=GUEST_RFLAGS,: expected a VMCS field and a number, such as GUEST_RFLAGS,2");
    bad("x flip=0", E_MALFORMED, "flip=0: expected an address, not 0, such as 0x200000");
    bad("x \"cmdline=a b", E_MALFORMED, "the quotes in \"cmdline=a b\" are not closed");
    bad("\"x y", E_MALFORMED, "the name \"x y\" has a character other than A-Z a-z 0-9 . _ + -");
    bad("\"x", E_MALFORMED, "the quotes in \"x\" are not closed");
}

static void the_first_error_is_told_and_the_rest_is_read(void **state)
{
    (void)state;
    bad("x frob=1 initrd=data grob=2", E_MALFORMED, "unknown key \"frob\"");
    assert_string_equal(m.name, "x");
    assert_string_equal(m.initrd, "data");
}

static void texts_of_every_length(void **state)
{
    (void)state;
    for (size_t length = 0; length < 1200; length++) {
        char line[1300] = "x cmdline=";
        memset(line + 10, 'y', length);
        enum error e = machine_parse(&m, line, &why);
        assert_int_equal(e, length <= MACHINE_TEXT_MAX ? E_OK : E_TOO_BIG);
        assert_true(strlen(m.cmdline) == (e == E_OK ? length : 0));
    }
    bad("x initrd=a1234567890123456789012345678901", E_TOO_BIG,
        "initrd=a1234567890123456789012345678901...: longer than 31 bytes");
    bad("a1234567890123456789012345678901 mem=4M", E_TOO_BIG,
        "the name \"a123456789012345678901234567890...\" has more than 31 characters");
    char line[200] = "x expect=screen:";
    memset(line + 16, 'z', 128);
    assert_int_equal(machine_parse(&m, line, &why), E_TOO_BIG);
    line[16 + 63] = '\0'; // 63 items and the end
    good(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(every_key),
        cmocka_unit_test(bounds),
        cmocka_unit_test(endings),
        cmocka_unit_test(refusals_name_key_and_value),
        cmocka_unit_test(the_first_error_is_told_and_the_rest_is_read),
        cmocka_unit_test(texts_of_every_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
