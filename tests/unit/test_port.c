// Ports and ends: against a naive model, by random operations; coming and going. Threads that send and receive with
// parking and waking are tests/threads/ipc.c's.
#include "ipc/port.h"
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { ENDS = 4, STEPS = 300000, CPUS = 3 };

static struct end ends[ENDS];
static struct port ports[ENDS][ENDS]; // [from][to], out = to, in = from
static unsigned raised[ENDS][256];
static uint32_t woken[ENDS]; // vCPUs
static bool halts_meanwhile; // who is interrupted is about to halt on another processor

static void wake(struct end *e, unsigned cpu)
{
    woken[e - ends] |= 1u << cpu;
}

static pthread_t halting;
static bool asked, stuck;
static unsigned raised_by_then;

// As kernel/sleep.c does: first whether an interrupt is to come, then whether one has.
static void *halt(void *end)
{
    __atomic_store_n(&asked, true, __ATOMIC_SEQ_CST);
    bool awaits = end_awaits_interrupt(end, 0);
    raised_by_then = __atomic_load_n(&raised[0][0x40], __ATOMIC_SEQ_CST);
    stuck = !awaits && !raised_by_then;
    return NULL;
}

// Gives it the time to ask.
static void halt_elsewhere(struct end *e)
{
    pthread_create(&halting, NULL, halt, e);
    while (!__atomic_load_n(&asked, __ATOMIC_SEQ_CST))
        sched_yield();
    usleep(20000);
}

static void raise_vector(struct end *e, unsigned cpu, uint8_t vector)
{
    (void)cpu;
    if (halts_meanwhile)
        halt_elsewhere(e);
    __atomic_fetch_add(&raised[e - ends][vector], 1, __ATOMIC_SEQ_CST);
}

static const struct ipc_ops ops = {.wake = wake, .raise = raise_vector};

// vCPU 2 belongs elsewhere.
static char places[2];
static char names[CPUS];

static void seat_all(struct end *e)
{
    for (unsigned cpu = 0; cpu < CPUS; cpu++)
        end_seat(e, cpu, &names[cpu], (const struct pcpu *)&places[cpu == 2]);
}

static int start(void **state)
{
    (void)state;
    ipc_ops = &ops;
    memset(ends, 0, sizeof ends);
    memset(ports, 0, sizeof ports);
    for (unsigned i = 0; i < ENDS; i++)
        ends[i].shared = i & 1;
    memset(woken, 0, sizeof woken);
    memset(raised, 0, sizeof raised);
    for (unsigned from = 0; from < ENDS; from++)
        for (unsigned to = 0; to < ENDS; to++)
            port_connect(&ports[from][to], &ends[from], to, &ends[to], from);
    for (unsigned i = 0; i < ENDS; i++) {
        seat_all(&ends[i]);
        end_attach(&ends[i], &ends[i]);
    }
    srand(1);
    return 0;
}

static struct message message(uint64_t n)
{
    return (struct message){
        {n, ~n, n * 3, 7}
    };
}

// ---- Against a model ----

static struct model {
    uint64_t line[PORT_DEPTH];
    unsigned count;
} model[ENDS][ENDS];
static bool gone[ENDS];
static uint64_t waits[ENDS][CPUS]; // what each vCPU of each end waits for; 0: it does not
static uint8_t event[ENDS][ENDS];  // vector at [end][in]
static uint64_t sent;

static bool any_open(uint64_t mask)
{
    for (unsigned from = 0; from < ENDS; from++)
        if (mask >> from & 1 && !gone[from])
            return true;
    return false;
}

static bool any_message(unsigned e, uint64_t mask)
{
    for (unsigned from = 0; from < ENDS; from++)
        if (mask >> from & 1 && model[from][e].count)
            return true;
    return false;
}

// All vCPUs of `e` that wait for `ports` are woken, and nobody else; with none, the event comes.
static void expect_told(unsigned e, unsigned in, unsigned raised_before)
{
    uint32_t expected = 0;
    for (unsigned cpu = 0; cpu < CPUS; cpu++)
        if (waits[e][cpu] >> in & 1) {
            expected |= 1u << cpu;
            waits[e][cpu] = 0;
        }
    assert_int_equal(woken[e], expected);
    woken[e] = 0;
    if (event[e][in])
        assert_int_equal(raised[e][event[e][in]] - raised_before, expected ? 0 : 1);
}

