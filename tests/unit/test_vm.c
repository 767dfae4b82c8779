// The life of machines on the host: built with any amount of memory, started, ended from wherever, told, destroyed.
#include "kernel/vm.h"
#include "tests/host/vm_box.h"

enum { LIVES = 10000 };

static void whatever_allocation_fails_all_is_given_back(void **state)
{
    static const char line[] = "vm mem=1088K expect=screen:a|b timeout=1s";
    unsigned pages = 0;
    for (bool built = false; !built; pages++) {
        struct verdict v;
        start(state);
        uint64_t free = frames.free;
        for (; free > pages; free--) // only so many are left
            assert_false(pfn_is_none(buddy_alloc(&frames, 0, OWNER_TEST)));
        at_rest = mm_at_rest();
        built = create(&v, 0, line);
        if (built) {
            vm_end(adopt(), END_SCREEN, 0, NULL);
            reap();
        } else {
            assert_non_null(strstr(told, "not ok vm/load: "));
            assert_true(strstr(told, "does not fit") || strstr(told, "no memory left"));
        }
        check_all_is_back();
        assert_true(pages < 2 * RAM_PAGES);
    }
    assert_in_range(pages, RAM_PAGES, RAM_PAGES + 40); // a batch of zeroed frames is beside it
}

// Each in turn, though there is memory: large blocks and the screen's watch, too.
static void any_one_allocation_may_fail(void **state)
{
    static const char line[] =
        "vm mem=4M backing=eager balloon=8M window=1M vcpus=3 expect=screen:a|b timeout=1s";
    uint64_t n = 1;
    ept_features.pages_2m = true;
    for (bool failed = true; failed; n++) {
        struct verdict v;
        start(state);
        buddy_fail(&frames, n, OWNER_NONE);
        bool built = create(&v, 0, line);
        failed = frames.failing.count >= n;
        if (built) {
            vm_end(adopt(), END_SCREEN, 0, NULL);
            reap();
            on(1);
            reap();
            on(0);
            reap();
        } else {
            assert_true(failed && strstr(told, "not ok vm/load: "));
            assert_true(strstr(told, "does not fit") || strstr(told, "no memory left"));
        }
        check_all_is_back();
        assert_true(n < 100);
    }
    ept_features.pages_2m = false;
    assert_true(n > 15);
}

// Backed page by page and at once, by turns.
static void ten_thousand_lives_leave_the_free_lists_as_they_were(void **state)
{
    static const char *const lines[] = {"vm mem=1088K cpu=0", "vm mem=4M backing=eager balloon=5M cpu=0"};
    uint32_t before[BUDDY_ORDERS], after[BUDDY_ORDERS];
    struct verdict v;
    (void)state;
    ept_features.pages_2m = true;
    frame_cache_flush(host_frame_cache);
    buddy_count_blocks(&frames, OWNER_NONE, before);
    for (unsigned life = 0; life < LIVES; life++) {
        uint64_t done;
        told[0] = '\0';
        assert_true(create(&v, 0, lines[life % 2]));
        struct vm *vm = adopt();
        assert_int_equal(space_fault(vm->space, gfn_to_gpa(gfn(rand() % 200)), ACCESS_WRITE), E_OK);
        if (life % 2)
            assert_int_equal(space_take(vm->space, gfn(1024), 9, ~0ull, &done), E_OK);
        vm_end(vm, END_EXIT, 0, NULL);
        reap();
    }
    check_all_is_back();
    buddy_count_blocks(&frames, OWNER_NONE, after);
    assert_memory_equal(before, after, sizeof before);
    ept_features.pages_2m = false;
}

static void a_machine_lives_and_ends(void **state)
{
    struct verdict v;
    (void)state;
    assert_true(create(&v, 0, "vm mem=1088K cpu=0"));
    vm_all_built();
    struct vm *vm = adopt();
    assert_int_equal(vm_console_write(vm, "half a line", 11), 11);
    assert_int_equal(heaps[0].count, 1);
    vm_end(vm, END_EXIT, 0, NULL);
    vm_end(vm, END_TRIPLE_FAULT, 0, NULL); // once is enough
    assert_int_equal(heaps[0].count, 0);
    vm_console_write(vm, "rest\nmore", 9); // from the same exit handler
    assert_int_equal(heaps[0].count, 0);
    assert_null(sched_pick(&runqs[0], rdtsc()));
    assert_int_equal(all_ended_calls, 0);
    reap();
    assert_string_equal(told, "vm| half a linerest\nvm| more\nok vm/end\n");
    assert_int_equal(all_ended_calls, 1);
    check_all_is_back();
}

