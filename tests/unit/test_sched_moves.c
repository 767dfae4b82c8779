// Moves of vCPUs from a processor that has several to one that asks: who goes, who stays, and wakes that meet a move.
#include "sched/sched.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/pcpu.h"

enum { NODES = 6, QUANTUM = 1000, CPUS = 3, ROUNDS_FOR_A_MOVE = 1000 };

static struct runq runqs[CPUS];
static struct sched_node node[NODES];
static uint64_t now;
#include "tests/host/wakers.h"

static int start_processors(void **state)
{
    (void)state;
    now = 1;
    srand(1);
    pcpu_count = CPUS;
    for (unsigned i = 0; i < CPUS; i++) {
        runq_init(&runqs[i]);
        pcpus[i] = (struct pcpu){.id = i, .runq = &runqs[i]};
    }
    for (unsigned i = 0; i < NODES; i++)
        sched_node_init(&node[i], &pcpus[0], tsc(QUANTUM), 1, i ? ~0ull : 1);
    host_pcpu = &pcpus[0];
    return 0;
}

static int stop_processors(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CPUS; i++)
        sched_ask_no_more(&pcpus[i]);
    return 0;
}

static bool anybody(const struct sched_node *n)
{
    return n != NULL;
}

static bool not_the_second(const struct sched_node *n)
{
    return n != &node[1];
}

static struct pcpu *asks(unsigned cpu, uint64_t at, tsc_t *next)
{
    return sched_ask(&pcpus[cpu], tsc(at), 1000, next);
}

static void who_waits_goes_to_who_asks(void **state)
{
    struct pcpu *to = NULL;
    tsc_t next;
    (void)state;
    sched_wake(&node[0]);
    sched_pick(&runqs[0], tsc(now));
    assert_null(asks(1, 5, &next)); // nobody has two
    assert_int_equal(next.v, ~0ull);
    assert_null(sched_depart(&runqs[0], anybody, &to));
    sched_wake(&node[1]);
    assert_int_equal(pcpus[0].kick, 1); // it may go there
    assert_ptr_equal(sched_depart(&runqs[0], anybody, &to), &node[1]);
    assert_ptr_equal(to, &pcpus[1]);
    sched_wake(&node[1]);
    assert_int_equal(node[1].state, SCHED_MOVING);
    sched_set_home(&node[1], to);
    host_pcpu = to;
    sched_arrive(&node[1]);
    assert_ptr_equal(sched_pick(&runqs[1], tsc(now)), &node[1]);
    assert_int_equal(runqs[0].count, 1);
    sched_ask_no_more(to);
}

static void one_ask_gets_one(void **state)
{
    struct pcpu *to = NULL;
    tsc_t next;
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        sched_wake(&node[i]);
    sched_pick(&runqs[0], tsc(now));
    assert_ptr_equal(asks(2, 1000, &next), &pcpus[0]);
    assert_int_equal(next.v, 2000);
    assert_null(asks(2, 1999, &next)); // it was kicked already
    assert_ptr_equal(asks(2, 2000, &next), &pcpus[0]);
    assert_ptr_equal(sched_depart(&runqs[0], not_the_second, &to), &node[2]);
    assert_null(sched_depart(&runqs[0], anybody, &to));
}

static void whose_place_is_here_stays(void **state)
{
    struct pcpu *to = NULL;
    tsc_t next;
    (void)state;
    sched_wake(&node[1]);
    sched_pick(&runqs[0], tsc(now));
    asks(1, 1000, &next);
    sched_wake(&node[0]);
    assert_int_equal(pcpus[0].kick, 0);
    assert_null(sched_depart(&runqs[0], anybody, &to));
    sched_wake(&node[2]);
    host_pcpu = &pcpus[2];
    sched_park(&node[2], tsc(now)); // as if it had been its turn
    sched_wake(&node[2]);           // in the inbox
    host_pcpu = &pcpus[0];
    sched_wake(&node[2]);
    assert_null(sched_depart(&runqs[0], anybody, &to));
    sched_take_inbox(&runqs[0]);
    assert_ptr_equal(sched_depart(&runqs[0], anybody, &to), &node[2]);
    sched_set_home(&node[2], &pcpus[0]);
    sched_arrive(&node[2]);
    sched_stay(&node[2]);
    asks(1, 9000, &next);
    assert_null(sched_depart(&runqs[0], anybody, &to));
}

