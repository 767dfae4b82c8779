// What the hypervisor serves by message: requests of all kinds, and the events that come of what machines do.
#include "kernel/services.h"
#include "kernel/balloon.h"
#include "tests/host/vm_box.h"

enum { IN = 9, TAG = 0x77 };

static struct end machine_end;
static struct services services;
static bool wide, has_date;
static unsigned raised;

bool vcpu_has_64bit_code(const struct vcpu *v)
{
    (void)v;
    return wide;
}

bool dev_host_has_date(void)
{
    return has_date;
}

void vcpu_log_writes(struct vcpu *v)
{
    (void)v;
}

static void wake(struct end *e, unsigned cpu)
{
    (void)e, (void)cpu;
}

static void raise_vector(struct end *e, unsigned cpu, uint8_t vector)
{
    (void)e, (void)cpu, (void)vector;
    raised++;
}

// As kernel/peers.c and kernel/ipc.c do it.
static void connect(struct vm *vm)
{
    static const struct ipc_ops ops = {wake, raise_vector, services_serve, services_tell};
    ipc_ops = &ops;
    wide = has_date = true;
    machine_end = (struct end){0};
    memset(&services, 0, sizeof services);
    services.end.look = LOOK_SERVES;
    services.answers.events = &services.events;
    port_connect(&services.requests, &machine_end, FIRST_PEER, &services.end, FIRST_PEER);
    port_connect(&services.answers, &services.end, FIRST_PEER, &machine_end, IN);
    end_attach(&machine_end, vm);
    vm->services = services_start(&machine_end);
    assert_ptr_equal(vm->services, &services);
}

static struct message asked;

// By HC_CALL, of the vCPU that runs: the result.
static int64_t ask(uint64_t word, uint64_t a, uint64_t b, uint64_t c)
{
    asked = (struct message){
        {word, a, b, c}
    };
    services_call(this_pcpu()->current, &services.requests, &asked);
    assert_int_equal(asked.word[0], word);
    return (int64_t)asked.word[1];
}

// Word 1 of the next message, which is of that event; -1: there is none.
static int64_t next_event(enum service_operation op)
{
    if (end_take(&machine_end, ~0ull, &asked) == NOBODY)
        return -1;
    assert_int_equal(asked.word[0], (op | TAG << SERVICE_TAG_SHIFT) | SERVICE_EVENT);
    return (int64_t)asked.word[1];
}

static int64_t watch(enum service_operation op, uint64_t on)
{
    return ask(op | TAG << SERVICE_TAG_SHIFT, on, 0, 0);
}

static struct verdict first, second, third;

static struct vm *one(const char *line)
{
    assert_true(create(&first, 0, line));
    struct vm *vm = adopt();
    connect(vm);
    return vm;
}

static void finish(struct vm *vm)
{
    vm_all_built();
    vm_end(vm, END_EXIT, 0, NULL);
    reap();
    assert_int_equal(all_ended_calls, 1);
    check_all_is_back();
}

// ---- ----

static void whatever_is_asked_is_answered(void **state)
{
    (void)state;
    struct vm *vm = one("m mem=1088K");
    bool known[1 << SERVICE_TAG_SHIFT] = {false};
#define X(service, name, number) known[ASK_##service##_##name] = true;
    SERVICE_OPERATIONS(X)
#undef X
    for (uint64_t word = 0; word < 1 << SERVICE_TAG_SHIFT; word++) {
        int64_t result = ask(word | word << 40, ~0ull, ~0ull, ~0ull);
        assert_int_equal(result == -E_UNKNOWN_CALL, !known[word]);
    }
    assert_int_equal(vm->stops, 0);
    finish(vm);
}

static void nothing_is_done_without_a_place(void **state)
{
    (void)state;
    struct vm *vm = one("m mem=1088K");
    struct message m = {{ASK_CLOCK_ALARM}};
    for (unsigned i = 0; i < PORT_DEPTH; i++)
        assert_int_equal(port_send(&services.requests, &(struct message){{ASK_CLOCK_NOW}}), E_OK);
    assert_int_equal(port_send(&services.requests, &m), E_AGAIN);
    assert_int_equal(heaps[0].count, 0);
    assert_int_equal(end_take(&machine_end, ~0ull, &m), IN);
    assert_int_equal(m.word[0], ASK_CLOCK_NOW);
    assert_int_equal(m.word[1], 0);
    finish(vm);
}

