// The life of machines on the host: built with any amount of memory, started, ended from wherever, told, destroyed.
// Around them everything is real but the vCPU, which is memory of the same kinds only, and the report.
#include "kernel/vm.h"
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/cpu.h"
#include "arch/memory.h"
#include "arch/pcpu.h"
#include "arch/tsc.h"
#include "arch/features.h"
#include "kernel/control.h"
#include "kernel/dev_host.h"
#include "kernel/home.h"
#include "kernel/input.h"
#include "kernel/ipc.h"
#include "kernel/options.h"
#include "kernel/report.h"
#include "kernel/sleep.h"
#include "mm/mm.h"
#include "mm/quarantine.h"
#include "tests/host/build_elf.h"
#include "tests/host/ram.h"
#include "vmx/microscope.h"
#include "vmx/vmx.h"

enum { FRAMES = 2048, CPUS = 2, RAM_PAGES = 272 };

static struct runq runqs[CPUS];
static struct timeouts heaps[CPUS];
static struct timeout *places[CPUS][64];
static uint64_t at_rest;
static unsigned all_ended_calls;

// ---- What is around a machine ----

struct options options = {.slice_us = 10000};
uint64_t tsc_hz = 1000000000;
tsc_t tsc_boot;
static tsc_t device_now(void *owner)
{
    (void)owner;
    return tsc(1);
}

static uint64_t wall_us(void *owner)
{
    (void)owner;
    return 0;
}

static void arm(void *owner, enum device_timer which, tsc_t deadline)
{
    vm_arm_device(owner, which, deadline);
}

static void room(void *owner)
{
    vm_want_input(owner);
}

static bool console_ready(void *owner)
{
    (void)owner;
    return true;
}

static void interrupt(void *owner, bool asserted)
{
    (void)owner, (void)asserted;
}

struct dev_host dev_host = {.now = device_now,
                            .wall_us = wall_us,
                            .console_ready = console_ready,
                            .room = room,
                            .interrupt = interrupt,
                            .arm = arm};
static bool no_room;
static char told[4096];
static unsigned described;

static void tell(const char *text)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    assert_true(strlen(told) + strlen(text) + 2 < sizeof told);
    strcat(strcat(told, text), "\n");
    pthread_mutex_unlock(&lock);
}

bool report_has_room(void)
{
    return !no_room;
}

void report_point(enum point_result result, const char *machine, const char *name, const char *detail)
{
    char text[400];
    snprintf(text, sizeof text, "%s %s/%s%s%s", result == POINT_OK ? "ok" : "not ok", machine, name,
             detail ? ": " : "", detail ? detail : "");
    tell(text);
}

void report_guest_line(const char *machine, const char *text, size_t len)
{
    char line[600];
    snprintf(line, sizeof line, "%s| %.*s", machine, (int)len, text);
    tell(line);
}

bool vmx_is_on(const struct pcpu *p)
{
    return p->id < CPUS;
}

uint32_t vmx_processors(void)
{
    return CPUS;
}

bool vcpu_break_entry(struct vcpu *v, const char *field, uint64_t xor)
{
    (void)v;
    (void)xor;
    return strcmp(field, "GUEST_RFLAGS") == 0;
}

enum error vcpu_create(struct vcpu *v, uint16_t owner, const struct guest_start *start)
{
    (void)start;
    pfn_t region = buddy_alloc(&frames, 0, owner), area = buddy_alloc(&frames, 1, owner);
    v->own_vmcs.region = pfn_is_none(region) ? hpa(0) : pfn_to_hpa(region);
    v->state.fpu = pfn_is_none(area) ? NULL : pfn_to_virt(area);
    return pfn_is_none(region) || pfn_is_none(area) ? E_NO_MEMORY : E_OK;
}

void vcpu_destroy(struct vcpu *v, uint16_t owner)
{
    if (v->own_vmcs.region.v)
        assert_int_equal(buddy_free(&frames, hpa_to_pfn(v->own_vmcs.region), owner), E_OK);
    if (v->state.fpu)
        assert_int_equal(buddy_free(&frames, hpa_to_pfn(virt_to_hpa(v->state.fpu)), owner), E_OK);
}

enum error vcpu_show_apic_page(struct space *s, bool shown)
{
    (void)s, (void)shown;
    return E_OK;
}

static unsigned retired, unloaded;

void vcpu_unload(struct vcpu *v)
{
    if (this_pcpu()->current == v)
        this_pcpu()->current = NULL;
    __atomic_add_fetch(&unloaded, 1, __ATOMIC_SEQ_CST);
}

void vcpu_retire(struct vcpu *v)
{
    (void)v;
    retired++;
}

struct features features = {.physical_bits = 40};
const struct lapic_ops cpu_lapic_ops;

