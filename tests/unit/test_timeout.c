#include "sched/timeout.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum { CAPACITY = 64, STEPS = 200000 };

static struct timeout *heap[CAPACITY];
static struct timeouts ts;
static struct timeout timer[CAPACITY];
static struct timeout *fired[CAPACITY * 2];
static unsigned fired_count;

static void note(struct timeout *t)
{
    assert_int_equal(t->index, TIMEOUT_IDLE);
    assert_true(fired_count < array_size(fired));
    fired[fired_count++] = t;
}

static int start(void **state)
{
    (void)state;
    timeouts_init(&ts, heap, CAPACITY);
    fired_count = 0;
    for (unsigned i = 0; i < array_size(timer); i++)
        timeout_init(&timer[i], note);
    return 0;
}

static void check_heap(void)
{
    for (uint32_t i = 0; i < ts.count; i++) {
        assert_int_equal(ts.heap[i]->index, i);
        if (i > 0)
            assert_true(ts.heap[(i - 1) / 2]->deadline.v <= ts.heap[i]->deadline.v);
    }
}

static void empty_heap_has_no_deadline(void **state)
{
    (void)state;
    assert_int_equal(timeouts_next(&ts).v, ~0ull);
    timeouts_run(&ts, tsc(~0ull));
    timeout_cancel(&ts, &timer[0]);
    assert_int_equal(fired_count, 0);
}

static void in_a_full_heap_timeouts_move(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CAPACITY; i++)
        timeout_set(&ts, &timer[i], tsc(100 + i));
    timeout_set(&ts, &timer[CAPACITY - 1], tsc(1));
    assert_int_equal(timeouts_next(&ts).v, 1);
    check_heap();
}

static void deadline_is_inclusive(void **state)
{
    (void)state;
    timeout_set(&ts, &timer[0], tsc(50));
    timeouts_run(&ts, tsc(49));
    assert_int_equal(fired_count, 0);
    timeouts_run(&ts, tsc(50));
    assert_int_equal(fired_count, 1);
    timeouts_run(&ts, tsc(51));
    assert_int_equal(fired_count, 1);
}

static void set_again_in_the_past(struct timeout *t)
{
    note(t);
    timeout_set(&ts, t, tsc(0));
}

static void a_timeout_that_never_stops_does_not_hang_the_processor(void **state)
{
    (void)state;
    timeout_init(&timer[0], set_again_in_the_past);
    timeout_set(&ts, &timer[0], tsc(0));
    timeout_set(&ts, &timer[1], tsc(1));
    timeouts_run(&ts, tsc(10));
    assert_int_equal(fired_count, TIMEOUTS_A_RUN);
    assert_int_equal(ts.count, 2);
}

static void cancel_the_next(struct timeout *t)
{
    note(t);
    timeout_cancel(&ts, t + 1);
}

static void a_timeout_may_cancel_another_that_is_due(void **state)
{
    (void)state;
    timeout_init(&timer[0], cancel_the_next);
    for (unsigned i = 0; i < 3; i++)
        timeout_set(&ts, &timer[i], tsc(i));
    timeouts_run(&ts, tsc(10));
    assert_int_equal(fired_count, 2);
    assert_ptr_equal(fired[0], &timer[0]);
    assert_ptr_equal(fired[1], &timer[2]);
}

// The model: an array of {set, deadline}, searched linearly.
struct model {
    bool set[CAPACITY];
    uint64_t deadline[CAPACITY];
};

static uint64_t model_next(const struct model *m)
{
    uint64_t next = ~0ull;
    for (unsigned i = 0; i < CAPACITY; i++)
        next = m->set[i] ? min_u64(next, m->deadline[i]) : next;
    return next;
}

static void run_and_compare(struct model *m, uint64_t now)
{
    unsigned due = 0;
    for (unsigned i = 0; i < CAPACITY; i++)
        due += m->set[i] && m->deadline[i] <= now;
    fired_count = 0;
    timeouts_run(&ts, tsc(now));
    assert_int_equal(fired_count, min_u64(due, TIMEOUTS_A_RUN));
    for (unsigned i = 0; i < fired_count; i++) {
        unsigned id = (unsigned)(fired[i] - timer);
        assert_true(m->set[id] && m->deadline[id] <= now);
        if (i > 0)
            assert_true(fired[i - 1]->deadline.v <= fired[i]->deadline.v);
        m->set[id] = false;
    }
}

static void random_steps_agree_with_a_linear_model(void **state)
{
    (void)state;
    struct model m = {0};
    uint64_t now = 0;
    srand(1);
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned id = (unsigned)rand() % CAPACITY, what = (unsigned)rand() % 8;
        if (what < 5) {
            m.set[id] = true;
            m.deadline[id] = now + (unsigned)rand() % 100;
            timeout_set(&ts, &timer[id], tsc(m.deadline[id]));
        } else if (what < 7) {
            m.set[id] = false;
            timeout_cancel(&ts, &timer[id]);
        } else {
            now += (unsigned)rand() % 20;
            run_and_compare(&m, now);
        }
        assert_int_equal(timeouts_next(&ts).v, model_next(&m));
        if (step % 64 == 0)
            check_heap();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(empty_heap_has_no_deadline, start),
        cmocka_unit_test_setup(in_a_full_heap_timeouts_move, start),
        cmocka_unit_test_setup(deadline_is_inclusive, start),
        cmocka_unit_test_setup(a_timeout_that_never_stops_does_not_hang_the_processor, start),
        cmocka_unit_test_setup(a_timeout_may_cancel_another_that_is_due, start),
        cmocka_unit_test_setup(random_steps_agree_with_a_linear_model, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
