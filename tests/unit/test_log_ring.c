#include "kernel/log_ring.h"
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

enum { SIZE = 4096 };

static _Alignas(RECORD_ALIGN) uint8_t bytes[SIZE];

static struct log_ring fresh(void)
{
    struct log_ring r;
    memset(bytes, 0, sizeof bytes);
    log_ring_init(&r, bytes, sizeof bytes);
    return r;
}

static bool put(struct log_ring *r, uint64_t at, const char *text)
{
    return log_ring_put(r, tsc(at), RECORD_LINE, 0, text, strlen(text));
}

static void expect(struct log_ring *r, uint64_t at, const char *want)
{
    struct log_record record;
    char text[RECORD_TEXT_MAX + 1];
    assert_true(log_ring_peek(r, &record));
    assert_int_equal(record.at.v, at);
    log_ring_take(r, &record, text);
    text[record.length] = 0;
    assert_string_equal(text, want);
}

static void keeps_order_and_text(void **state)
{
    (void)state;
    struct log_ring r = fresh();
    struct log_record record;
    assert_false(log_ring_peek(&r, &record));
    assert_true(put(&r, 1, "one"));
    assert_true(put(&r, 2, ""));
    assert_true(put(&r, 3, "exactly sixteen!"));
    expect(&r, 1, "one");
    expect(&r, 2, "");
    expect(&r, 3, "exactly sixteen!");
    assert_false(log_ring_peek(&r, &record));
}

static void wraps_at_every_place(void **state)
{
    (void)state;
    struct log_ring r = fresh();
    r.head = r.tail = 0u - SIZE; // positions wrap around 2^32 too
    for (unsigned i = 0; i < 3000; i++) {
        char text[RECORD_TEXT_MAX + 1];
        int n = snprintf(text, sizeof text, "%u:%0*u", i, (int)(i % 400) + 1, i);
        assert_true(n > 0 && put(&r, i, text));
        expect(&r, i, text);
    }
    for (size_t i = 0; i < SIZE; i++)
        assert_int_equal(bytes[i], 0); // the invariant: what is free is zero
}

static void refuses_when_full_and_loses_nothing(void **state)
{
    (void)state;
    struct log_ring r = fresh();
    unsigned in = 0, out = 0;
    for (unsigned round = 0; round < 50; round++) {
        char text[64];
        while (snprintf(text, sizeof text, "record %u", in), put(&r, in, text))
            in++;
        assert_false(log_ring_has_room(&r, strlen(text)));
        for (unsigned i = 0; i <= round % 7; i++, out++) {
            snprintf(text, sizeof text, "record %u", out);
            expect(&r, out, text);
        }
    }
    assert_int_equal(in - out, SIZE / 32 - 1 - (50 - 1) % 7); // header and text take 32 bytes
}

static void fills_to_the_last_byte(void **state)
{
    (void)state;
    struct log_ring r = fresh();
    struct log_record record;
    char text[RECORD_TEXT_MAX];
    memset(text, 'x', sizeof text);
    for (unsigned i = 0; i < SIZE / 512; i++)
        assert_true(log_ring_put(&r, tsc(i), RECORD_LINE, 0, text, 496));
    assert_int_equal(r.head - r.tail, SIZE);
    assert_false(log_ring_has_room(&r, 0));
    assert_true(log_ring_peek(&r, &record)); // full is not empty
    assert_int_equal(record.length, 496);
}

static void cuts_what_is_too_long(void **state)
{
    (void)state;
    struct log_ring r = fresh();
    struct log_record record;
    static char text[3 * RECORD_TEXT_MAX];
    memset(text, 'x', sizeof text);
    assert_true(log_ring_put(&r, tsc(1), RECORD_LINE, 0, text, sizeof text));
    assert_true(log_ring_peek(&r, &record));
    assert_int_equal(record.length, RECORD_TEXT_MAX);
}

// What an NMI does between reserving and filling: its record stands behind, and waits for the one before.
static void waits_for_a_record_that_was_interrupted(void **state)
{
    (void)state;
    struct log_ring r = fresh();
    struct log_record record;
    assert_true(put(&r, 1, "interrupted"));
    ((struct log_record *)(void *)bytes)->ready = 0;
    assert_true(put(&r, 2, "from the NMI"));
    assert_false(log_ring_peek(&r, &record));
    ((struct log_record *)(void *)bytes)->ready = 1;
    expect(&r, 1, "interrupted");
    expect(&r, 2, "from the NMI");
}

enum { RECORDS = 100000 };

static void *produce(void *ring)
{
    for (unsigned i = 0; i < RECORDS; i++) {
        char text[80];
        snprintf(text, sizeof text, "%u-%0*u", i, (int)(i % 60) + 1, i);
        while (!put(ring, i, text))
            sched_yield();
    }
    return NULL;
}

static void one_thread_writes_while_another_reads(void **state)
{
    (void)state;
    struct log_ring r = fresh();
    pthread_t producer;
    assert_int_equal(pthread_create(&producer, NULL, produce, &r), 0);
    for (unsigned i = 0; i < RECORDS; i++) {
        struct log_record record;
        char want[80], got[RECORD_TEXT_MAX + 1];
        snprintf(want, sizeof want, "%u-%0*u", i, (int)(i % 60) + 1, i);
        while (!log_ring_peek(&r, &record))
            sched_yield();
        log_ring_take(&r, &record, got);
        got[record.length] = 0;
        assert_string_equal(got, want);
        assert_int_equal(record.at.v, i);
    }
    pthread_join(producer, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_order_and_text),
        cmocka_unit_test(wraps_at_every_place),
        cmocka_unit_test(refuses_when_full_and_loses_nothing),
        cmocka_unit_test(fills_to_the_last_byte),
        cmocka_unit_test(cuts_what_is_too_long),
        cmocka_unit_test(waits_for_a_record_that_was_interrupted),
        cmocka_unit_test(one_thread_writes_while_another_reads),
    };
    return cmocka_run_group_tests_name("log_ring", tests, NULL, NULL);
}
