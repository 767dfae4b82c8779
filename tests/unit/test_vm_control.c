// One machine controls another, on another processor.
#include "kernel/vm.h"
#include "tests/host/vm_box.h"

static struct verdict steers, steered;
static struct vcpu *controller;

static struct vm *control_two(void)
{
    assert_true(create(&steers, 0, "control mem=1088K cpu=0 caps=control"));
    assert_true(create(&steered, 7, "victim mem=1088K cpu=1 expect=destroyed"));
    vm_all_built();
    controller = &adopt()->cpus[0]->vcpu;
    on(1);
    struct vm *victim = adopt();
    on(0);
    return victim;
}

static int64_t ask(uint64_t op, uint64_t id)
{
    return control_call(controller, op, id, 0, 0);
}

static void finish_control(void)
{
    on(0);
    vm_end(controller->vm, END_EXIT, 0, NULL);
    reap();
    assert_int_equal(all_ended_calls, 1);
    check_all_is_back();
}

static void wrong_requests_are_refused(void **state)
{
    (void)state;
    struct vm *victim = control_two();
    struct vcpu meek = {.rights = RIGHT_PROBE, .vm_id = 3};
    char name[8] = "";
    for (uint64_t op = 0; op < 10; op++)
        assert_int_equal(control_call(&meek, op, 7, 0, 31), -E_DENIED);
    for (uint64_t op = CONTROL_PAUSE; op <= CONTROL_DESTROY; op++) {
        assert_int_equal(ask(op, 0), -E_INVALID); // oneself
        assert_int_equal(ask(op, 6), -E_NOT_FOUND);
        assert_int_equal(ask(op, VM_MAX + 1), -E_NOT_FOUND);
        assert_int_equal(ask(op, ~0ull), -E_NOT_FOUND);
    }
    assert_int_equal(ask(CONTROL_TICKS + 1, 7), -E_INVALID);
    assert_int_equal(ask(~0ull, 7), -E_INVALID);
    assert_int_equal(control_call(controller, CONTROL_NAME, 7, 0x2000, 5), -E_TOO_BIG);
    assert_int_equal(control_call(controller, CONTROL_NAME, 7, 1088 << 10, 31), -E_BAD_ADDRESS);
    assert_int_equal(control_call(controller, CONTROL_NAME, 7, 0x2000, 31), 6);
    assert_int_equal(guest_read(controller->space, gpa(0x2000), name, sizeof name), E_OK);
    assert_string_equal(name, "victim");
    assert_int_equal(victim->stops, 0);
    assert_int_equal(ask(CONTROL_DESTROY, 7), 0);
    on(1);
    reap();
    finish_control();
}

static void a_machine_is_paused_and_destroyed_from_elsewhere(void **state)
{
    (void)state;
    struct vm *victim = control_two();
    assert_int_equal(ask(CONTROL_PAUSE, 7), 0);
    assert_int_equal(ask(CONTROL_PAUSE, 7), 0);
    assert_int_equal(victim->stops, STOP_PAUSED);
    assert_int_equal(ask(CONTROL_RESUME, 7), 0);
    assert_int_equal(victim->stops, 0);
    assert_int_equal(ask(CONTROL_PAUSE, 7), 0);
    assert_int_equal(ask(CONTROL_DESTROY, 7), 0);
    assert_int_equal(ask(CONTROL_DESTROY, 7), -E_NOT_FOUND); // from the request on
    assert_int_equal(ask(CONTROL_RESUME, 7), -E_NOT_FOUND);
    assert_string_equal(told, "");
    on(1);
    reap();
    assert_string_equal(told, "ok victim/end\n");
    assert_null(pcpus[1].current);
    on(0);
    assert_int_equal(ask(CONTROL_TICKS, 7), -E_NOT_FOUND);
    finish_control();
}

static void a_reset_builds_it_anew_when_its_memory_is_back(void **state)
{
    (void)state;
    control_two();
    for (unsigned i = 0; i < 5; i++) {
        on(0);
        assert_int_equal(ask(CONTROL_RESET, 7), 0);
        assert_int_equal(ask(CONTROL_PAUSE, 7), -E_AGAIN);
        assert_int_equal(ask(CONTROL_RESET, 7), -E_AGAIN);
        assert_false(control_step());
        on(1);
        reap();
        while (quarantine_poll())
            ;
        assert_int_equal(buddy_owned(&frames, OWNER_VM + 7), 0);
        assert_int_equal(ask(CONTROL_TICKS, 7), -E_AGAIN);
        assert_true(control_step());
        assert_false(control_step());
        assert_int_equal(adopt()->id, 7);
    }
    assert_string_equal(told, ""); // it did not end
    on(0);
    assert_int_equal(ask(CONTROL_DESTROY, 7), 0);
    on(1);
    reap();
    assert_string_equal(told, "ok victim/end\n");
    finish_control();
}

static void one_that_cannot_be_built_again_is_told(void **state)
{
    (void)state;
    control_two();
    assert_int_equal(ask(CONTROL_RESET, 7), 0);
    on(1);
    reap();
    steered.machine.mem = 1ull << 30;
    assert_true(control_step());
    assert_non_null(strstr(told, "not ok victim/load: "));
    assert_int_equal(ask(CONTROL_TICKS, 7), -E_NOT_FOUND);
    finish_control();
}

static void without_controllers_nothing_stays_paused(void **state)
{
    (void)state;
    struct vm *victim = control_two();
    assert_int_equal(ask(CONTROL_PAUSE, 7), 0);
    vm_end(controller->vm, END_EXIT, 0, NULL);
    reap();
    assert_int_equal(victim->stops, 0);
    on(1);
    vm_end(victim, END_EXIT, 0, NULL);
    reap();
    assert_int_equal(all_ended_calls, 1);
    check_all_is_back();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(wrong_requests_are_refused, start),
        cmocka_unit_test_setup(a_machine_is_paused_and_destroyed_from_elsewhere, start),
        cmocka_unit_test_setup(a_reset_builds_it_anew_when_its_memory_is_back, start),
        cmocka_unit_test_setup(one_that_cannot_be_built_again_is_told, start),
        cmocka_unit_test_setup(without_controllers_nothing_stays_paused, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
