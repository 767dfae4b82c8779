// A box for tests of machines (kernel/vm.h). Around them everything is real but the vCPU, which is memory of the same
// kinds only, and the report, whose lines are kept in `told`. Include it in one source of the test.
#pragma once
#include "kernel/vm.h"
#include <pthread.h>
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
#include "tests/host/buddy_check.h"
#include "tests/host/build_elf.h"
#include "tests/host/ram.h"
#include "vmx/microscope.h"
#include "vmx/vmx.h"

enum { FRAMES = 2048, CPUS = 2, RAM_PAGES = 272 };

static struct runq runqs[CPUS];
static struct timeouts heaps[CPUS];
static struct timeout *places[CPUS][TIMEOUTS_MAX];
static uint64_t at_rest;
static unsigned all_ended_calls;

// ---- What is around a machine ----

struct options options = {.slice_us = 10000};
uint64_t tsc_hz = 1000000000;
tsc_t tsc_boot;
static inline tsc_t device_now(void *owner)
{
    (void)owner;
    return tsc(1);
}

static inline uint64_t wall_us(void *owner)
{
    (void)owner;
    return 0;
}

static inline void arm(void *owner, enum device_timer which, tsc_t deadline)
{
    vm_arm(owner, which, deadline);
}

static inline void room(void *owner)
{
    vm_want_input(owner);
}

static inline bool console_ready(void *owner)
{
    (void)owner;
    return true;
}

static inline void interrupt(void *owner, bool asserted)
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

static inline void tell(const char *text)
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
    pfn_t region = buddy_alloc_or_fail(&frames, 0, owner), area = buddy_alloc_or_fail(&frames, 1, owner);
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
// No machine here has ports that would be used.
void ipc_init(void)
{
}

void ipc_start(struct vm *vm)
{
    (void)vm;
}

static _Thread_local const struct cpu *settled; // on this processor, last

void ipc_settle(struct cpu *c)
{
    settled = c;
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

static uint32_t to_come; // events that somebody expects

bool ipc_can_interrupt(const struct vm *vm, uint32_t events)
{
    (void)vm;
    return to_come & events;
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

static inline void all_ended(void)
{
    all_ended_calls++;
}

// ---- Before and after each test ----

static inline void on(uint32_t cpu)
{
    host_pcpu = &pcpus[cpu];
}

static inline int start(void **state)
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
    sleep_step(); // the last test's
    no_room = false;
    to_come = 0;
    told[0] = '\0';
    described = all_ended_calls = 0;
    return 0;
}

static inline void check_all_is_back(void)
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

static inline bool create(struct verdict *v, uint32_t id, const char *line)
{
    static struct elf_file file;
    file = elf64();
    *v = (struct verdict){.role = MODULE_MACHINE};
    assert_int_equal(machine_parse(&v->machine, line, &v->why), E_OK);
    return vm_create(v, (struct blob){file.bytes, file.size}, id);
}

// The machine that runs on this processor once it has adopted what was built for it.
static inline struct vm *adopt(void)
{
    while (home_step())
        ;
    struct sched_node *n = sched_pick(this_pcpu()->runq, rdtsc());
    assert_non_null(n);
    struct vcpu *v = container_of(n, struct vcpu, sched);
    this_pcpu()->current = v;
    return v->vm;
}

static inline void reap(void)
{
    for (unsigned steps = 0; home_step(); steps++)
        assert_true(steps < 100);
}