void cpu_init_interrupts(struct cpu *c, struct lapic_bus *bus, uint32_t id)
{
    (void)bus, (void)id;
    timeout_init(&c->timer, NULL);
    timeout_init(&c->receive.patience, NULL);
}

static unsigned looks;
// No machine here has ports.
void ipc_init(void)
{
}

void ipc_start(struct vm *vm)
{
    (void)vm;
}

static unsigned forgotten;

void ipc_forget(struct vm *vm)
{
    (void)vm;
    forgotten++;
}

void ipc_refuse(uint32_t id)
{
    (void)id;
}

bool ipc_can_interrupt(const struct vm *vm)
{
    (void)vm;
    return false;
}

void cpu_look(struct cpu *c)
{
    (void)c;
    looks++;
}

uint64_t vcpu_bytes(void)
{
    return 3 * PAGE_SIZE;
}

tsc_t vcpu_longest_turn(void)
{
    return tsc(1ull << 37);
}

void vcpu_leave(void)
{
    this_pcpu()->current = NULL;
}

bool vcpu_describe(struct vcpu *v, unsigned part, void (*line)(void *context, const char *text),
                   void *context)
{
    (void)v, (void)line, (void)context;
    described += part == 0;
    return part < 2;
}

void microscope_last(const struct vcpu *v, void (*line)(void *context, const char *text), void *context)
{
    (void)v, (void)line, (void)context;
}

void microscope_table(const struct vcpu *v, void (*line)(void *context, const char *text), void *context)
{
    (void)v, (void)line, (void)context;
}

static void all_ended(void)
{
    all_ended_calls++;
}

// ---- Before and after each test ----

static void on(uint32_t cpu)
{
    host_pcpu = &pcpus[cpu];
}

static int start(void **state)
{
    (void)state;
    assert_int_equal(host_mm_start(FRAMES), E_OK);
    for (uint32_t i = 0; i < CPUS; i++) {
        runq_init(&runqs[i]);
        timeouts_init(&heaps[i], places[i], array_size(places[i]));
        pcpus[i] = (struct pcpu){.id = i, .runq = &runqs[i], .timeouts = &heaps[i]};
    }
    pcpu_count = CPUS;
    on(0);
    dev_host.tsc_hz = tsc_hz;
    vm_init(all_ended);
    at_rest = mm_at_rest();
    for (uint32_t i = 0; i < CPUS; i++)
        sched_ask_no_more(&pcpus[i]);
    no_room = false;
    told[0] = '\0';
    described = all_ended_calls = 0;
    return 0;
}

static void check_all_is_back(void)
{
    while (quarantine_poll())
        ;
    assert_int_equal(mm_at_rest(), at_rest);
    frame_cache_flush(host_frame_cache);
    assert_int_equal(frames.promised, 0);
    for (unsigned owner = OWNER_VM; owner < OWNER_COUNT; owner++)
        assert_int_equal(buddy_owned(&frames, (uint16_t)owner) + frames.account[owner].bytes, 0);
    const char *wrong = buddy_check(&frames);
    assert_string_equal(wrong ? wrong : "sound", "sound");
    for (unsigned i = 0; i < CPUS; i++)
        assert_int_equal(heaps[i].count, 0);
}

// ---- Machines ----

static bool create(struct verdict *v, uint32_t id, const char *line)
{
    static struct elf_file file;
    file = elf64();
    *v = (struct verdict){.role = MODULE_MACHINE};
    assert_int_equal(machine_parse(&v->machine, line, &v->why), E_OK);
    return vm_create(v, (struct blob){file.bytes, file.size}, id);
}

// The machine that runs on this processor once it has adopted what was built for it.
static struct vm *adopt(void)
{
    while (home_step())
        ;
    struct sched_node *n = sched_pick(this_pcpu()->runq, rdtsc());
    assert_non_null(n);
    struct vcpu *v = container_of(n, struct vcpu, sched);
    this_pcpu()->current = v;
    return v->vm;
}

static void reap(void)
{
    for (unsigned steps = 0; home_step(); steps++)
        assert_true(steps < 100);
}

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

// ---- Moves ----

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
    vm_arm_device(goes, DEVICE_TIMER_RTC, tsc(rdtsc().v + 1000 * tsc_hz));
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
    assert_ptr_equal(adopt(), goes);
    assert_int_equal(heaps[1].count, 3);
    timeouts_run(&heaps[1], tsc(rdtsc().v + tsc_hz));
    reap();
    assert_string_equal(told, "ok goes/end\n");
    on(0);
    end_here(adopt());
    assert_int_equal(all_ended_calls, 1);
    check_all_is_back();
}

