// The run queue against a naive model (an array in the order of turns), shares by weight, and wakes from other
// processors' threads. What anybody lags behind at any moment is tests/unit/test_sched_lag.c's, moves from home to home
// are tests/unit/test_sched_moves.c's.
#include "sched/sched.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/cpu.h"
#include "arch/pcpu.h"

enum { NODES = 6, STEPS = 200000, QUANTUM = 1000 };

static struct pcpu home, elsewhere;
static struct runq q;
static struct sched_node node[NODES];
static uint64_t now;
#include "tests/host/wakers.h"

enum { A, B, PEER };

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
        sched_node_init(&node[i], &home, tsc(QUANTUM), 1, ~0ull);
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
            bool waits = node[n].state == SCHED_PARKED;
            if (waits)
                sched_handoff(&node[model.line[model.lent]], &node[n], parks, tsc(now));
            assert_int_equal(waits, model_handoff(n, parks));
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

// ---- Weights ----

static void weigh(unsigned n, uint64_t quantum, uint32_t weight)
{
    sched_node_init(&node[n], &home, tsc(quantum), weight, ~0ull);
}

// All want to run all the time, each look comes a little late, and one is late more than the others. A round that
// somebody came into goes on as it began: shares are looked at from the next one on.
static void shares_follow_weights_over_a_thousand_slices(void **state)
{
    static const struct {
        uint64_t quantum;
        uint32_t weight;
    } all[NODES] = {
        {10000, 1  },
        {10000, 2  },
        {3000,  3  },
        {10000, 7  },
        {20000, 20 },
        {10000, 100}
    };
    uint64_t begun = 0, before[NODES];
    unsigned weights = 0;
    (void)state;
    for (unsigned i = 0; i < NODES; i++) {
        weigh(i, all[i].quantum, all[i].weight);
        weights += all[i].weight;
        sched_wake(&node[i]);
    }
    for (unsigned turns = 0; !begun || now - begun < 1000 * 10000ull; turns++) {
        if (turns == 3 * NODES) {
            begun = now;
            for (unsigned i = 0; i < NODES; i++)
                before[i] = sched_run_ticks(&node[i], tsc(now));
        }
        struct sched_node *runs = sched_pick(&q, tsc(now));
        now = max_u64(now, runs->turn_end.v) + (uint64_t)rand() % (runs == &node[0] ? 400 : 60);
    }
    for (unsigned i = 0; i < NODES; i++) {
        double share = (double)(sched_run_ticks(&node[i], tsc(now)) - before[i]) / (double)(now - begun);
        double wanted = (double)all[i].weight / weights;
        assert_true(share > wanted * 0.99 && share < wanted * 1.01);
    }
}

// Rounds are not told apart any more once the others are gone.
static void alike_again_is_plain_again(void **state)
{
    (void)state;
    weigh(0, QUANTUM, 1);
    weigh(1, QUANTUM, 2);
    weigh(2, 2 * QUANTUM, 2);
    for (unsigned i = 0; i < 3; i += 2)
        sched_wake(&node[i]);
    sched_pick(&q, tsc(now));
    assert_true(q.plain); // the third has twice the weight and twice the quantum
    sched_wake(&node[1]);
    assert_false(q.plain);
    while (q.current != &node[1])
        sched_pick(&q, tsc(now += 100));
    sched_park(&node[1], tsc(now));
    for (unsigned i = 0; i < 6; i++)
        sched_pick(&q, tsc(now += 2 * QUANTUM));
    assert_true(q.plain);
    assert_int_equal(q.current->turn_end.v, now + q.current->quantum.v);
}

