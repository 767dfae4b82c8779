// Machines whose vCPUs all halt: which of them are stuck, and which wait for something.
#include "kernel/vm.h"
#include <sched.h>
#include "kernel/balloon.h"
#include "kernel/services.h"
#include "tests/host/vm_box.h"

// Whether a machine of this line whose vCPUs all halt is not stuck; `armed`: a timer of its devices runs.
static bool waits(const char *line, bool interrupts_on, bool armed)
{
    struct verdict v;
    start(NULL);
    assert_true(create(&v, 0, line));
    struct vm *vm = adopt();
    if (armed)
        vm_arm(vm, DEVICE_TIMER_RTC, tsc(rdtsc().v + tsc_hz));
    for (uint32_t i = 1; i < vm->cpu_count; i++)
        assert_false(sleep_fall(vm->cpus[i], false));
    bool result = !sleep_fall(vm->cpus[0], interrupts_on);
    vm_end(vm, END_EXIT, 0, NULL);
    if (v.machine.vcpus == 1) {
        reap();
        check_all_is_back();
    }
    return result;
}

static void a_halt_that_nothing_can_end_is_stuck(void **state)
{
    (void)state;
    assert_false(waits("vm mem=1088K", false, false));
    assert_false(waits("vm mem=1088K", true, false));
    assert_false(waits("vm mem=1088K", false, true));
    assert_true(waits("vm mem=1088K", true, true));
    assert_false(waits("vm mem=1088K timeout=1s", false, true));
    assert_false(waits("vm mem=1088K timeout=1s expect=stuck", false, false));
    assert_false(waits("vm mem=1088K timeout=1s", true, false));
    assert_true(waits("vm mem=1088K timeout=1s expect=timeout", false, false));
    assert_true(waits("vm mem=1088K expect=destroyed", false, false));
    assert_true(waits("vm mem=1088K expect=screen:a", false, false));
    assert_true(waits("vm mem=1088K fail=screen:a", false, false));
    assert_false(waits("vm mem=1088K vcpus=3 cpu=0", true, false));
    assert_true(waits("vm mem=1088K vcpus=3 cpu=0", true, true));
}

// Each of these keeps a machine from being stuck, until it is gone.
static void who_sleeps_wakes_by_what_waits(void **state)
{
    (void)state;
    struct verdict v;
    assert_true(create(&v, 0, "vm mem=1088K vcpus=2 cpu=0"));
    struct vm *vm = adopt();
    struct cpu *a = vm->cpus[0], *b = vm->cpus[1];
    assert_false(sleep_fall(b, true)); // the other one runs
    b->lapic.posted = 1;
    assert_false(sleep_fall(a, false));
    b->lapic.posted = 0;
    assert_true(sleep_fall(a, false));
    sleep_rouse(b);
    sleep_rouse(b); // counts once
    assert_false(sleep_fall(a, false));
    timeout_set(&heaps[0], &b->timer, tsc(1));
    assert_false(sleep_fall(b, true)); // its own alarm
    assert_false(sleep_fall(a, false));
    assert_true(sleep_fall(b, false)); // which it does not hear
    timeout_cancel(&heaps[0], &b->timer);

    vm_arm(vm, DEVICE_TIMER_PIT, tsc(rdtsc().v + tsc_hz));
    assert_true(sleep_fall(a, false));
    vm->devices->ioapic.entry[2] = DELIVER_NMI << 8; // heeded with interrupts off
    assert_false(sleep_fall(a, false));
    vm->devices->ioapic.entry[2] = DELIVER_EXTINT << 8; // not heeded
    assert_true(sleep_fall(a, false));
    vm->devices->ioapic.entry[2] = DELIVER_NMI << 8 | 1 << 16;
    assert_true(sleep_fall(a, false));
    vm_arm(vm, DEVICE_TIMER_PIT, tsc(~0ull));
    assert_true(sleep_fall(a, true));
    vm->balloon.vector = 0x40;
    assert_false(sleep_fall(a, true));
    assert_true(sleep_fall(a, false));
    vm_all_built();
    vm_end(vm, END_STUCK, 0, NULL);
    reap();
    check_all_is_back();
}

