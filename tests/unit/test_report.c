// report.c itself, with two processors that take turns on one thread.
#include "kernel/report.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/pcpu.h"

static struct pcpu *processor;
#define this_pcpu() processor // GS belongs to the C library here
#include "kernel/report.c"

void (*log_sink)(enum log_level level, const char *line, size_t len);

static char wire[1 << 20];
static size_t wire_length;
static bool ready, emptied; // takes 16 bytes at any time; once, because it was waited for
static _Alignas(RECORD_ALIGN) uint8_t other_ring[4096];
static struct timeout *heap[2][4];
static struct timeouts heaps[2];

static size_t wire_put(void *self, const char *bytes, size_t n)
{
    (void)self;
    n = ready || emptied ? min_u64(n, 16) : 0;
    emptied = false;
    assert_true(wire_length + n < sizeof wire);
    memcpy(wire + wire_length, bytes, n);
    wire_length += n;
    wire[wire_length] = 0;
    return n;
}

static void wire_settle(void *self)
{
    (void)self;
    emptied = true;
}

static void clear_wire(void)
{
    wire_length = 0;
    wire[0] = 0;
}

static void on(unsigned id)
{
    processor = &pcpus[id];
}

static int start(void **state)
{
    (void)state;
    memset(boot_bytes, 0, sizeof boot_bytes);
    memset(other_ring, 0, sizeof other_ring);
    memset(rings, 0, sizeof rings);
    memset(&drain, 0, sizeof drain);
    is_open = false;
    drain_period = tsc(0);
    ready = true;
    clear_wire();
    for (unsigned i = 0; i < 2; i++) {
        heaps[i] = (struct timeouts){.heap = heap[i], .capacity = 4};
        pcpus[i] = (struct pcpu){.id = i, .timeouts = &heaps[i]};
    }
    on(0);
    report_start();
    log_sink(LOG_INFO, "early", 5);
    report_add_ring(&pcpus[1], other_ring, sizeof other_ring);
    assert_true(pcpus[0].log && pcpus[1].log);
    return 0;
}

static void open_wire(void)
{
    report_add_sink(&(struct sink){wire_put, NULL, wire_settle, NULL});
    report_open(true);
}

static void finish(void)
{
    while (report_drain_step(64))
        ;
}

static void nothing_is_lost_before_a_console_opens(void **state)
{
    (void)state;
    assert_false(report_drain_step(1000));
    open_wire();
    finish();
    assert_string_equal(wire, "TAP version 13\n# early\n");
}

static void points_carry_their_detail(void **state)
{
    (void)state;
    open_wire();
    on(1);
    report_point(POINT_NOT_OK, "cpu", "a-b", "expected 1\ngot 2\n");
    on(0);
    report_point(POINT_SKIP, "cpu", "later", "needs AVX\nand more");
    report_point(POINT_OK, "cpu", "last", NULL);
    report_point(POINT_SKIP, "cpu", "silent", NULL);
    finish();
    assert_string_equal(wire, "TAP version 13\n# early\nnot ok 1 - cpu/a-b\n# expected 1\n# got 2\n"
                              "ok 2 - cpu/later # SKIP needs AVX\n# and more\nok 3 - cpu/last\n"
                              "ok 4 - cpu/silent # SKIP\n");
    clear_wire();
    assert_int_equal(report_end(), 1);
    assert_string_equal(wire, "1..4\n# 1 passed, 1 failed, 2 skipped\n");
}

static void what_is_too_long_is_cut(void **state)
{
    (void)state;
    char name[2 * RECORD_TEXT_MAX], want[RECORD_TEXT_MAX + 20] = "ok 1 - m/";
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    open_wire();
    finish();
    clear_wire();
    report_point(POINT_OK, "m", name, "detail");
    finish();
    memset(want + 9, 'x', RECORD_TEXT_MAX - 2);
    memcpy(want + 9 + RECORD_TEXT_MAX - 2, "\n", 2);
    assert_string_equal(wire, want);
}

