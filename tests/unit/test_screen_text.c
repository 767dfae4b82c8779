#include "kernel/screen.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

// The only guest memory there is: the screen.
enum { SCREEN = 0xb8000, SCREEN_BYTES = SCREEN_COLUMNS * SCREEN_ROWS * 2 };
static uint8_t memory[SCREEN_BYTES];
static bool no_memory;

enum error guest_read(struct space *s, gpa_t from, void *to, size_t len)
{
    (void)s;
    if (no_memory || from.v < SCREEN || from.v + len > SCREEN + SCREEN_BYTES)
        return E_BAD_ADDRESS;
    memcpy(to, memory + (from.v - SCREEN), len);
    return E_OK;
}

static int start(void **state)
{
    (void)state;
    no_memory = false;
    memset(memory, 0, sizeof(memory));
    return 0;
}

static void put(unsigned row, unsigned column, const char *text)
{
    for (uint8_t *cell = memory + (row * SCREEN_COLUMNS + column) * 2; *text; cell += 2, text++) {
        cell[0] = (uint8_t)*text;
        cell[1] = 0x17;
    }
}

static void rows_are_printable_and_cut(void **state)
{
    (void)state;
    char text[SCREEN_COLUMNS];
    put(3, 2, "ab\x01\xb3\x7f\xff z  ");
    assert_int_equal(screen_row(NULL, 3, text), 10);
    assert_memory_equal(text, "  ab...  z", 10);
    assert_int_equal(screen_row(NULL, 4, text), 0);
    memset(memory, 'x', sizeof(memory));
    assert_int_equal(screen_row(NULL, 24, text), SCREEN_COLUMNS);
    no_memory = true;
    assert_int_equal(screen_row(NULL, 3, text), 0);
}

static void rows_end_with_the_last_that_shows_something(void **state)
{
    (void)state;
    assert_int_equal(screen_trim(NULL, SCREEN_ROWS, SCREEN_ROWS), 0);
    put(0, 0, "top");
    put(2, 1, "below");
    assert_int_equal(screen_trim(NULL, SCREEN_ROWS, SCREEN_ROWS), 3);
    assert_int_equal(screen_trim(NULL, SCREEN_ROWS, 8), SCREEN_ROWS - 8);
    assert_int_equal(screen_trim(NULL, 5, 8), 3);
    put(24, 79, "x");
    assert_int_equal(screen_trim(NULL, SCREEN_ROWS, SCREEN_ROWS), SCREEN_ROWS);
    memset(memory, ' ', sizeof(memory));
    assert_int_equal(screen_trim(NULL, 8, 8), 0);
}

static const char pass[] = "Pass: *[1-9]", errors[] = "Errors: *[1-9]";

static void watch(struct screen_watch *w, const char *expect, const char *fail)
{
    struct reason why;
    assert_int_equal(screen_watch_init(w, expect, fail, &why), E_OK);
}

// Steps until a verdict, at most `steps`; returns how many it took.
static unsigned run(struct screen_watch *s, unsigned steps, enum screen_verdict *verdict)
{
    *verdict = SCREEN_NOTHING;
    unsigned done = 0;
    while (done < steps && *verdict == SCREEN_NOTHING) {
        *verdict = screen_watch_step(s, NULL);
        done++;
    }
    return done;
}

static void what_is_expected_is_found_in_one_round(void **state)
{
    (void)state;
    struct screen_watch s;
    enum screen_verdict verdict;
    watch(&s, pass, "");
    put(8, 42, "| Pass:   0");
    run(&s, 60, &verdict);
    assert_int_equal(verdict, SCREEN_NOTHING);
    put(8, 42, "| Pass:   1");
    assert_true(run(&s, 25, &verdict) <= SCREEN_ROWS);
    assert_int_equal(verdict, SCREEN_EXPECTED);
}

static void what_must_not_be_there_wins(void **state)
{
    (void)state;
    for (unsigned row = 0; row < SCREEN_ROWS; row++) {
        struct screen_watch s;
        enum screen_verdict verdict;
        watch(&s, pass, errors);
        start(NULL);
        put(8, 0, "Pass: 1");
        put(row, 40, "Errors: 3");
        run(&s, 100, &verdict);
        assert_int_equal(verdict, SCREEN_FAILED);
    }
}

static void expected_needs_a_clean_round(void **state)
{
    (void)state;
    struct screen_watch s;
    enum screen_verdict verdict;
    watch(&s, pass, errors);
    put(8, 0, "Pass: 1");
    assert_int_equal(run(&s, 100, &verdict), 9 + SCREEN_ROWS);
    assert_int_equal(verdict, SCREEN_EXPECTED);
}

static void fail_alone(void **state)
{
    (void)state;
    struct screen_watch s;
    enum screen_verdict verdict;
    watch(&s, "", errors);
    put(8, 0, "Pass: 1");
    run(&s, 100, &verdict);
    assert_int_equal(verdict, SCREEN_NOTHING);
    put(24, 60, "Errors: 1");
    run(&s, 25, &verdict);
    assert_int_equal(verdict, SCREEN_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(rows_are_printable_and_cut, start),
        cmocka_unit_test_setup(rows_end_with_the_last_that_shows_something, start),
        cmocka_unit_test_setup(what_is_expected_is_found_in_one_round, start),
        cmocka_unit_test_setup(what_must_not_be_there_wins, start),
        cmocka_unit_test_setup(expected_needs_a_clean_round, start),
        cmocka_unit_test_setup(fail_alone, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
