#include "kernel/dev_host.h"
#include "arch/cmos.h"
#include "arch/cpu.h"
#include "arch/tsc.h"
#include "dev/calendar.h"
#include "kernel/report.h"
#include "kernel/vm.h"

static uint64_t boot_us; // wall clock when the TSC was `boot_at`
static tsc_t boot_at;

static tsc_t now(void *owner)
{
    (void)owner;
    return rdtsc();
}

static uint64_t wall_us(void *owner)
{
    (void)owner;
    return boot_us + tsc_to_us(tsc(rdtsc().v - boot_at.v));
}

static void console(void *owner, const char *bytes, size_t len)
{
    vm_console_write(owner, bytes, len);
}

static bool console_ready(void *owner)
{
    (void)owner;
    return report_has_room();
}

static void interrupt(void *owner, bool asserted)
{
    struct vm *vm = owner;
    if (asserted)
        cpu_look(vm->cpus[0]);
}

static void room(void *owner)
{
    vm_want_input(owner);
}

static void arm(void *owner, enum device_timer which, tsc_t deadline)
{
    vm_arm(owner, which, deadline);
}

static void end(void *owner, uint32_t code)
{
    vm_end_from_device(owner, END_EXIT, code);
}

static void reset(void *owner)
{
    vm_end_from_device(owner, END_RESET, 0);
}

struct dev_host dev_host = {
    .now = now,
    .wall_us = wall_us,
    .console = console,
    .console_ready = console_ready,
    .interrupt = interrupt,
    .room = room,
    .arm = arm,
    .end = end,
    .reset = reset,
};

bool dev_host_has_date(void)
{
    return boot_us;
}

void dev_host_init(void)
{
    struct cmos_time t;
    dev_host.tsc_hz = tsc_hz;
    boot_at = rdtsc();
    if (cmos_read_time(&t)) {
        struct calendar c = {t.year, t.month, t.day, 1, t.hour, t.minute, t.second};
        boot_us = (uint64_t)calendar_to_seconds(&c) * 1000000;
    }
}
