// The run queue against a naive model (an array in the order of turns), its fairness, and wakes from other
// processors' threads.
#include "sched/sched.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/pcpu.h"

enum { NODES = 6, STEPS = 200000, QUANTUM = 1000 };

static struct pcpu home, elsewhere;
static struct runq q;
static struct sched_node node[NODES];
static uint64_t now;

// line[0 .. waiting) in the order of turns; with `running`, line[lent] has the processor and line[0] the turn.
static struct model {
    unsigned line[NODES], waiting, lent;
    bool running, started[NODES], ended[NODES];
    uint64_t turn_end, ran[NODES];
} model;

static int start(void **state)
{
    (void)state;
    host_pcpu = &home;
    home = (struct pcpu){.runq = &q};
    runq_init(&q);
    for (unsigned i = 0; i < NODES; i++)
        sched_node_init(&node[i], &home, tsc(QUANTUM));
    model = (struct model){.waiting = 0};
    now = 1;
    srand(1);
    return 0;
}

// ---- The model ----

static unsigned model_place(unsigned n)
{
    unsigned i = 0;
    while (i < model.waiting && model.line[i] != n)
        i++;
    return i;
}

static void model_wake(unsigned n)
{
    if (!model.ended[n] && model_place(n) == model.waiting)
        model.line[model.waiting++] = n;
    model.started[n] = true;
}

static void model_remove(unsigned n)
{
    unsigned i = model_place(n);
    if (i == model.waiting)
        return;
    model.running &= i != 0 || model.lent != 0;
    model.lent -= model.lent && i <= model.lent;
    memmove(&model.line[i], &model.line[i + 1], (--model.waiting - i) * sizeof model.line[0]);
}

static bool model_handoff(unsigned to, bool parks)
{
    unsigned from = model.line[model.lent];
    if (model.ended[to] || !model.started[to] || model_place(to) != model.waiting)
        return false;
    memmove(&model.line[model.lent + 2], &model.line[model.lent + 1],
            (model.waiting++ - model.lent - 1) * sizeof model.line[0]);
    model.line[++model.lent] = to;
    if (parks)
        model_remove(from);
    return true;
}

static struct sched_node *model_pick(void)
{
    if (!model.waiting)
        return NULL;
    if (model.running && now < model.turn_end)
        return &node[model.line[model.lent]];
    for (unsigned had = model.running ? model.lent + 1 : 0; had > 0; had--) {
        unsigned first = model.line[0];
        model.lent = 0;
        model_remove(first);
        model_wake(first);
    }
    model.lent = 0;
    model.running = true;
    model.turn_end = now + QUANTUM;
    return &node[model.line[0]];
}

static void check_line(void)
{
    const struct sched_node *n = model.running ? q.first : q.next;
    assert_ptr_equal(q.current, model.running ? &node[model.line[model.lent]] : NULL);
    assert_ptr_equal(q.first, model.running ? &node[model.line[0]] : NULL);
    if (!model.waiting)
        assert_null(n);
    for (unsigned i = 0; i < model.waiting; i++) {
        assert_ptr_equal(n, &node[model.line[i]]);
        assert_int_equal(n->state, SCHED_RUNNABLE);
        n = list_entry(n->link.next, struct sched_node, link);
    }
    if (model.waiting)
        assert_ptr_equal(n, &node[model.line[0]]); // round
    for (unsigned i = 0; i < NODES; i++)
        assert_int_equal(sched_run_ticks(&node[i], tsc(now)), model.ran[i]);
}

static void pass_time(uint64_t ticks)
{
    if (model.running)
        model.ran[model.line[model.lent]] += ticks;
    now += ticks;
}

static void step(void)
{
    unsigned n = (unsigned)rand() % NODES;
    switch (rand() % 16) {
    case 0:
    case 1:
        sched_wake(&node[n]);
        model_wake(n);
        break;
    case 2:
        if (model.running) {
            n = model.line[model.lent];
            sched_park(&node[n], tsc(now));
            model_remove(n);
        }
        break;
    case 3:
        if (model.running) {
            sched_end_turn(&node[model.line[model.lent]]);
            model.turn_end = 0;
        }
        break;
    case 5:
    case 6:
        if (model.running && n != model.line[model.lent]) {
            bool parks = rand() % 2;
            bool lent = sched_handoff(&node[model.line[model.lent]], &node[n], parks, tsc(now));
            assert_int_equal(lent, model_handoff(n, parks));
        }
        break;
    case 4:
        if (!model.ended[n] && rand() % 100 == 0) {
            sched_end(&node[n], tsc(now));
            model_remove(n);
            model.ended[n] = true;
        }
        break;
    default:
        pass_time((uint64_t)rand() % (QUANTUM / 2));
        assert_ptr_equal(sched_pick(&q, tsc(now)), model_pick());
    }
}