static void alarms_end_with_the_machine(void **state)
{
    (void)state;
    struct vm *vm = one("m mem=1088K");
    assert_int_equal(ask(ASK_CLOCK_ALARM, WAIT_FOREVER + 1ull, 0, 0), -E_INVALID);
    assert_int_equal(ask(ASK_CLOCK_CANCEL, 0, 0, 0), -E_NOT_FOUND);
    assert_int_equal(ask(ASK_CLOCK_ALARM | TAG << SERVICE_TAG_SHIFT, 100, 0, 0), 0);
    tsc_t due = timeouts_next(&heaps[0]);
    timeouts_run(&heaps[0], tsc(due.v - 1));
    assert_int_equal(next_event(ASK_CLOCK_ALARM), -1);
    timeouts_run(&heaps[0], due);
    assert_int_equal(next_event(ASK_CLOCK_ALARM), 0);
    assert_int_equal(next_event(ASK_CLOCK_ALARM), -1);
    assert_int_equal(ask(ASK_CLOCK_CANCEL, 0, 0, 0), -E_NOT_FOUND);
    assert_int_equal(ask(ASK_CLOCK_ALARM, 100, 0, 0), 0); // pending as the machine ends
    finish(vm);
}

static void values_come_in_halves(void **state)
{
    (void)state;
    struct vm *vm = one("m mem=1088K");
    tsc_hz = 0x123456789;
    assert_int_equal(ask(ASK_CLOCK_RATE, 0, 0, 0), 0);
    assert_int_equal(asked.word[2], 0x123456789);
    assert_int_equal(asked.word[3], 1);
    tsc_hz = 1000000000;
    assert_int_equal(ask(ASK_CLOCK_DATE, 0, 0, 0), 0);
    has_date = false;
    assert_int_equal(ask(ASK_CLOCK_DATE, 0, 0, 0), -E_UNSUPPORTED);
    finish(vm);
}

static void text_is_packed_as_words_are_wide(void **state)
{
    (void)state;
    struct vm *vm = one("m mem=1088K");
    assert_int_equal(ask(ASK_CONSOLE_WRITE, 10, 0x6867666564636261, 0x0a69), 10);
    wide = false;
    assert_int_equal(ask(ASK_CONSOLE_WRITE, 6, 0x64636261, 0x0a65), 6);
    assert_int_equal(ask(ASK_CONSOLE_WRITE, 9, 0, 0), -E_TOO_BIG);
    assert_string_equal(told, "m| abcdefghi\nm| abcde\n");
    no_room = true;
    assert_int_equal(ask(ASK_CONSOLE_WRITE, 2, 'x' | '\n' << 8, 0), 1);
    assert_int_equal(ask(ASK_CONSOLE_WRITE, 1, '\n', 0), -E_AGAIN);
    no_room = false;
    finish(vm);
}

static void input_goes_by_message_while_that_is_asked_for(void **state)
{
    (void)state;
    struct vm *vm = one("m mem=1088K input=serial");
    input_put("ab", 2);
    assert_int_equal(ask(ASK_CONSOLE_READ, 0, 0, 0), -E_DENIED);
    assert_int_equal(watch(ASK_CONSOLE_LISTEN, 1), 0);
    assert_int_equal(next_event(ASK_CONSOLE_LISTEN), 0); // of what was there
    input_put("c\xff", 2);
    input_put("d", 1);
    assert_int_equal(next_event(ASK_CONSOLE_LISTEN), 0);
    assert_int_equal(next_event(ASK_CONSOLE_LISTEN), -1);
    vm_home_work(vm); // the serial port gets nothing
    assert_int_equal(ask(ASK_CONSOLE_READ, 0, 0, 0), 5);
    assert_int_equal(asked.word[2], 0x64ff636261);
    assert_int_equal(ask(ASK_CONSOLE_READ, 0, 0, 0), 0);
    input_put("e", 1);
    assert_int_equal(watch(ASK_CONSOLE_LISTEN, 0), 0);
    assert_int_equal(next_event(ASK_CONSOLE_LISTEN), -1);
    vm_home_work(vm);
    assert_int_equal(watch(ASK_CONSOLE_LISTEN, 1), 0);
    assert_int_equal(next_event(ASK_CONSOLE_LISTEN), -1); // the port has it
    assert_int_equal(ask(ASK_CONSOLE_READ, 0, 0, 0), 0);
    finish(vm);
}