// It watches others, who live, and then what they left behind.
static void the_last_one_waits_for_nobody(void **state)
{
    struct verdict v[2];
    (void)state;
    assert_true(create(&v[0], 0, "watches mem=1088K cpu=0 expect=stuck"));
    assert_true(create(&v[1], 1, "lives mem=1088K cpu=0"));
    struct vm *watches = adopt();
    sched_end_turn(&watches->cpus[0]->vcpu.sched);
    struct vm *lives = adopt();
    to_come = 1u << EVENT_ENDED | 1u << EVENT_PRESSURE | 1u << EVENT_TARGET;
    assert_false(sleep_fall(watches->cpus[0], true));
    vm_all_built();
    assert_false(sleep_step());
    vm_end(lives, END_EXIT, 0, NULL);
    reap();
    assert_true(sleep_step());
    assert_int_equal(watches->stops, 0);
    while (quarantine_poll() || balloon_step())
        ;
    pcpus[0].kick = 0;
    assert_true(sleep_step());
    assert_int_equal(watches->stops, STOP_ENDED);
    assert_false(sleep_step());
    reap();
    assert_string_equal(told, "ok lives/end\nok watches/end\n");
    check_all_is_back();
}

// Who halts when there is nobody else left; with an alarm, with interrupts off, and woken before the chore.
static void the_last_one_has_its_own_alarms(void **state)
{
    struct verdict v;
    (void)state;
    assert_true(create(&v, 0, "vm mem=1088K cpu=0 expect=stuck"));
    struct vm *vm = adopt();
    vm_all_built();
    balloon_step();
    assert_true(sleep_step());
    to_come = 1u << EVENT_ALARM | 1u << EVENT_ENDED;
    assert_false(sleep_fall(vm->cpus[0], true));
    assert_false(sleep_step());
    to_come = 1u << EVENT_ENDED;
    pcpus[0].kick = 0;
    assert_false(sleep_fall(vm->cpus[0], true));
    assert_int_equal(pcpus[0].kick, 1);
    sleep_rouse(vm->cpus[0]);
    assert_true(sleep_step());
    assert_int_equal(vm->stops, 0);
    balloon_changed();
    assert_false(sleep_fall(vm->cpus[0], false));
    assert_true(sleep_step());
    assert_int_equal(vm->stops, 0);
    balloon_step();
    assert_true(sleep_step());
    reap();
    assert_string_equal(told, "ok vm/end\n");
    assert_int_equal(all_ended_calls, 1);
    check_all_is_back();
}

// One message goes to and fro, so one of the two is always about to wake: neither may find the machine stuck.
enum { ROUNDS = 100000 };
static struct vm *passing;
static unsigned found_stuck;

static void *pass(void *own)
{
    struct cpu *me = own, *other = passing->cpus[me == passing->cpus[0]];
    for (unsigned i = 0; i < ROUNDS; i++) {
        while (!lapic_posted(&me->lapic))
            sched_yield();
        sleep_rouse(me);
        __atomic_exchange_n(&me->lapic.posted, 0, __ATOMIC_SEQ_CST);
        __atomic_store_n(&other->lapic.posted, 1, __ATOMIC_SEQ_CST);
        if (sleep_fall(me, false))
            __atomic_add_fetch(&found_stuck, 1, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

static void a_machine_with_something_on_its_way_is_not_stuck(void **state)
{
    (void)state;
    struct verdict v;
    assert_true(create(&v, 0, "vm mem=1088K vcpus=2 cpu=0"));
    passing = adopt();
    found_stuck = 0;
    passing->cpus[0]->lapic.posted = 1;
    pthread_t other;
    assert_int_equal(pthread_create(&other, NULL, pass, passing->cpus[1]), 0);
    pass(passing->cpus[0]);
    pthread_join(other, NULL);
    assert_int_equal(found_stuck, 0);
    vm_all_built();
    vm_end(passing, END_EXIT, 0, NULL);
    reap();
    check_all_is_back();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_halt_that_nothing_can_end_is_stuck, start),
        cmocka_unit_test_setup(who_sleeps_wakes_by_what_waits, start),
        cmocka_unit_test_setup(the_last_one_waits_for_nobody, start),
        cmocka_unit_test_setup(the_last_one_has_its_own_alarms, start),
        cmocka_unit_test_setup(a_machine_with_something_on_its_way_is_not_stuck, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