static void does_what_the_model_does(void **state)
{
    for (unsigned round = 0; round < 20; round++) {
        start(state);
        srand(round);
        for (unsigned i = 0; i < STEPS / 20; i++) {
            step();
            check_line();
        }
    }
}

// ---- Turns ----

static void nobody_runs_on_an_empty_queue(void **state)
{
    (void)state;
    assert_null(sched_pick(&q, tsc(now)));
    sched_end(&node[0], tsc(now)); // one that never ran
    sched_wake(&node[0]);
    assert_null(sched_pick(&q, tsc(now)));
}

static void one_alone_gets_turn_after_turn(void **state)
{
    (void)state;
    sched_wake(&node[0]);
    for (unsigned i = 0; i < 5; i++, now += QUANTUM) {
        assert_ptr_equal(sched_pick(&q, tsc(now)), &node[0]);
        assert_int_equal(node[0].turn_end.v, now + QUANTUM);
    }
}

static void who_yields_goes_behind_the_others(void **state)
{
    (void)state;
    sched_wake(&node[0]);
    sched_wake(&node[1]);
    assert_ptr_equal(sched_pick(&q, tsc(now)), &node[0]);
    sched_end_turn(&node[0]);
    assert_ptr_equal(sched_pick(&q, tsc(now)), &node[1]);
    assert_ptr_equal(sched_pick(&q, tsc(now + QUANTUM)), &node[0]);
}

// All want to run all the time, and the processor looks at odd moments: nobody lacks more than a quantum for
// each of them of its share.
static void lag_is_bounded(void **state)
{
    uint64_t begun = now;
    (void)state;
    for (unsigned i = 0; i < NODES; i++)
        sched_wake(&node[i]);
    for (unsigned i = 0; i < STEPS; i++) {
        sched_pick(&q, tsc(now));
        now += min_u64((uint64_t)rand() % QUANTUM, q.current->turn_end.v - now);
        for (unsigned n = 0; n < NODES; n++)
            assert_true((now - begun) / NODES <= sched_run_ticks(&node[n], tsc(now)) + QUANTUM * NODES);
    }
}

// Whoever comes and goes meanwhile: who wants to run waits for one turn of each of the others at most.
static void waiting_is_bounded(void **state)
{
    uint64_t waiting_since = now;
    (void)state;
    sched_wake(&node[0]);
    for (unsigned i = 0; i < STEPS; i++) {
        if (rand() % 3 == 0)
            sched_wake(&node[1 + (unsigned)rand() % (NODES - 1)]);
        else if (q.current && q.current != &node[0] && rand() % 3 == 0)
            sched_park(q.current, tsc(now));
        sched_pick(&q, tsc(now));
        now += min_u64((uint64_t)rand() % QUANTUM, q.current->turn_end.v - now);
        if (q.current == &node[0])
            waiting_since = now;
        assert_true(now - waiting_since <= QUANTUM * (NODES - 1));
    }
}

// ---- Hand-off ----

enum { A, B, PEER };

// A runs, B waits for its turn, PEER waits for a message.
static void start_pair(void)
{
    sched_wake(&node[PEER]);
    assert_ptr_equal(sched_pick(&q, tsc(now)), &node[PEER]);
    sched_park(&node[PEER], tsc(now));
    sched_wake(&node[A]);
    sched_wake(&node[B]);
    assert_ptr_equal(sched_pick(&q, tsc(now)), &node[A]);
}

static void who_got_the_turn_gives_it_back(void **state)
{
    (void)state;
    start_pair();
    assert_true(sched_handoff(&node[A], &node[PEER], false, tsc(now + 10)));
    assert_ptr_equal(sched_pick(&q, tsc(now + 10)), &node[PEER]);
    sched_park(&node[PEER], tsc(now + 20));
    assert_ptr_equal(sched_pick(&q, tsc(now + QUANTUM - 1)), &node[A]); // it was at the head
    assert_ptr_equal(sched_pick(&q, tsc(now + QUANTUM)), &node[B]);
    assert_int_equal(sched_run_ticks(&node[PEER], tsc(now + QUANTUM)), 10);
    assert_int_equal(sched_run_ticks(&node[A], tsc(now + QUANTUM)), QUANTUM - 10);
}

static void a_sender_that_waits_lends_all(void **state)
{
    (void)state;
    start_pair();
    assert_true(sched_handoff(&node[A], &node[PEER], true, tsc(now)));
    sched_park(&node[PEER], tsc(now));
    assert_ptr_equal(sched_pick(&q, tsc(now)), &node[B]);
}

static void only_who_waits_here_gets_a_turn(void **state)
{
    (void)state;
    start_pair();
    assert_false(sched_handoff(&node[A], &node[B], true, tsc(now)));        // runnable
    assert_false(sched_handoff(&node[A], &node[PEER + 1], true, tsc(now))); // never started
    node[PEER].home = &elsewhere;
    assert_false(sched_handoff(&node[A], &node[PEER], true, tsc(now)));
    assert_ptr_equal(sched_pick(&q, tsc(now)), &node[A]);
    assert_int_equal(node[A].state, SCHED_RUNNABLE);
}