// Who has a part in the turn stays, in whatever way the ring is entered.
static void a_lent_turn_is_not_torn_apart(void **state)
{
    struct pcpu *to = NULL;
    tsc_t next;
    (void)state;
    sched_wake(&node[2]);
    sched_park(sched_pick(&runqs[0], tsc(now)), tsc(now));
    sched_wake(&node[1]);
    assert_ptr_equal(sched_pick(&runqs[0], tsc(now)), &node[1]);
    sched_handoff(&node[1], &node[2], false, tsc(now));
    asks(1, 1000, &next);
    assert_null(sched_depart(&runqs[0], anybody, &to));
}

static void move(unsigned n, unsigned cpu)
{
    struct pcpu *to = NULL;
    tsc_t next;
    asks(cpu, now, &next);
    assert_ptr_equal(sched_depart(host_pcpu->runq, anybody, &to), &node[n]);
    sched_set_home(&node[n], to);
    host_pcpu = to;
    sched_arrive(&node[n]);
    host_pcpu = &pcpus[0];
}

// Two who came in other rounds of the ring that they left move to one whose vCPUs are alike; then one of five times
// the weight comes there.
static void a_round_of_another_ring_means_nothing_here(void **state)
{
    (void)state;
    sched_node_init(&node[3], &pcpus[1], tsc(QUANTUM), 1, ~0ull);
    sched_node_init(&node[4], &pcpus[1], tsc(QUANTUM), 5, ~0ull);
    sched_node_init(&node[5], &pcpus[0], tsc(QUANTUM), 5, 1);
    host_pcpu = &pcpus[1];
    sched_wake(&node[3]);
    sched_pick(&runqs[1], tsc(now));
    host_pcpu = &pcpus[0];
    sched_wake(&node[0]);
    sched_pick(&runqs[0], tsc(now));
    sched_wake(&node[5]);
    for (unsigned n = 1; n <= 2; n++) {
        uint64_t round = runqs[0].round;
        sched_wake(&node[n]);
        move(n, 1);
        for (unsigned i = 0; i < 100 && runqs[0].round == round; i++)
            sched_pick(&runqs[0], tsc(now += QUANTUM));
    }
    host_pcpu = &pcpus[1];
    sched_wake(&node[4]);
    uint64_t begun = now;
    for (unsigned i = 0; i < 10000; i++)
        now = max_u64(now, sched_pick(&runqs[1], tsc(now))->turn_end.v);
    assert_in_range(1000 * sched_run_ticks(&node[4], tsc(now)) / (now - begun), 620, 630); // 5 of 8
}

static struct list arriving[CPUS];
static pthread_mutex_t arriving_lock[CPUS];
static pthread_barrier_t all_there, all_over;
static uint32_t on_processor[NODES], moves;
static struct arrival {
    struct list link;
    struct sched_node *node;
} arrivals[NODES];

static void give_and_take(struct pcpu *p)
{
    struct pcpu *to;
    struct sched_node *n = sched_depart(p->runq, anybody, &to);
    if (n) {
        sched_set_home(n, to);
        pthread_mutex_lock(&arriving_lock[to->id]);
        list_push_back(&arriving[to->id], &arrivals[n - node].link);
        pthread_mutex_unlock(&arriving_lock[to->id]);
        __atomic_store_n(&to->kick, 1, __ATOMIC_SEQ_CST);
        __atomic_add_fetch(&moves, 1, __ATOMIC_SEQ_CST);
    }
    pthread_mutex_lock(&arriving_lock[p->id]);
    while (!list_empty(&arriving[p->id])) {
        struct arrival *a = list_entry(arriving[p->id].next, struct arrival, link);
        list_remove(&a->link);
        sched_arrive(a->node);
    }
    pthread_mutex_unlock(&arriving_lock[p->id]);
}