static void its_report_waits_for_room(void **state)
{
    struct verdict v;
    (void)state;
    assert_true(create(&v, 0, "vm mem=1088K screen=dump"));
    vm_all_built();
    vm_end(adopt(), END_TRIPLE_FAULT, 0, "a sentence");
    no_room = true;
    for (unsigned i = 0; i < 10; i++)
        assert_true(home_step());
    assert_string_equal(told, "");
    no_room = false;
    reap();
    assert_string_equal(told, "not ok vm/end: expected exit:0\ngot triple-fault: a sentence\n");
    assert_int_equal(described, 1);
    assert_int_equal(all_ended_calls, 1);
    check_all_is_back();
}

static void a_timeout_ends_one_that_waits_while_another_runs(void **state)
{
    struct verdict v[2];
    (void)state;
    assert_true(create(&v[0], 0, "runs mem=1088K cpu=0"));
    assert_true(create(&v[1], 1, "waits mem=1088K cpu=0 timeout=1ms expect=timeout"));
    vm_all_built();
    struct vm *runs = adopt();
    assert_string_equal(runs->machine->name, "runs");
    timeouts_run(&heaps[0], tsc(rdtsc().v + tsc_hz));
    reap();
    assert_string_equal(told, "ok waits/end\n");
    assert_ptr_equal(sched_pick(&runqs[0], rdtsc()), &runs->cpus[0]->vcpu.sched);
    assert_ptr_equal(pcpus[0].current, &runs->cpus[0]->vcpu);
    vm_end(runs, END_EXIT, 0, NULL);
    reap();
    assert_null(pcpus[0].current);
    assert_int_equal(all_ended_calls, 1);
    check_all_is_back();
}

static void machines_spread_over_what_cpu_allows(void **state)
{
    struct verdict v[4];
    (void)state;
    assert_false(create(&v[0], 0, "nowhere mem=1088K cpu=2-63"));
    assert_non_null(strstr(told, "not ok nowhere/load: cpu= allows none"));
    assert_true(create(&v[1], 1, "a mem=1088K"));
    assert_true(create(&v[2], 2, "b mem=1088K"));
    assert_true(create(&v[3], 3, "c mem=1088K cpu=1"));
    vm_all_built();
    on(1);
    assert_int_equal(pcpus[1].kick, 1);
    struct vm *b = adopt();
    assert_string_equal(b->machine->name, "b");
    vm_end(b, END_EXIT, 0, NULL);
    vm_end(adopt(), END_EXIT, 0, NULL);
    reap();
    on(0);
    vm_end(adopt(), END_EXIT, 0, NULL);
    reap();
    assert_int_equal(all_ended_calls, 1);
    check_all_is_back();
}

// What could not be built, and what has ended, is no load.
static void each_goes_where_the_fewest_live(void **state)
{
    struct verdict v[4];
    (void)state;
    assert_false(create(&v[0], 0, "broken mem=1088K vcpus=3 break=NONE,1"));
    assert_true(create(&v[1], 1, "a mem=1088K"));
    assert_true(create(&v[2], 2, "b mem=1088K"));
    struct vm *a = adopt();
    assert_string_equal(a->machine->name, "a");
    vm_end(a, END_EXIT, 0, NULL);
    reap();
    assert_true(create(&v[3], 3, "c mem=1088K"));
    vm_all_built();
    assert_string_equal(adopt()->machine->name, "c");
    vm_end(adopt(), END_EXIT, 0, NULL);
    reap();
    on(1);
    assert_string_equal(adopt()->machine->name, "b");
    vm_end(adopt(), END_EXIT, 0, NULL);
    reap();
    assert_int_equal(all_ended_calls, 1);
    check_all_is_back();
}

// Writes `text` to the top of the screen of a machine and lets time pass.
static const char *watch(const char *line, const char *text)
{
    struct verdict v;
    uint8_t cells[2 * SCREEN_COLUMNS] = {0};
    start(NULL);
    assert_true(create(&v, 0, line));
    struct vm *vm = adopt();
    for (unsigned i = 0; text[i]; i++)
        cells[2 * i] = (uint8_t)text[i];
    assert_int_equal(guest_write(vm->space, gpa(0xb8000), cells, sizeof cells), E_OK);
    for (unsigned i = 0; i < 60; i++)
        timeouts_run(&heaps[0], tsc(~0ull - 1));
    vm_end(vm, END_EXIT, 0, NULL);
    reap();
    check_all_is_back();
    return told;
}

static void what_its_screen_shows_ends_a_machine(void **state)
{
    (void)state;
    assert_string_equal(watch("vm mem=1088K expect=screen:a+b", "xaab"), "ok vm/end\n");
    assert_string_equal(watch("vm mem=1088K expect=screen:a+b fail=screen:z", "xaab"), "ok vm/end\n");
    assert_non_null(
        strstr(watch("vm mem=1088K expect=screen:a+b", "xb"), "not ok vm/end: expected screen\ngot exit:0"));
    assert_non_null(
        strstr(watch("vm mem=1088K expect=screen:a+b fail=screen:z", "xaab z"), "got screen-fail"));
    assert_string_equal(watch("vm mem=1088K expect=screen-fail fail=screen:z", "z"), "ok vm/end\n");
    assert_string_equal(watch("vm mem=1088K fail=screen:z", "y"), "ok vm/end\n");
}