static void send_one(unsigned from, unsigned to)
{
    struct message m = message(++sent);
    struct model *line = &model[from][to];
    unsigned before = raised[to][event[to][from]];
    enum error e = port_send(&ports[from][to], &m);
    if (gone[to]) {
        assert_int_equal(e, E_GONE);
    } else if (line->count == PORT_DEPTH) {
        assert_int_equal(e, E_AGAIN);
    } else {
        assert_int_equal(e, E_OK);
        line->line[line->count++] = sent;
        expect_told(to, from, before);
    }
}

static void take_one(unsigned e, uint64_t mask)
{
    struct message m;
    int in = end_take(&ends[e], mask, &m);
    if (in == NOBODY) {
        assert_false(any_message(e, mask));
        return;
    }
    struct model *line = &model[in][e];
    assert_true(mask >> in & 1);
    assert_true(line->count > 0);
    struct message expected = message(line->line[0]);
    assert_memory_equal(&m, &expected, sizeof m);
    memmove(line->line, line->line + 1, --line->count * sizeof line->line[0]);
}

static const struct pcpu *here(void)
{
    return (const struct pcpu *)&places[0];
}

// As who has a message does.
static void *claim(struct port *p)
{
    uint32_t look = end_look(p->to);
    void *who = look & LOOK_WAITERS ? port_waiter(p, look, here()) : NULL;
    return who && end_take_waiter(p->to, (unsigned)((char *)who - names)) ? who : NULL;
}

static void wait_one(unsigned e, unsigned cpu, uint64_t mask)
{
    if (waits[e][cpu])
        return;
    bool parks = end_wait(&ends[e], &ends[e].waiter[cpu], mask);
    if (parks) {
        assert_true(any_open(mask));
        assert_false(any_message(e, mask));
        waits[e][cpu] = mask;
    } else {
        // A port whose last message was taken may still look ready, once: who looks at it takes that off.
        struct message m;
        assert_true(any_message(e, mask) || !any_open(mask) || end_take(&ends[e], mask, &m) == NOBODY);
    }
    assert_int_equal(!!end_open(&ends[e], mask), any_open(mask));
}

static void claim_one(unsigned from, unsigned to)
{
    unsigned first = 0;
    while (first < CPUS && !waits[to][first])
        first++;
    bool can = first < 2 && waits[to][first] >> from & 1 && !model[from][to].count;
    assert_ptr_equal(claim(&ports[from][to]), can ? &names[first] : NULL);
    if (can)
        waits[to][first] = 0;
}

static void come_or_go(unsigned e)
{
    unsigned before[ENDS];
    for (unsigned to = 0; to < ENDS; to++)
        before[to] = raised[to][event[to][e]];
    gone[e] = !gone[e];
    if (!gone[e]) {
        end_attach(&ends[e], &ends[e]);
        for (unsigned from = 0; from < ENDS; from++)
            model[from][e].count = 0;
        memset(event[e], 0, sizeof event[e]);
        return;
    }
    memset(waits[e], 0, sizeof waits[e]);
    end_detach(&ends[e]);
    for (unsigned to = 0; to < ENDS; to++)
        if (!gone[to])
            expect_told(to, e, before[to]);
}

static void set_event(unsigned e, unsigned in)
{
    uint8_t vector = rand() % 3 ? (uint8_t)(0x40 + rand() % 4 + in * 4) : 0; // of each port its own
    event[e][in] = vector;
    unsigned before = raised[e][vector];
    end_set_event(&ends[e], in, 0, vector);
    if (model[in][e].count && vector)
        expect_told(e, in, before);
}

static void like_the_model(void **state)
{
    (void)state;
    memset(model, 0, sizeof model);
    memset(gone, 0, sizeof gone);
    memset(waits, 0, sizeof waits);
    memset(event, 0, sizeof event);
    for (unsigned i = 0; i < STEPS; i++) {
        unsigned a = (unsigned)rand() % ENDS, b = (unsigned)rand() % ENDS, cpu = (unsigned)rand() % CPUS;
        uint64_t mask = (uint64_t)rand() % ((1 << ENDS) - 1) + 1;
        unsigned what = (unsigned)rand() % 100;
        if (what < 45)
            send_one(a, b);
        else if (gone[a])
            what < 98 ? (void)0 : come_or_go(a);
        else if (what < 75)
            take_one(a, mask);
        else if (what < 85)
            wait_one(a, cpu, mask);
        else if (what < 90)
            claim_one(b, a);
        else if (what < 94)
            set_event(a, b);
        else if (what < 98)
            end_stop_waiting(&ends[a], cpu), waits[a][cpu] = 0;
        else if (rand() % 10 == 0)
            come_or_go(a);
    }
}

// ---- One at a time ----