static void run_one(struct pcpu *p, struct sched_node *n, unsigned *seed, uint64_t at)
{
    unsigned i = (unsigned)(n - node);
    assert_int_equal(__atomic_exchange_n(&on_processor[i], 1, __ATOMIC_SEQ_CST), 0);
    assert_true(n->allowed >> p->id & 1);
    assert_ptr_equal(sched_home(n), p);
    done[i] = __atomic_load_n(&work[i], __ATOMIC_SEQ_CST);
    __atomic_store_n(&on_processor[i], 0, __ATOMIC_SEQ_CST);
    if (rand_r(seed) % 2)
        sched_park(n, tsc(at));
    else
        sched_end_turn(n);
}

// One turn of a processor's loop, as kernel/turn.c has it. False: nobody wants to run.
static bool loop_once(struct pcpu *p, unsigned *seed, uint64_t at, bool ask)
{
    tsc_t next;
    bool kicked = __atomic_exchange_n(&p->kick, 0, __ATOMIC_SEQ_CST);
    if (kicked || !ask) {
        sched_take_inbox(p->runq);
        give_and_take(p);
    }
    struct sched_node *n = sched_pick(p->runq, tsc(at));
    if (n) {
        sched_ask_no_more(p);
        run_one(p, n, seed, at);
        return true;
    }
    struct pcpu *busy = ask ? sched_ask(p, tsc(at), 50, &next) : NULL;
    if (busy)
        __atomic_store_n(&busy->kick, 1, __ATOMIC_SEQ_CST);
    return false;
}

static void *processor(void *arg)
{
    struct pcpu *p = arg;
    unsigned seed = p->id + 100;
    uint64_t at = 1;
    host_pcpu = p;
    pthread_barrier_wait(&all_there);
    while (__atomic_load_n(&wakers_left, __ATOMIC_SEQ_CST))
        loop_once(p, &seed, at++, true);
    sched_ask_no_more(p);
    pthread_barrier_wait(&all_over); // nobody gives away any more
    while (loop_once(p, &seed, at++, false))
        ;
    return NULL;
}

static void wake_between_homes(void)
{
    pthread_t thread[WAKERS + CPUS];
    wakers_left = WAKERS;
    memset(work, 0, sizeof work);
    memset(done, 0, sizeof done);
    pthread_barrier_init(&all_there, NULL, CPUS + 1);
    pthread_barrier_init(&all_over, NULL, CPUS);
    for (unsigned i = 0; i < NODES; i++) {
        arrivals[i].node = &node[i];
        list_init(&arrivals[i].link);
    }
    for (unsigned i = 0; i < CPUS; i++) {
        list_init(&arriving[i]);
        pthread_mutex_init(&arriving_lock[i], NULL);
    }
    for (unsigned i = 0; i < CPUS; i++)
        pthread_create(&thread[WAKERS + i], NULL, processor, &pcpus[i]);
    pthread_barrier_wait(&all_there);
    for (uintptr_t i = 0; i < WAKERS; i++)
        pthread_create(&thread[i], NULL, waker, (void *)(i + 1));
    for (unsigned i = 0; i < WAKERS + CPUS; i++)
        pthread_join(thread[i], NULL);
    for (unsigned i = 0; i < NODES; i++)
        assert_int_equal(done[i], work[i]);
}

// Nodes move from processors that have several to those that have none: no wake is lost, nobody runs twice at a time,
// or where it may not. On a busy box the wakers may be through before an idle processor asks: then once more.
static void no_wake_is_lost_between_homes(void **state)
{
    moves = 0;
    for (unsigned round = 0; !moves && round < ROUNDS_FOR_A_MOVE; round++) {
        start_processors(state);
        wake_between_homes();
    }
    assert_true(moves > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_waits_goes_to_who_asks, start_processors, stop_processors),
        cmocka_unit_test_setup_teardown(one_ask_gets_one, start_processors, stop_processors),
        cmocka_unit_test_setup_teardown(whose_place_is_here_stays, start_processors, stop_processors),
        cmocka_unit_test_setup_teardown(a_lent_turn_is_not_torn_apart, start_processors, stop_processors),
        cmocka_unit_test_setup_teardown(a_round_of_another_ring_means_nothing_here, start_processors,
                                        stop_processors),
        cmocka_unit_test_setup_teardown(no_wake_is_lost_between_homes, start_processors, stop_processors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