static void nothing_to_build_ends_at_once(void **state)
{
    (void)state;
    vm_all_built();
    assert_int_equal(all_ended_calls, 1);
}

// A device of a machine that runs does what is due at once; of one that waits, in its next turn, and sets no timeout
// until then.
static void devices_act_in_their_machines_turns(void **state)
{
    (void)state;
    struct verdict v;
    assert_true(create(&v, 0, "vm mem=1088K cpu=0"));
    vm_all_built();
    struct vm *vm = adopt();
    struct vcpu *running = this_pcpu()->current;
    tsc_t late = tsc(rdtsc().v + tsc_hz);
    vm_arm(vm, DEVICE_TIMER_PIT, tsc(1));
    timeouts_run(&heaps[0], late);
    assert_int_equal(vm->wanted, 0);

    vm_arm(vm, DEVICE_TIMER_PIT, tsc(1));
    this_pcpu()->current = NULL;
    looks = 0;
    timeouts_run(&heaps[0], late);
    assert_int_not_equal(vm->wanted, 0);
    assert_int_equal(looks, 1);
    assert_int_equal(vm->timer[DEVICE_TIMER_PIT].timeout.index, TIMEOUT_IDLE);

    this_pcpu()->current = running;
    vm->timer[DEVICE_TIMER_PIT].deadline = tsc(1);
    vm_home_work(vm);
    assert_int_equal(vm->wanted, 0);
    assert_int_not_equal(vm->timer[DEVICE_TIMER_PIT].deadline.v,
                         1); // the channel was asked, and said when next
    vm_end(vm, END_EXIT, 0, NULL);
    reap();
    check_all_is_back();
}

// What the guest finds in its receiver, after its FIFO was enabled.
static void check_received(struct vm *vm, const char *expected)
{
    char got[INPUT_RING + 1];
    size_t n = 0;
    while (n < INPUT_RING && io_in(&vm->devices->io, 0x3fd, 1) & 1)
        got[n++] = (char)io_in(&vm->devices->io, 0x3f8, 1);
    got[n] = '\0';
    assert_string_equal(got, expected);
}

// Bytes wait for a machine, go to one alone, and for the next one when that has ended.
static void input_goes_to_one_machine(void **state)
{
    (void)state;
    struct verdict v[2];
    assert_true(create(&v[0], 0, "deaf mem=1088K cpu=0"));
    struct vm *deaf = adopt();
    input_put("ab", 2);
    assert_int_equal(deaf->wanted, 0);
    assert_true(create(&v[1], 1, "hears mem=1088K cpu=1 input=serial"));
    vm_all_built();
    on(1);
    struct vm *hears = adopt();
    assert_true(input_is_for(hears) && !input_is_for(deaf));
    io_out(&hears->devices->io, 0x3fa, 1, 1);
    vm_home_work(hears);
    check_received(hears, "ab");
    char much[INPUT_RING + 20];
    memset(much, 'x', sizeof much);
    input_put(much, sizeof much); // from the box's interrupt
    assert_int_equal(input_lost(), 20);
    vm_home_work(hears);
    check_received(hears, "xxxxxxxxxxxxxxxx"); // one FIFO full
    assert_int_not_equal(hears->wanted, 0);    // and it has asked for more
    for (unsigned i = 1; i < INPUT_RING / 16; i++) {
        vm_home_work(hears);
        check_received(hears, "xxxxxxxxxxxxxxxx");
    }
    vm_home_work(hears);
    check_received(hears, "");
    vm_end(hears, END_EXIT, 0, NULL);
    reap();
    on(0);
    reap();
    input_put("c", 1); // for whoever comes
    assert_false(input_is_for(deaf));
    vm_end(deaf, END_EXIT, 0, NULL);
    reap();
    check_all_is_back();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(input_goes_to_one_machine, start),
        cmocka_unit_test_setup(devices_act_in_their_machines_turns, start),
        cmocka_unit_test_setup(nothing_to_build_ends_at_once, start),
        cmocka_unit_test_setup(a_machine_lives_and_ends, start),
        cmocka_unit_test_setup(ten_thousand_lives_leave_the_free_lists_as_they_were, start),
        cmocka_unit_test_setup(its_report_waits_for_room, start),
        cmocka_unit_test_setup(a_timeout_ends_one_that_waits_while_another_runs, start),
        cmocka_unit_test_setup(machines_spread_over_what_cpu_allows, start),
        cmocka_unit_test_setup(each_goes_where_the_fewest_live, start),
        cmocka_unit_test_setup(what_its_screen_shows_ends_a_machine, start),
        cmocka_unit_test_setup(whatever_allocation_fails_all_is_given_back, start),
        cmocka_unit_test_setup(any_one_allocation_may_fail, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
