// Machines that move from one processor to another: their timeouts go along, and they may end on the way.
#include "kernel/vm.h"
#include <sched.h>
#include "tests/host/vm_box.h"

static void ask_for_work(uint32_t cpu)
{
    tsc_t next;
    on(cpu);
    sched_ask(&pcpus[cpu], tsc(1), 1, &next);
}

// One machine runs here, the other waits for its turn with a timeout and a device's timer: on its way to processor 1.
static struct vm *send_away(struct verdict v[2])
{
    assert_true(create(&v[0], 0, "goes mem=1088K timeout=1s expect=timeout"));
    assert_true(create(&v[1], 1, "stays mem=1088K cpu=0"));
    vm_all_built();
    struct vm *goes = adopt();
    vm_arm(goes, DEVICE_TIMER_RTC, tsc(rdtsc().v + 1000 * tsc_hz));
    timeout_set(&heaps[0], &goes->cpus[0]->timer, tsc(rdtsc().v + 1000 * tsc_hz)); // the local APIC's
    sched_end_turn(&goes->cpus[0]->vcpu.sched);
    assert_string_equal(adopt()->machine->name, "stays");
    assert_int_equal(heaps[0].count, 3);
    ask_for_work(1);
    on(0);
    unloaded = 0;
    assert_true(home_step());
    assert_int_equal(unloaded, 1);
    assert_int_equal(heaps[0].count, 0);
    assert_int_equal(pcpus[1].kick, 1);
    assert_ptr_equal(sched_home(&goes->cpus[0]->vcpu.sched), &pcpus[1]);
    assert_ptr_equal(home_choose(0), &pcpus[0]); // one lives on each
    home_vacate(&pcpus[0]);
    return goes;
}

static void end_here(struct vm *vm)
{
    vm_end(vm, END_EXIT, 0, NULL);
    reap();
}

static void timeouts_move_with_their_machine(void **state)
{
    struct verdict v[2];
    (void)state;
    struct vm *goes = send_away(v);
    on(1);
    settled = NULL;
    assert_ptr_equal(adopt(), goes);
    assert_ptr_equal(settled, goes->cpus[0]); // senders look there for who they can give a message by hand
    assert_int_equal(heaps[1].count, 3);
    timeouts_run(&heaps[1], tsc(rdtsc().v + tsc_hz));
    reap();
    assert_string_equal(told, "ok goes/end\n");
    on(0);
    end_here(adopt());
    assert_int_equal(all_ended_calls, 1);
    check_all_is_back();
}

// As many as all other machines of a box can have, each with all that it can have.
static void timeouts_move_to_where_everybody_elses_are(void **state)
{
    enum { OTHERS = (VM_MAX - 1) * (DEVICE_TIMERS + 4 + MACHINE_VCPUS_MAX * 3) };
    static struct timeout other[OTHERS];
    struct verdict v[2];
    (void)state;
    struct vm *goes = send_away(v);
    on(1);
    for (unsigned i = 0; i < OTHERS; i++) {
        timeout_init(&other[i], NULL);
        timeout_set(&heaps[1], &other[i], tsc(~0ull));
        assert_int_equal(heaps[1].count, i + 1);
    }
    assert_ptr_equal(adopt(), goes);
    assert_int_equal(heaps[1].count, OTHERS + 3);
    for (unsigned i = 0; i < OTHERS; i++)
        timeout_cancel(&heaps[1], &other[i]);
    end_here(goes);
    on(0);
    end_here(adopt());
    check_all_is_back();
}

// Set anew and called off while it is between two heaps, by somebody at its new home.
static void a_timer_that_changes_on_the_way_is_not_set_twice(void **state)
{
    struct verdict v[2];
    (void)state;
    struct vm *goes = send_away(v);
    on(1);
    vm_arm(goes, DEVICE_TIMER_RTC, tsc(rdtsc().v + 2000 * tsc_hz));
    assert_int_equal(heaps[1].count, 1);
    vm_arm(goes, DEVICE_TIMER_RTC, tsc(~0ull));
    assert_ptr_equal(adopt(), goes);
    assert_int_equal(heaps[1].count, 2); // timeout= and the local APIC's
    end_here(goes);
    on(0);
    end_here(adopt());
    check_all_is_back();
}

static void one_that_ends_on_its_way_comes_back_whole(void **state)
{
    struct verdict v[2];
    (void)state;
    struct vm *goes = send_away(v);
    end_here(adopt());
    vm_end(goes, END_TIMEOUT, 0, NULL);
    assert_false(home_step());
    on(1);
    reap();
    assert_int_equal(all_ended_calls, 1);
    check_all_is_back();
}

// Both processors take turns with machines and ask each other for work, more often than they have to; who runs wakes
// others of its machine, parks, or ends it, wherever the others are by then.
enum { MACHINES = 4, VCPUS = 4 };
static uint32_t over;

static void have_a_turn(struct sched_node *n, unsigned *seed)
{
    struct vcpu *v = container_of(n, struct vcpu, sched);
    this_pcpu()->current = v;
    sched_wake(&v->vm->cpus[(unsigned)rand_r(seed) % VCPUS]->vcpu.sched);
    if (rand_r(seed) % 400 == 0)
        vm_end(v->vm, END_EXIT, 0, NULL);
    else if (v->index && rand_r(seed) % 4 == 0)
        sched_park(n, rdtsc());
    else
        sched_end_turn(n);
}

static void *live(void *arg)
{
    struct pcpu *p = arg;
    unsigned seed = p->id + 7;
    host_pcpu = p;
    for (unsigned i = 1; !__atomic_load_n(&over, __ATOMIC_SEQ_CST); i++) {
        tsc_t next;
        if (__atomic_exchange_n(&p->kick, 0, __ATOMIC_SEQ_CST)) {
            sched_take_inbox(p->runq);
            while (home_step())
                ;
        }
        struct sched_node *n = sched_pick(p->runq, rdtsc());
        if (!n || rand_r(&seed) % 4 == 0) {
            struct pcpu *busy = sched_ask(p, tsc(i), 10, &next);
            if (busy)
                __atomic_store_n(&busy->kick, 1, __ATOMIC_SEQ_CST);
        }
        if (n)
            have_a_turn(n, &seed);
        if (i % 16 == 0)
            sched_yield();
    }
    return NULL;
}

static void they_are_over(void)
{
    __atomic_store_n(&over, 1, __ATOMIC_SEQ_CST);
}

static void machines_end_while_they_move(void **state)
{
    static struct verdict v[MACHINES];
    (void)state;
    unloaded = 0;
    for (unsigned round = 0; round < 150; round++) {
        pthread_t thread[CPUS];
        start(state);
        vm_init(they_are_over);
        over = 0;
        for (unsigned i = 0; i < MACHINES; i++)
            assert_true(create(&v[i], i, "vm mem=1088K timeout=1000s vcpus=4"));
        vm_all_built();
        for (unsigned i = 0; i < CPUS; i++)
            pthread_create(&thread[i], NULL, live, &pcpus[i]);
        for (unsigned i = 0; i < CPUS; i++)
            pthread_join(thread[i], NULL);
        on(0);
        check_all_is_back();
    }
    assert_true(unloaded > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(timeouts_move_with_their_machine, start),
        cmocka_unit_test_setup(timeouts_move_to_where_everybody_elses_are, start),
        cmocka_unit_test_setup(a_timer_that_changes_on_the_way_is_not_set_twice, start),
        cmocka_unit_test_setup(one_that_ends_on_its_way_comes_back_whole, start),
        cmocka_unit_test_setup(machines_end_while_they_move, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