// ---- Ends of other machines ----

static void end_is(uint32_t id, enum ending how, uint64_t code)
{
    assert_int_equal(next_event(ASK_CONTROL_WATCH), id);
    assert_int_equal(asked.word[2], how);
    assert_int_equal(asked.word[3], code);
}

static void ends_are_told_to_who_may_know(void **state)
{
    (void)state;
    struct vm *vm = one("steers mem=1088K cpu=0 caps=control");
    third = (struct verdict){.role = MODULE_REFUSED};
    vm_create(&third, (struct blob){0}, 200); // a line that was refused
    assert_true(create(&second, 7, "exits mem=1088K cpu=1 expect=exit:3"));
    assert_true(create(&third, 64, "again mem=1088K cpu=1 expect=destroyed"));
    assert_int_equal(watch(ASK_CONTROL_WATCH, 1), 0);
    end_is(200, END_LOAD, 0); // before anybody asked
    assert_int_equal(next_event(ASK_CONTROL_WATCH), -1);
    on(1);
    struct vm *exits = adopt();
    vm_end(exits, END_EXIT, 3, NULL);
    reap();
    on(0);
    assert_int_equal(ask(ASK_CONTROL_RESET, 64, 0, 0), 0); // no end
    on(1);
    reap();
    while (quarantine_poll())
        ;
    assert_true(control_step());
    on(0);
    end_is(7, END_EXIT, 3);
    assert_int_equal(next_event(ASK_CONTROL_WATCH), -1);
    assert_int_equal(ask(ASK_CONTROL_DESTROY, 64, 0, 0), 0);
    on(1);
    reap();
    on(0);
    end_is(64, END_DESTROYED, 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(watch(ASK_CONTROL_WATCH, 1), 0); // all of them again
        end_is(200, END_LOAD, 0);
        if (i == 0) {
            end_is(7, END_EXIT, 3);
            end_is(64, END_DESTROYED, 0);
            assert_int_equal(next_event(ASK_CONTROL_WATCH), -1);
        }
    }
    assert_int_equal(watch(ASK_CONTROL_WATCH, 0), 0);
    assert_int_equal(next_event(ASK_CONTROL_WATCH), -1);
    assert_int_equal(watch(ASK_CONTROL_WATCH, 2), -E_INVALID);
    vm->cpus[0]->vcpu.rights = 0;
    assert_int_equal(watch(ASK_CONTROL_WATCH, 1), -E_DENIED);
    finish(vm);
}

// ---- Memory ----

// Gives pages below `at` back, until so many are free.
static void give_until(uint64_t *at, uint64_t pages)
{
    while (buddy_available(&frames) < pages) {
        assert_int_equal(ask(ASK_BALLOON_GIVE, --*at, 1, 0), 1);
        while (quarantine_poll())
            ;
    }
    while (balloon_step())
        ;
}