// Whatever the two do: B's wait is over after a quantum.
static void a_pair_has_one_quantum(void **state)
{
    uint64_t waiting_since = now, waits = 0;
    (void)state;
    start_pair();
    for (unsigned i = 0; i < STEPS; i++) {
        struct sched_node *n = sched_pick(&q, tsc(now));
        if (n != &node[B] &&
            !sched_handoff(n, n == &node[A] ? &node[PEER] : &node[A], rand() % 4 != 0, tsc(now)))
            sched_park(n, tsc(now));
        now += min_u64((uint64_t)rand() % 50, q.current ? q.current->turn_end.v - now : 0);
        if (n == &node[B]) {
            waits += waiting_since != now;
            waiting_since = now;
        }
        assert_true(now - waiting_since <= (q.first == &node[B] ? 0 : 2) * QUANTUM + 50);
    }
    assert_true(waits > 1000);
}

// ---- The inbox ----

static void a_wake_from_elsewhere_waits_for_the_home(void **state)
{
    extern unsigned host_kicks;
    unsigned kicks = host_kicks;
    (void)state;
    host_pcpu = &elsewhere;
    sched_wake(&node[0]);
    sched_wake(&node[1]);
    sched_wake(&node[0]);
    assert_int_equal(host_kicks - kicks, 2);
    assert_int_equal(home.kick, 1);
    assert_int_equal(node[0].state, SCHED_CREATED);
    host_pcpu = &home;
    sched_end(&node[1], tsc(now)); // while it is in the inbox
    sched_take_inbox(&q);
    assert_int_equal(node[1].state, SCHED_ENDED);
    assert_ptr_equal(sched_pick(&q, tsc(now)), &node[0]);
    assert_true(list_empty(&node[0].link));
}

enum { WAKERS = 3, WAKES = 20000 };
static uint32_t work[NODES], done[NODES]; // handed out by wakers, found by who runs
static uint32_t wakers_left;

static void *waker(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;
    struct pcpu me = {.id = seed};
    host_pcpu = &me;
    for (unsigned i = 0; i < WAKES; i++) {
        unsigned n = (unsigned)rand_r(&seed) % NODES;
        __atomic_fetch_add(&work[n], 1, __ATOMIC_SEQ_CST);
        sched_wake(&node[n]);
    }
    __atomic_fetch_sub(&wakers_left, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

// As a processor does its chores: the kick is taken back before the inbox is looked at.
static void *home_thread(void *arg)
{
    (void)arg;
    host_pcpu = &home;
    for (bool last = false;;) {
        bool over = !__atomic_load_n(&wakers_left, __ATOMIC_SEQ_CST);
        if (__atomic_exchange_n(&home.kick, 0, __ATOMIC_SEQ_CST) || over)
            sched_take_inbox(&q);
        struct sched_node *n = sched_pick(&q, tsc(now++));
        if (!n && last)
            return NULL;
        last = over && !n;
        if (!n)
            continue;
        done[n - node] = __atomic_load_n(&work[n - node], __ATOMIC_SEQ_CST);
        sched_park(n, tsc(now));
    }
}

static void no_wake_is_lost_between_threads(void **state)
{
    pthread_t thread[WAKERS + 1];
    (void)state;
    wakers_left = WAKERS;
    memset(work, 0, sizeof work);
    memset(done, 0, sizeof done);
    pthread_create(&thread[WAKERS], NULL, home_thread, NULL);
    for (uintptr_t i = 0; i < WAKERS; i++)
        pthread_create(&thread[i], NULL, waker, (void *)(i + 1));
    for (unsigned i = 0; i <= WAKERS; i++)
        pthread_join(thread[i], NULL);
    for (unsigned i = 0; i < NODES; i++)
        assert_int_equal(done[i], work[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(does_what_the_model_does, start),
        cmocka_unit_test_setup(nobody_runs_on_an_empty_queue, start),
        cmocka_unit_test_setup(one_alone_gets_turn_after_turn, start),
        cmocka_unit_test_setup(who_yields_goes_behind_the_others, start),
        cmocka_unit_test_setup(lag_is_bounded, start),
        cmocka_unit_test_setup(waiting_is_bounded, start),
        cmocka_unit_test_setup(who_got_the_turn_gives_it_back, start),
        cmocka_unit_test_setup(a_sender_that_waits_lends_all, start),
        cmocka_unit_test_setup(only_who_waits_here_gets_a_turn, start),
        cmocka_unit_test_setup(a_pair_has_one_quantum, start),
        cmocka_unit_test_setup(a_wake_from_elsewhere_waits_for_the_home, start),
        cmocka_unit_test_setup(no_wake_is_lost_between_threads, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