static void ports_take_turns(void **state)
{
    (void)state;
    struct message m = message(1);
    for (unsigned round = 0; round < 3; round++)
        for (unsigned from = 0; from < ENDS; from++)
            assert_int_equal(port_send(&ports[from][0], &m), E_OK);
    for (int i = 0; i < 3 * ENDS; i++)
        assert_int_equal(end_take(&ends[0], ~0ull, &m), i % ENDS);
    assert_int_equal(end_take(&ends[0], ~0ull, &m), NOBODY);
}

static void waits_for_who_is_to_come(void **state)
{
    (void)state;
    static struct end early, late;
    static struct port p, back;
    struct message m = message(5);
    port_connect(&p, &early, 0, &late, 3);
    port_connect(&back, &late, 0, &early, 0);
    end_attach(&early, &early);
    assert_int_equal(port_send(&p, &m), E_OK); // to a machine that is not built yet
    assert_true(end_wait(&early, end_seat(&early, 0, names, here()), ~0ull));
    end_stop_waiting(&early, 0);
    end_attach(&late, &late);
    assert_int_equal(end_take(&late, port_bit(3), &m), 3);
    assert_int_equal(m.word[0], 5);
}

static void what_a_dead_one_sent_arrives(void **state)
{
    (void)state;
    struct message m = message(9);
    assert_int_equal(port_send(&ports[1][0], &m), E_OK);
    end_detach(&ends[1]);
    assert_false(end_wait(&ends[0], ends[0].waiter, port_bit(1)));
    assert_int_equal(end_take(&ends[0], port_bit(1), &m), 1);
    assert_false(end_open(&ends[0], port_bit(1)));
    assert_true(end_open(&ends[0], ~0ull));
    assert_int_equal(port_send(&ports[0][1], &m), E_GONE);
}

// The last writer ends after the reader has found it there, and before that takes its bit off `ready`.
static void an_end_is_heard_of_while_the_port_is_looked_at(void **state)
{
    (void)state;
    struct message m = message(9);
    assert_int_equal(port_send(&ports[1][0], &m), E_OK);
    assert_int_equal(end_take(&ends[0], port_bit(1), &m), 1);
    assert_true(end_open(&ends[0], port_bit(1)));
    end_detach(&ends[1]);
    assert_int_equal(end_take(&ends[0], port_bit(1), &m), NOBODY);
    assert_false(end_wait(&ends[0], ends[0].waiter, port_bit(1)));
    assert_true(end_wait(&ends[0], ends[0].waiter, port_bit(1) | port_bit(2)));
}

// A machine that halts just before the interrupt of its last peer's end must not be called stuck.
static void the_last_end_is_awaited(void **state)
{
    (void)state;
    end_set_event(&ends[0], 0, 0, 0x41);
    assert_false(end_awaits_interrupt(&ends[0], 0)); // it will send itself nothing
    end_set_event(&ends[0], 1, 0, 0x40);
    assert_true(end_awaits_interrupt(&ends[0], 0));
    halts_meanwhile = true;
    end_detach(&ends[1]);
    halts_meanwhile = false;
    pthread_join(halting, NULL);
    assert_false(stuck);
    assert_int_equal(raised[0][0x40], 1);
    assert_false(end_awaits_interrupt(&ends[0], 0));
    end_attach(&ends[1], &ends[1]);
    assert_true(end_awaits_interrupt(&ends[0], 0));
    end_set_event(&ends[0], 1, 0, 0);
    assert_false(end_awaits_interrupt(&ends[0], 0));
}

static void nothing_is_claimed_past_the_ring(void **state)
{
    (void)state;
    struct message m = message(1);
    assert_true(end_wait(&ends[0], ends[0].waiter, ~0ull));
    assert_int_equal(port_send(&ports[1][0], &m), E_OK);
    assert_int_equal(woken[0], 1);
    end_stop_waiting(&ends[0], 0);
    ends[0].ready = 0; // as if it had gone waiting just before
    assert_true(end_wait(&ends[0], ends[0].waiter, ~0ull));
    assert_null(claim(&ports[1][0]));
    assert_ptr_equal(claim(&ports[2][0]), &names[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(like_the_model, start),
        cmocka_unit_test_setup(ports_take_turns, start),
        cmocka_unit_test_setup(waits_for_who_is_to_come, start),
        cmocka_unit_test_setup(what_a_dead_one_sent_arrives, start),
        cmocka_unit_test_setup(an_end_is_heard_of_while_the_port_is_looked_at, start),
        cmocka_unit_test_setup(the_last_end_is_awaited, start),
        cmocka_unit_test_setup(nothing_is_claimed_past_the_ring, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