static void a_full_ring_is_drained_rather_than_lost(void **state)
{
    (void)state;
    char want[20000];
    size_t at = (size_t)snprintf(want, sizeof want, "TAP version 13\n# early\n");
    open_wire();
    ready = false; // nobody gets anything without waiting
    on(1);
    for (unsigned i = 1; i <= 300; i++) {
        char name[16];
        snprintf(name, sizeof name, "p%u", i);
        report_point(POINT_OK, "flood", name, NULL);
        at += (size_t)snprintf(want + at, sizeof want - at, "ok %u - flood/p%u\n", i, i);
    }
    report_drain();
    assert_string_equal(wire, want);
}

static void guests_get_back_pressure(void **state)
{
    (void)state;
    open_wire();
    clear_wire();
    ready = false;
    on(1);
    unsigned lines = 0;
    while (report_has_room()) {
        report_guest_line("vm", "ok 1 - forged\nBail out!", 23);
        assert_true(++lines < 1000);
    }
    assert_int_equal(wire_length, 0); // nobody waited
    ready = true;
    finish();
    assert_true(report_has_room());
    for (const char *line = wire; *line; line = strchr(line, '\n') + 1)
        assert_memory_equal(line, "# ", 2);
    assert_non_null(strstr(wire, "\n# vm| ok 1 - forged\\x0aBail out!\n"));
}

static void timeouts_go_on_where_nobody_looks(void **state)
{
    (void)state;
    open_wire();
    report_use_timeouts(1000); // one tick a period
    on(1);
    report_guest_line("vm", "a line from elsewhere", 21);
    for (unsigned i = 0; i < 100 && timeouts_next(&heaps[1]).v != ~0ull; i++)
        timeouts_run(&heaps[1], timeouts_next(&heaps[1]));
    assert_string_equal(wire, "TAP version 13\n# early\n# vm| a line from elsewhere\n");
    assert_int_equal(heaps[1].count, 0); // and it ends when all is sent
}

static void a_bail_out_is_the_last_word(void **state)
{
    (void)state;
    open_wire();
    report_bail_out("no VT-x\nin this box");
    assert_string_equal(wire, "TAP version 13\n# early\nBail out! no VT-x\\x0ain this box\n");
}

static void tap_off_leaves_only_lines(void **state)
{
    (void)state;
    report_add_sink(&(struct sink){wire_put, NULL, wire_settle, NULL});
    report_open(false);
    report_point(POINT_OK, "a", "b", "detail");
    report_bail_out("the end");
    report_end();
    assert_string_equal(wire, "# early\n# ok a/b\n# detail\n# Bail out! the end\n# 1 passed, 0 failed\n");
}

static void a_panic_needs_no_lock(void **state)
{
    (void)state;
    open_wire();
    ready = false;
    lock_take(&drain_lock); // whoever holds it was stopped
    report_seize("panic: test");
    log_sink(LOG_ERROR, "rip 0\n", 6);
    lock_release(&drain_lock);
    assert_string_equal(wire, "TAP version 13\n# early\nBail out! panic: test\n# rip 0\\x0a\n");
}

static void the_holder_of_the_lock_does_not_wait_for_itself(void **state)
{
    (void)state;
    on(1);
    drain_enter();
    for (unsigned i = 0; i < 500; i++)
        log_sink(LOG_INFO, "from inside", 11);
    drain_leave();
    open_wire();
    report_end();
    assert_non_null(strstr(wire, "lines of processor 1 lost\n1..0\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_is_lost_before_a_console_opens, start),
        cmocka_unit_test_setup(points_carry_their_detail, start),
        cmocka_unit_test_setup(what_is_too_long_is_cut, start),
        cmocka_unit_test_setup(a_full_ring_is_drained_rather_than_lost, start),
        cmocka_unit_test_setup(guests_get_back_pressure, start),
        cmocka_unit_test_setup(timeouts_go_on_where_nobody_looks, start),
        cmocka_unit_test_setup(a_bail_out_is_the_last_word, start),
        cmocka_unit_test_setup(tap_off_leaves_only_lines, start),
        cmocka_unit_test_setup(a_panic_needs_no_lock, start),
        cmocka_unit_test_setup(the_holder_of_the_lock_does_not_wait_for_itself, start),
    };
    return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
