#include "kernel/drain.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "kernel/report.h"

enum { RING = 4096, TEXT = 1 << 20 };

// A console that takes `fifo` bytes whenever it is `ready`.
struct console {
    char text[TEXT];
    size_t length, fifo;
    bool ready, settled;
    bool emptied;       // it was waited for, and takes one more
    unsigned work;      // refresh steps that are left
    uint32_t refreshed; // units
};

static _Alignas(RECORD_ALIGN) uint8_t bytes[2][RING];
static struct log_ring rings[2];
static struct console consoles[2];
static struct drain d;

static size_t console_put(void *self, const char *text, size_t n)
{
    struct console *c = self;
    n = c->ready || c->emptied ? min_u64(n, c->fifo) : 0;
    c->emptied = false;
    memcpy(c->text + c->length, text, n);
    c->length += n;
    return n;
}

static bool console_refresh(void *self, uint32_t units)
{
    struct console *c = self;
    c->refreshed += units;
    return c->work && --c->work;
}

static void console_settle(void *self)
{
    struct console *c = self;
    c->settled = c->emptied = true;
}

static int start(void **state)
{
    (void)state;
    memset(bytes, 0, sizeof bytes);
    memset(consoles, 0, sizeof consoles);
    d = (struct drain){.ring_count = 2};
    for (unsigned i = 0; i < 2; i++) {
        log_ring_init(&rings[i], bytes[i], RING);
        d.rings[i] = &rings[i];
        consoles[i].fifo = 16;
        consoles[i].ready = true;
        d.sinks[i] = (struct sink){console_put, console_refresh, console_settle, &consoles[i]};
    }
    d.sink_count = 2;
    return 0;
}

static void put(unsigned ring, uint64_t at, enum record_kind kind, const char *text)
{
    assert_true(log_ring_put(&rings[ring], tsc(at), kind, POINT_OK, text, strlen(text)));
}

static void expect(unsigned console, const char *want)
{
    consoles[console].text[consoles[console].length] = 0;
    assert_string_equal(consoles[console].text, want);
}

static void merges_by_time_and_numbers_on_the_wire(void **state)
{
    (void)state;
    put(0, 10, RECORD_POINT, "a/one");
    put(0, 40, RECORD_LINE, "later");
    put(1, 20, RECORD_POINT, "b/two");
    put(1, 20, RECORD_LINE, "detail of two");
    put(1, 50, RECORD_POINT, "b/three");
    while (drain_step(&d, 64))
        ;
    const char *want = "ok 1 - a/one\nok 2 - b/two\n# detail of two\n# later\nok 3 - b/three\n";
    expect(0, want);
    expect(1, want);
}

static void a_step_is_bounded_and_waits_for_nobody(void **state)
{
    (void)state;
    put(0, 1, RECORD_LINE, "0123456789012345678901234567890123456789");
    assert_true(drain_step(&d, 16));
    assert_int_equal(consoles[0].length, 16);
    consoles[0].ready = false;
    assert_true(drain_step(&d, 16));
    assert_int_equal(consoles[0].length, 16); // busy: nothing
    assert_int_equal(consoles[1].length, 32); // the other one goes on
    assert_true(drain_step(&d, 1000));
    assert_int_equal(consoles[1].length, 43);
    put(0, 2, RECORD_LINE, "second");
    assert_true(drain_step(&d, 1000));
    assert_int_equal(consoles[1].length, 43); // whole lines: not before the first has them all
    consoles[0].ready = true;
    while (drain_step(&d, 1000))
        ;
    expect(0, "# 0123456789012345678901234567890123456789\n# second\n");
    expect(1, "# 0123456789012345678901234567890123456789\n# second\n");
}

static void asks_again_while_a_screen_has_work(void **state)
{
    (void)state;
    consoles[1].work = 3;
    assert_true(drain_step(&d, 16));
    assert_true(drain_step(&d, 16));
    assert_false(drain_step(&d, 16));
}

static void paints_seldom_while_text_flows(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 50; i++)
        put(0, i, RECORD_LINE, "0123456789abcdef");
    for (unsigned i = 0; i < 32; i++)
        assert_true(drain_step(&d, 10));
    assert_int_equal(consoles[1].refreshed, 4 * 60);
}

static void waiting_finishes_the_line_in_transit_first(void **state)
{
    (void)state;
    put(0, 1, RECORD_LINE, "a line that is longer than one FIFO");
    assert_true(drain_step(&d, 16));
    consoles[0].ready = false; // it is waited for
    put(1, 2, RECORD_LINE, "behind");
    drain_all(&d);
    drain_text(&d, "Bail out!\n", 10);
    drain_settle(&d);
    const char *want = "# a line that is longer than one FIFO\n# behind\nBail out!\n";
    expect(0, want);
    expect(1, want);
    assert_true(consoles[0].settled && consoles[1].settled);
}

static void makes_just_enough_room(void **state)
{
    (void)state;
    unsigned in = 0;
    while (log_ring_put(&rings[0], tsc(in), RECORD_LINE, 0, "0123456789abcdef", 16))
        in++;
    drain_for_room(&d, &rings[0], 100);
    assert_true(log_ring_has_room(&rings[0], 100));
    assert_false(log_ring_has_room(&rings[0], 200));
    while (drain_step(&d, 1000))
        ;
    assert_int_equal(consoles[0].length, in * (2 + 16 + 1)); // and nothing was lost
}

static void what_belongs_to_a_point_stays_behind_it(void **state)
{
    (void)state;
    put(0, 10, RECORD_POINT, "m/p\ndetail");
    while (consoles[0].length < 10)
        drain_step(&d, 8);
    put(1, 5, RECORD_LINE, "late, though older");
    while (drain_step(&d, 16))
        ;
    expect(0, "ok 1 - m/p\n# detail\n# late, though older\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(merges_by_time_and_numbers_on_the_wire, start),
        cmocka_unit_test_setup(a_step_is_bounded_and_waits_for_nobody, start),
        cmocka_unit_test_setup(asks_again_while_a_screen_has_work, start),
        cmocka_unit_test_setup(paints_seldom_while_text_flows, start),
        cmocka_unit_test_setup(waiting_finishes_the_line_in_transit_first, start),
        cmocka_unit_test_setup(makes_just_enough_room, start),
        cmocka_unit_test_setup(what_belongs_to_a_point_stays_behind_it, start),
    };
    return cmocka_run_group_tests_name("drain", tests, NULL, NULL);
}
