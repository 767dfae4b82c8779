// The APIC timer: one-shot, periodic and TSC-deadline, masked and not, and halts that it ends.
#include "guests/apic/apic.h"

enum {
    VECTOR = 0xe5,
    COUNT = 20000,
    PERIODS = 4,
    MSR_TSC = 0x10,
    AHEAD = 1000000000,
    LONG_COUNT = 0x7fffffff
};

unsigned timer_points(void)
{
    return 22;
}

static void mode(uint32_t lvt)
{
    apic_write(APIC_LVT_TIMER, lvt | VECTOR);
}

static uint64_t elapsed(uint64_t since)
{
    return rdtsc() - since;
}

// Not before `least` ticks, and not so late as to be by chance.
static void check_time(const char *name, uint64_t least, uint64_t got)
{
    check(got >= least && got < least + LATE * 50, named(name), "expected %llu ticks or some more\ngot %llu",
          (unsigned long long)least, (unsigned long long)got);
}

static void check_count(void)
{
    apic_write(APIC_DIVIDE, DIVIDE_BY_2);
    mode(TIMER_ONE_SHOT);
    apic_write(APIC_INITIAL_COUNT, LONG_COUNT);
    uint32_t first = apic_read(APIC_CURRENT_COUNT), second = apic_read(APIC_CURRENT_COUNT);
    check(first <= LONG_COUNT && second < first && second > 0, named("timer-counts-down"),
          "expected two counts that fall from %u\ngot %u, %u", LONG_COUNT, first, second);
}

static void check_one_shot(void)
{
    uint64_t begun = rdtsc();
    apic_write(APIC_INITIAL_COUNT, COUNT);
    wait_seen(1, 100 * LATE);
    check_time("timer-one-shot-time", 2 * COUNT, elapsed(begun));
    CHECK_SEEN(named("timer-one-shot"), VECTOR);
    check_equal(named("timer-one-shot-ends-at-0"), 0, apic_read(APIC_CURRENT_COUNT));
    check_equal(named("timer-initial-count-stays"), COUNT, apic_read(APIC_INITIAL_COUNT));
    wait_seen(1, 3 * COUNT);
    CHECK_NOTHING_SEEN(named("timer-one-shot-once"));
}

static void check_periodic(void)
{
    apic_write(APIC_DIVIDE, DIVIDE_BY_1);
    mode(TIMER_PERIODIC);
    uint64_t begun = rdtsc();
    apic_write(APIC_INITIAL_COUNT, COUNT);
    wait_seen(PERIODS, 100 * LATE);
    check_time("timer-periodic-time", PERIODS * COUNT, elapsed(begun));
    check(seen.count >= PERIODS, named("timer-periodic"), "expected %u times\ngot %u", PERIODS, seen.count);
    check(apic_read(APIC_CURRENT_COUNT) != 0, named("timer-periodic-goes-on"), "expected a count\ngot 0");
    apic_write(APIC_INITIAL_COUNT, 0);
    interrupts_window(); // one may have come in between
    seen_reset(NULL);
    wait_seen(1, 3 * COUNT);
    CHECK_NOTHING_SEEN(named("timer-periodic-stopped"));
}

static void check_masked(void)
{
    mode(TIMER_ONE_SHOT | LVT_MASKED);
    apic_write(APIC_INITIAL_COUNT, COUNT / 4);
    wait_seen(1, COUNT);
    CHECK_NOTHING_SEEN(named("timer-masked"));
    mode(TIMER_ONE_SHOT);
    wait_seen(1, SOON);
    CHECK_NOTHING_SEEN(named("timer-masked-is-lost"));
    apic_write(APIC_DIVIDE, DIVIDE_BY_16);
    uint64_t begun = rdtsc();
    apic_write(APIC_INITIAL_COUNT, COUNT / 16);
    halt_once();
    check_time("timer-divided-time", COUNT / 16 * 16, elapsed(begun));
    CHECK_SEEN(named("timer-ends-halt"), VECTOR);
}

static void check_deadline(void)
{
    mode(TIMER_DEADLINE);
    uint64_t deadline = rdtsc() + AHEAD;
    wrmsr(MSR_TSC_DEADLINE, deadline);
    check(rdmsr(MSR_TSC_DEADLINE) == deadline, named("deadline-reads-back"),
          "expected what was written\ngot another");
    deadline = rdtsc() + COUNT;
    wrmsr(MSR_TSC_DEADLINE, deadline);
    halt_once();
    check_time("deadline-time", 0, elapsed(deadline));
    CHECK_SEEN(named("deadline-ends-halt"), VECTOR);
    check_equal(named("deadline-reads-0-afterwards"), 0, rdmsr(MSR_TSC_DEADLINE));
    interrupts_on();
    wrmsr(MSR_TSC_DEADLINE, 1);
    __asm__ volatile("nop");
    interrupts_off();
    CHECK_SEEN(named("deadline-past-is-due"), VECTOR);
    wrmsr(MSR_TSC_DEADLINE, rdtsc() + 10 * LATE);
    wrmsr(MSR_TSC_DEADLINE, 0);
    wait_seen(1, 12 * LATE);
    CHECK_NOTHING_SEEN(named("deadline-disarmed"));
    wrmsr(MSR_TSC, rdtsc() + AHEAD);
    deadline = rdtsc() + COUNT;
    wrmsr(MSR_TSC_DEADLINE, deadline);
    halt_once();
    check_time("deadline-of-a-written-tsc", 0, elapsed(deadline));
    seen_reset(NULL);
    wrmsr(MSR_TSC, rdtsc() - AHEAD);
    mode(TIMER_ONE_SHOT | LVT_MASKED);
    wrmsr(MSR_TSC_DEADLINE, rdtsc() + COUNT);
    check_equal(named("deadline-elsewhere-ignored"), 0, rdmsr(MSR_TSC_DEADLINE));
}

void timer_test(void)
{
    seen_reset(NULL);
    check_count();
    check_one_shot();
    check_periodic();
    check_masked();
    check_deadline();
}