// A pair that hands its turn to and fro, one that never stops, one that sleeps and wakes: each has its share, and who
// wakes runs before each of the others had two turns.
static void a_pair_a_spinner_and_a_sleeper_share_by_weight(void **state)
{
    enum { SPINNER = 2, SLEEPER, NAP = 3000 };
    uint64_t begun = now, wakes_at = 0, woke = 0, both = 0;
    (void)state;
    weigh(A, QUANTUM, 3);
    weigh(B, QUANTUM, 3);
    weigh(SPINNER, QUANTUM, 2);
    weigh(SLEEPER, QUANTUM, 1);
    sched_wake(&node[B]);
    sched_park(sched_pick(&q, tsc(now)), tsc(now));
    sched_wake(&node[A]);
    sched_wake(&node[SPINNER]);
    for (unsigned i = 0; i < STEPS; i++) {
        if (node[SLEEPER].state != SCHED_RUNNABLE && now >= wakes_at) {
            sched_wake(&node[SLEEPER]);
            woke = now;
        }
        struct sched_node *n = sched_pick(&q, tsc(now));
        if (n == &node[SLEEPER]) {
            assert_true(now - woke <= 4 * QUANTUM);
            now += 100;
            sched_park(n, tsc(now));
            wakes_at = now + NAP;
            continue;
        }
        now += min_u64((uint64_t)rand() % 90, n->turn_end.v - now);
        if (n != &node[SPINNER])
            sched_handoff(n, &node[n == &node[A] ? B : A], true, tsc(now));
    }
    both = sched_run_ticks(&node[A], tsc(now)) + sched_run_ticks(&node[B], tsc(now));
    double rest = (double)(now - begun - sched_run_ticks(&node[SLEEPER], tsc(now)));
    assert_true((double)both / rest > 0.6 * 0.99 && (double)both / rest < 0.6 * 1.01);
}

// ---- Waiting ----

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
    sched_handoff(&node[A], &node[PEER], false, tsc(now + 10));
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
    sched_handoff(&node[A], &node[PEER], true, tsc(now));
    sched_park(&node[PEER], tsc(now));
    assert_ptr_equal(sched_pick(&q, tsc(now)), &node[B]);
}

// Whatever the two do: B's wait is over after a quantum.
static void a_pair_has_one_quantum(void **state)
{
    uint64_t waiting_since = now, waits = 0;
    (void)state;
    start_pair();
    for (unsigned i = 0; i < STEPS; i++) {
        struct sched_node *n = sched_pick(&q, tsc(now));
        struct sched_node *other = n == &node[A] ? &node[PEER] : &node[A];
        if (n != &node[B] && other->state == SCHED_PARKED)
            sched_handoff(n, other, rand() % 4 != 0, tsc(now));
        else if (n != &node[B])
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

// Behind all others: from now on all rings are watched.
static void waits_are_counted(void **state)
{
    (void)state;
    sched_watch();
    uint64_t begun = rdtsc().v;
    sched_wake(&node[0]);
    assert_ptr_equal(sched_pick(&q, tsc(rdtsc().v)), &node[0]);
    assert_false(q.plain);
    sched_wake(&node[1]);
    host_pcpu = &elsewhere;
    sched_wake(&node[2]);
    host_pcpu = &home;
    sched_take_inbox(&q);
    for (unsigned i = 1; i <= 4; i++)
        sched_pick(&q, tsc(begun + (i << 30)));
    uint32_t seen = 0, far = 0;
    for (unsigned i = 0; i < SCHED_BUCKETS; i++) {
        seen += q.waits[i];
        far += i >= 29 ? q.waits[i] : 0;
    }
    assert_int_equal(seen, 3);
    assert_int_equal(far, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(does_what_the_model_does, start),
        cmocka_unit_test_setup(nobody_runs_on_an_empty_queue, start),
        cmocka_unit_test_setup(one_alone_gets_turn_after_turn, start),
        cmocka_unit_test_setup(who_yields_goes_behind_the_others, start),
        cmocka_unit_test_setup(shares_follow_weights_over_a_thousand_slices, start),
        cmocka_unit_test_setup(alike_again_is_plain_again, start),
        cmocka_unit_test_setup(a_pair_a_spinner_and_a_sleeper_share_by_weight, start),
        cmocka_unit_test_setup(waiting_is_bounded, start),
        cmocka_unit_test_setup(who_got_the_turn_gives_it_back, start),
        cmocka_unit_test_setup(a_sender_that_waits_lends_all, start),
        cmocka_unit_test_setup(a_pair_has_one_quantum, start),
        cmocka_unit_test_setup(a_wake_from_elsewhere_waits_for_the_home, start),
        cmocka_unit_test_setup(no_wake_is_lost_between_threads, start),
        cmocka_unit_test_setup(waits_are_counted, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
