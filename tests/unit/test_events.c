// What the hypervisor tells a machine through its port: answers and events, against a naive model, by random
// operations.
#include "ipc/events.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { STEPS = 400000, CPUS = 2, VECTOR = 0x40, IN = 5 };

static struct end machine, hypervisor;
static struct port requests, answers;
static struct events events;
static unsigned raised;
static uint32_t woken;
static unsigned serves;

static struct {
    uint64_t answer[PORT_DEPTH], word[PORT_EVENTS];
    unsigned answers;
    bool expected[PORT_EVENTS], noted[PORT_EVENTS], once[PORT_EVENTS];
    unsigned passed[PORT_EVENTS]; // how many others were told since it was noted
    bool here, listens, waits[CPUS];
} model;
static uint64_t steps;
static unsigned told;
static bool plain; // all have something to say, once

static void wake(struct end *e, unsigned cpu)
{
    assert_ptr_equal(e, &machine);
    woken |= 1u << cpu;
}

static void raise_vector(struct end *e, unsigned cpu, uint8_t vector)
{
    assert_ptr_equal(e, &machine);
    assert_int_equal(cpu, 0);
    assert_int_equal(vector, VECTOR);
    raised++;
}

static enum error serve(struct port *p, const struct message *m)
{
    assert_ptr_equal(p, &requests);
    if (!port_begin_answer(&answers))
        return E_AGAIN;
    serves++;
    port_end_answer(&answers, &(struct message){
                                  {m->word[0], 1, 2, 3}
    });
    return E_OK;
}

// Some stay noted, some have nothing to say.
static bool tell(struct port *p, unsigned event, struct message *m, bool *more)
{
    assert_ptr_equal(p, &answers);
    assert_true(model.noted[event]);
    assert_int_equal(model.answers, 0);
    assert_int_equal(m->word[0], model.word[event]);
    assert_in_range(model.passed[event], 0, PORT_EVENTS - 1);
    for (unsigned i = 0; i < PORT_EVENTS; i++)
        model.passed[i]++;
    model.passed[event] = 0;
    *more = !plain && rand() % 4 == 0;
    model.noted[event] = *more;
    model.expected[event] &= *more || !model.once[event];
    m->word[1] = told = event;
    return plain || rand() % 20;
}

static int start(void **state)
{
    static const struct ipc_ops ops = {wake, raise_vector, serve, tell};
    (void)state;
    ipc_ops = &ops;
    machine = hypervisor = (struct end){0};
    requests = answers = (struct port){0};
    events = (struct events){0};
    hypervisor.look = LOOK_SERVES;
    hypervisor.shared = machine.shared = true;
    answers.events = &events;
    port_connect(&requests, &machine, 1, &hypervisor, FIRST_PEER);
    port_connect(&answers, &hypervisor, FIRST_PEER, &machine, IN);
    for (unsigned cpu = 0; cpu < CPUS; cpu++)
        end_seat(&machine, cpu, &machine, NULL);
    end_attach(&machine, &machine);
    memset(&model, 0, sizeof model);
    model.here = true;
    raised = serves = woken = 0;
    srand(1);
    return 0;
}

// ---- Against a model ----

static bool any_noted(void)
{
    for (unsigned i = 0; i < PORT_EVENTS; i++)
        if (model.noted[i])
            return true;
    return false;
}

static bool any_to_come(uint32_t of)
{
    for (unsigned i = 0; i < PORT_EVENTS; i++)
        if (of >> i & 1 && model.expected[i] && !model.noted[i])
            return true;
    return false;
}

// Who waits is woken; nobody else, and nobody twice. Else the interrupt comes.
static void expect_told(bool is_told, unsigned raised_before)
{
    uint32_t expected = 0;
    for (unsigned cpu = 0; is_told && cpu < CPUS; cpu++)
        if (model.waits[cpu]) {
            expected |= 1u << cpu;
            model.waits[cpu] = false;
        }
    assert_int_equal(woken, expected);
    assert_int_equal(raised - raised_before, is_told && model.listens && !expected);
    woken = 0;
}

static void ask(void)
{
    struct message m = {{steps}};
    unsigned served = serves, before = raised;
    bool room = model.answers < PORT_DEPTH;
    assert_int_equal(port_send(&requests, &m), room ? E_OK : E_AGAIN);
    assert_int_equal(serves - served, room);
    if (room)
        model.answer[model.answers++] = steps;
    expect_told(room, before);
}

