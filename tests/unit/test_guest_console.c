#include "kernel/guest_console.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "kernel/report.h"

static struct guest_console c;
static char got[8192]; // lines, joined by '|' behind each
static unsigned room;

bool report_has_room(void)
{
    return room > 0;
}

void report_guest_line(const char *machine, const char *text, size_t len)
{
    assert_string_equal(machine, "m");
    assert_true(room-- > 0);
    assert_in_range(len, 0, GUEST_LINE_MAX);
    size_t at = strlen(got);
    assert_true(at + len + 2 < sizeof got);
    memcpy(got + at, text, len);
    strcpy(got + at + len, "|");
}

static int start(void **state)
{
    (void)state;
    guest_console_init(&c, "m", 1000000); // 100 ms are 100,000 ticks
    got[0] = 0;
    room = 1000;
    return 0;
}

#define say(text) assert_int_equal(guest_console_write(&c, text, sizeof text - 1, tsc(0)), sizeof text - 1)

static void cuts_bytes_into_lines(void **state)
{
    static const struct {
        const char *in, *want;
    } rows[] = {
        {"one\ntwo\n",        "one|two|"        },
        {"one\r\ntwo\r\n",    "one|two|"        },
        {"one\r\r\ntwo\n",    "one|two|"        },
        {"\n\n\r\n\r\n",      "||||"            },
        {"a\n\nb\r\n\r\nc\n", "a||b||c|"        },
        {"10%\r20%\rdone\n",  "10%|20%|done|"   },
        {"kept back",         ""                },
        {"tab\tbell\a\x80\n", "tab\tbell\a\x80|"}, // escaped on the way out, not here
    };
    for (size_t i = 0; i < array_size(rows); i++) {
        start(state);
        size_t n = strlen(rows[i].in);
        assert_int_equal(guest_console_write(&c, rows[i].in, n, tsc(0)), n);
        assert_string_equal(got, rows[i].want);
        start(state);
        for (size_t j = 0; j < n; j++) // byte by byte comes to the same
            assert_int_equal(guest_console_write(&c, rows[i].in + j, 1, tsc(0)), 1);
        assert_string_equal(got, rows[i].want);
    }
}

static void drops_escape_sequences(void **state)
{
    static const struct {
        const char *in, *want;
    } rows[] = {
        {"\x1b[1;31mred\x1b[0m\n",         "red|"     },
        {"\x1b[?25l\x1b[2J\x1b[10;20Hx\n", "x|"       },
        {"\x1b]0;title\aafter\n",          "after|"   },
        {"\x1b]0;title\x1b\\after\n",      "after|"   },
        {"\x1bPdevice\x1b\\after\n",       "after|"   },
        {"\x1b(Btext\x1b"
         "7\x1b=\n",              "text|"    },
        {"\x1b\x1b[mx\n",                  "x|"       },
        {"cut\x1b[12\nnext\n",             "cut|next|"}, // a line end ends any sequence
        {"cut\x1b]0;never\nnext\n",        "cut|next|"},
        {"odd\x1b[1\x80z\n",               "odd\x80z|"},
        {"\x1b\n\x1b[\n\x1b]\n",           "|||"      },
    };
    for (size_t i = 0; i < array_size(rows); i++) {
        start(state);
        size_t n = strlen(rows[i].in);
        assert_int_equal(guest_console_write(&c, rows[i].in, n, tsc(0)), n);
        assert_string_equal(got, rows[i].want);
    }
}

static void a_control_string_ends_at_last(void **state)
{
    (void)state;
    say("\x1b]");
    for (unsigned i = 0; i < 3000; i++)
        say("x");
    say("\n");
    assert_in_range(strlen(got), 100, 3000);
}

static void breaks_long_lines(void **state)
{
    (void)state;
    char text[2 * GUEST_LINE_MAX + 11];
    memset(text, 'x', sizeof text);
    text[2 * GUEST_LINE_MAX] = '\n'; // exactly two lines, not an empty third one
    memcpy(text + 2 * GUEST_LINE_MAX + 1, "0123456789", 10);
    assert_int_equal(guest_console_write(&c, text, sizeof text, tsc(0)), sizeof text);
    guest_console_flush(&c);
    assert_int_equal(strlen(got), 2 * (GUEST_LINE_MAX + 1) + 11);
    assert_int_equal(got[GUEST_LINE_MAX], '|');
    assert_int_equal(got[2 * GUEST_LINE_MAX + 1], '|');
}

static void sends_partial_lines_in_time(void **state)
{
    (void)state;
    assert_int_equal(c.deadline.v, ~0ull);
    guest_console_write(&c, "prompt", 6, tsc(50));
    assert_int_equal(c.deadline.v, 100050);
    guest_console_write(&c, "> ", 2, tsc(60000)); // the first byte counts
    assert_int_equal(c.deadline.v, 100050);
    guest_console_poll(&c, tsc(100049));
    assert_string_equal(got, "");
    guest_console_poll(&c, tsc(100050));
    assert_string_equal(got, "prompt> |");
    assert_int_equal(c.deadline.v, ~0ull);
    say("\r\n"); // ends what went out already
    assert_string_equal(got, "prompt> |");
    say("\n");
    assert_string_equal(got, "prompt> ||");
}

static void stops_when_the_ring_is_full_and_loses_nothing(void **state)
{
    (void)state;
    const char *text = "a\nb\r\nc\n\nlast\n";
    size_t n = strlen(text), at = 0;
    room = 0;
    assert_int_equal(guest_console_write(&c, text, n, tsc(0)), 1); // 'a' is kept, its end is not taken
    for (at = 1; at < n; room = 1)
        at += guest_console_write(&c, text + at, n - at, tsc(0));
    assert_string_equal(got, "a|b|c||last|");

    room = 0;
    guest_console_write(&c, "x", 1, tsc(0));
    guest_console_poll(&c, tsc(100000));
    assert_int_equal(c.deadline.v, 200000);
    room = 1;
    guest_console_poll(&c, tsc(200000));
    assert_string_equal(got, "a|b|c||last|x|");
}

static void a_call_is_bounded_and_the_next_goes_on(void **state)
{
    (void)state;
    static const char patterns[] = {'\n', '\r', 1, 0x1b};
    for (size_t i = 0; i < array_size(patterns); i++) {
        char text[512];
        memset(text, patterns[i], sizeof text);
        unsigned calls = 0;
        for (size_t at = 0; at < sizeof text; calls++) {
            size_t taken = guest_console_write(&c, text + at, sizeof text - at, tsc(0));
            assert_in_range(taken, 1, 200);
            at += taken;
        }
        assert_in_range(calls, 2, 30);
    }
    assert_int_equal(strspn(got, "|"), 512); // every LF is a line
}

static void flushes_at_the_end(void **state)
{
    (void)state;
    say("no newline");
    guest_console_flush(&c);
    guest_console_flush(&c);
    assert_string_equal(got, "no newline|");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(cuts_bytes_into_lines, start),
        cmocka_unit_test_setup(drops_escape_sequences, start),
        cmocka_unit_test_setup(a_control_string_ends_at_last, start),
        cmocka_unit_test_setup(breaks_long_lines, start),
        cmocka_unit_test_setup(sends_partial_lines_in_time, start),
        cmocka_unit_test_setup(stops_when_the_ring_is_full_and_loses_nothing, start),
        cmocka_unit_test_setup(a_call_is_bounded_and_the_next_goes_on, start),
        cmocka_unit_test_setup(flushes_at_the_end, start),
    };
    return cmocka_run_group_tests_name("guest_console", tests, NULL, NULL);
}