static void memory_becomes_short_and_is_so_no_more(void **state)
{
    (void)state;
    struct vm *vm = one("m mem=1088K balloon=8M");
    uint64_t at = 272, taken;
    while (balloon_step())
        ;
    assert_int_equal(watch(ASK_MEMORY_WATCH, 1), 0);
    while ((taken = (uint64_t)ask(ASK_BALLOON_TAKE, at, 2048 - at, 0)) < 2048)
        at += taken;
    while (balloon_step())
        ;
    assert_int_equal(next_event(ASK_MEMORY_WATCH), 1);
    assert_int_equal(next_event(ASK_MEMORY_WATCH), -1);
    assert_int_equal(watch(ASK_MEMORY_WATCH, 1), 1);
    give_until(&at, frames.total / 12);
    assert_int_equal(next_event(ASK_MEMORY_WATCH), -1); // neither short nor enough
    give_until(&at, frames.total / 7);
    assert_int_equal(next_event(ASK_MEMORY_WATCH), 0);
    assert_int_equal(watch(ASK_BALLOON_WATCH, 1), 0);
    assert_int_equal(ask(ASK_BALLOON_WANT, 272, 0, 0), 0);
    while (balloon_step())
        ;
    assert_int_equal(next_event(ASK_BALLOON_WATCH), 272);
    assert_int_equal(ask(ASK_MEMORY_USAGE, 0, 0, 0), 0);
    assert_int_equal(asked.word[2], buddy_owned(&frames, OWNER_VM));
    assert_int_equal(asked.word[3], space_held(vm->space)); // page tables for what were holes among it
    finish(vm);
}

static void new_targets(struct vm *vm, uint64_t want)
{
    vm->balloon.want = want;
    balloon_changed();
    while (balloon_step())
        ;
}

static void memory_is_shared_as_machines_want_it(void **state)
{
    enum { LEAST = 272, MOST = 2048 };
    struct vm *vm[3];
    uint32_t id = 0;
    (void)state;
    assert_true(create(&first, 0, "a mem=1088K balloon=8M cpu=0"));
    assert_true(create(&second, 1, "b mem=1088K balloon=8M cpu=0"));
    assert_true(create(&third, 2, "c mem=1088K balloon=8M cpu=0"));
    adopt();
    vm_all_built();
    for (unsigned i = 0; i < array_size(vm); i++)
        assert_non_null(vm[i] = control_next(&id));
    new_targets(vm[0], MOST);
    uint64_t share = vm[0]->balloon.target - LEAST;
    assert_true(share > 100); // there is something to share
    for (unsigned i = 0; i < array_size(vm); i++)
        assert_int_equal(vm[i]->balloon.target, LEAST + share);
    new_targets(vm[0], LEAST + share + 40); // more than is there for each
    for (unsigned i = 0; i < array_size(vm); i++)
        assert_int_equal(vm[i]->balloon.target, LEAST + share);
    new_targets(vm[0], LEAST + 10); // what it leaves is the others'
    assert_int_equal(vm[0]->balloon.target, LEAST + 10);
    for (unsigned i = 1; i < array_size(vm); i++)
        assert_in_range(vm[i]->balloon.target, LEAST + (3 * share - 10) / 2,
                        LEAST + (3 * share + 2 - 10) / 2);
    for (unsigned i = 0; i < array_size(vm); i++)
        vm_end(vm[i], END_EXIT, 0, NULL);
    reap();
    check_all_is_back();
}

static void who_can_do_nothing_about_it_is_not_told(void **state)
{
    (void)state;
    struct vm *vm = one("m mem=1088K");
    assert_int_equal(watch(ASK_MEMORY_WATCH, 1), -E_DENIED);
    finish(vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(whatever_is_asked_is_answered, start),
        cmocka_unit_test_setup(nothing_is_done_without_a_place, start),
        cmocka_unit_test_setup(alarms_end_with_the_machine, start),
        cmocka_unit_test_setup(values_come_in_halves, start),
        cmocka_unit_test_setup(text_is_packed_as_words_are_wide, start),
        cmocka_unit_test_setup(input_goes_by_message_while_that_is_asked_for, start),
        cmocka_unit_test_setup(ends_are_told_to_who_may_know, start),
        cmocka_unit_test_setup(memory_becomes_short_and_is_so_no_more, start),
        cmocka_unit_test_setup(memory_is_shared_as_machines_want_it, start),
        cmocka_unit_test_setup(who_can_do_nothing_about_it_is_not_told, start),
    };
    return cmocka_run_group_tests_name("services", tests, NULL, NULL);
}