static void note(unsigned event)
{
    unsigned before = raised;
    events_note(&answers, event);
    bool is_new = model.here && model.expected[event] && !model.noted[event];
    if (is_new) {
        model.noted[event] = true;
        model.passed[event] = 0;
    }
    expect_told(is_new, before);
}

static void expect_or_not(unsigned event)
{
    bool once = rand() % 2, start = rand() % 3;
    if (start)
        events_expect(&answers, event, steps, once);
    else
        assert_int_equal(events_expect_no_more(&answers, event), model.expected[event]);
    model.expected[event] = start;
    model.noted[event] = false;
    model.word[event] = steps;
    model.once[event] = once;
    assert_int_equal(events_expected(&answers, event), start);
}

// Who waits may be woken for what is left.
static void take(void)
{
    struct message m;
    unsigned waiting = model.answers;
    uint64_t expected = model.answer[0];
    told = PORT_EVENTS;
    int in = end_take(&machine, port_bit(IN), &m);
    if (waiting) {
        assert_int_equal(in, IN);
        assert_int_equal(m.word[0], expected);
        memmove(model.answer, model.answer + 1, --model.answers * sizeof model.answer[0]);
    } else if (in == IN) {
        assert_int_equal(m.word[1], told);
    } else {
        assert_false(any_noted());
    }
    for (unsigned cpu = 0; cpu < CPUS; cpu++)
        model.waits[cpu] &= !(woken >> cpu & 1);
    woken = 0;
}

static void wait_one(unsigned cpu)
{
    if (model.waits[cpu])
        return;
    model.waits[cpu] = end_wait(&machine, &machine.waiter[cpu], port_bit(IN));
    assert_false(model.waits[cpu] && (model.answers || any_noted()));
}

static void listen(void)
{
    unsigned before = raised;
    model.listens = !model.listens;
    end_set_event(&machine, IN, 0, model.listens ? VECTOR : 0);
    assert_int_equal(raised - before, model.listens && (model.answers || any_noted()));
}

static void come_or_go(void)
{
    model.here = !model.here;
    if (!model.here) {
        end_detach(&machine);
        memset(model.waits, 0, sizeof model.waits);
        return;
    }
    end_attach(&machine, &machine);
    memset(&model, 0, sizeof model);
    model.here = true;
}

static void like_the_model(void **state)
{
    (void)state;
    for (steps = 1; steps < STEPS; steps++) {
        unsigned event = (unsigned)rand() % PORT_EVENTS, what = (unsigned)rand() % 1000;
        if (what < 350)
            note(event);
        else if (!model.here)
            what > 900 ? come_or_go() : (void)0;
        else if (what < 500)
            ask();
        else if (what < 550)
            expect_or_not(event);
        else if (what < 900)
            take();
        else if (what < 950)
            wait_one((unsigned)rand() % CPUS);
        else if (what < 998)
            what % 8 ? (void)0 : listen();
        else
            come_or_go();
        uint32_t of = what % 2 ? ~0u : (uint32_t)rand();
        if (model.here && model.listens)
            assert_int_equal(end_awaits_interrupt(&machine, of), any_to_come(of));
    }
}

// ---- One at a time ----

static void none_is_lost_while_the_port_is_full(void **state)
{
    (void)state;
    struct message m = {{7}};
    plain = true;
    events_expect(&answers, 3, model.word[3] = 33, true);
    for (unsigned i = 0; i < PORT_DEPTH; i++)
        assert_int_equal(port_send(&requests, &m), E_OK);
    assert_int_equal(port_send(&requests, &m), E_AGAIN);
    assert_int_equal(serves, PORT_DEPTH);
    events_note(&answers, 3);
    model.noted[3] = true;
    for (unsigned i = 0; i < PORT_DEPTH; i++) {
        assert_int_equal(end_take(&machine, ~0ull, &m), IN);
        assert_int_equal(m.word[0], 7);
    }
    assert_int_equal(end_take(&machine, ~0ull, &m), IN);
    assert_int_equal(m.word[0], 33);
    assert_int_equal(end_take(&machine, ~0ull, &m), NOBODY);
    assert_false(events_expected(&answers, 3));
    plain = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(like_the_model, start),
        cmocka_unit_test_setup(none_is_lost_while_the_port_is_full, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