// Set anew and called off while it is between two heaps, by somebody at its new home.
static void a_timer_that_changes_on_the_way_is_not_set_twice(void **state)
{
    struct verdict v[2];
    (void)state;
    struct vm *goes = send_away(v);
    on(1);
    vm_arm_device(goes, DEVICE_TIMER_RTC, tsc(rdtsc().v + 2000 * tsc_hz));
    assert_int_equal(heaps[1].count, 1);
    vm_arm_device(goes, DEVICE_TIMER_RTC, tsc(~0ull));
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

// Whether a machine of this line whose vCPUs all halt is not stuck; `armed`: a timer of its devices runs.
static bool waits(const char *line, bool interrupts_on, bool armed)
{
    struct verdict v;
    start(NULL);
    assert_true(create(&v, 0, line));
    struct vm *vm = adopt();
    if (armed)
        vm_arm_device(vm, DEVICE_TIMER_RTC, tsc(rdtsc().v + tsc_hz));
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
    vm_all_built();
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

    vm_arm_device(vm, DEVICE_TIMER_PIT, tsc(rdtsc().v + tsc_hz));
    assert_true(sleep_fall(a, false));
    vm->devices->ioapic.entry[2] = DELIVER_NMI << 8; // heeded with interrupts off
    assert_false(sleep_fall(a, false));
    vm->devices->ioapic.entry[2] |= 1 << 16;
    assert_true(sleep_fall(a, false));
    vm_end(vm, END_STUCK, 0, NULL);
    reap();
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
    vm_all_built();
    passing = adopt();
    found_stuck = 0;
    passing->cpus[0]->lapic.posted = 1;
    pthread_t other;
    assert_int_equal(pthread_create(&other, NULL, pass, passing->cpus[1]), 0);
    pass(passing->cpus[0]);
    pthread_join(other, NULL);
    assert_int_equal(found_stuck, 0);
    vm_end(passing, END_EXIT, 0, NULL);
    reap();
    check_all_is_back();
}

static void nothing_to_build_ends_at_once(void **state)
{
    (void)state;
    vm_all_built();
    assert_int_equal(all_ended_calls, 1);
}

// ---- One machine controls another, on another processor ----

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
    vm_arm_device(vm, DEVICE_TIMER_PIT, tsc(1));
    timeouts_run(&heaps[0], late);
    assert_int_equal(vm->wanted, 0);

    vm_arm_device(vm, DEVICE_TIMER_PIT, tsc(1));
    this_pcpu()->current = NULL;
    looks = 0;
    timeouts_run(&heaps[0], late);
    assert_int_not_equal(vm->wanted, 0);
    assert_int_equal(looks, 1);
    assert_int_equal(vm->device[DEVICE_TIMER_PIT].timeout.index, TIMEOUT_IDLE);

    this_pcpu()->current = running;
    vm->device[DEVICE_TIMER_PIT].deadline = tsc(1);
    vm_home_work(vm);
    assert_int_equal(vm->wanted, 0);
    assert_int_not_equal(vm->device[DEVICE_TIMER_PIT].deadline.v,
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
    while (n < INPUT_RING && io_in(devices_io(vm->devices), 0x3fd, 1) & 1)
        got[n++] = (char)io_in(devices_io(vm->devices), 0x3f8, 1);
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
    io_out(devices_io(hears->devices), 0x3fa, 1, 1);
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
        cmocka_unit_test_setup(wrong_requests_are_refused, start),
        cmocka_unit_test_setup(a_machine_is_paused_and_destroyed_from_elsewhere, start),
        cmocka_unit_test_setup(a_reset_builds_it_anew_when_its_memory_is_back, start),
        cmocka_unit_test_setup(one_that_cannot_be_built_again_is_told, start),
        cmocka_unit_test_setup(without_controllers_nothing_stays_paused, start),
        cmocka_unit_test_setup(nothing_to_build_ends_at_once, start),
        cmocka_unit_test_setup(a_machine_lives_and_ends, start),
        cmocka_unit_test_setup(its_report_waits_for_room, start),
        cmocka_unit_test_setup(a_timeout_ends_one_that_waits_while_another_runs, start),
        cmocka_unit_test_setup(machines_spread_over_what_cpu_allows, start),
        cmocka_unit_test_setup(timeouts_move_with_their_machine, start),
        cmocka_unit_test_setup(a_timer_that_changes_on_the_way_is_not_set_twice, start),
        cmocka_unit_test_setup(one_that_ends_on_its_way_comes_back_whole, start),
        cmocka_unit_test_setup(machines_end_while_they_move, start),
        cmocka_unit_test_setup(what_its_screen_shows_ends_a_machine, start),
        cmocka_unit_test_setup(a_halt_that_nothing_can_end_is_stuck, start),
        cmocka_unit_test_setup(who_sleeps_wakes_by_what_waits, start),
        cmocka_unit_test_setup(a_machine_with_something_on_its_way_is_not_stuck, start),
        cmocka_unit_test_setup(whatever_allocation_fails_all_is_given_back, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
