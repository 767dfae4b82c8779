// Shares of one processor by weight, seen from inside. Spinners never halt: each must have had its weight's part of
// the time, to 1 percent, over a thousand slices (cmdline=weight=W of=SUM slice-us=N, SUM of all spinners' weights).
// A sleeper (cmdline=company=N slice-us=N) sets its timer, halts, and looks how long after that it runs: before any of
// the N others had two turns. Who sleeps takes so little that spinners need not know of it.
#include "guests/lib/apic.h"
#include "guests/lib/guest.h"

enum { SLICES = 1000, TIMER_VECTOR = 0x40, NAPS_A_SECOND = 100, NAPS_SEEN = 12, LATE_TICKS = 4000 };
enum { PARTS = 10000, TOLERANCE = 100 }; // a hundredth of its share

static uint64_t tsc_hz;

// All machines come to it at the same time, once they have all started.
static uint64_t common_start(void)
{
    uint64_t step = divide(tsc_hz, 10);
    return (divide(rdtsc(), (uint32_t)step) + 2) * step;
}

struct sample {
    uint64_t at, ran;
};

static struct sample spin_until(uint64_t when)
{
    uint64_t at;
    while ((at = rdtsc()) < when)
        ;
    return (struct sample){at, (uint64_t)hypercall1(HC_QUERY, QUERY_RUN_TICKS)};
}

static void spinner(const char *line, uint64_t slice)
{
    uint32_t weight = (uint32_t)word_number(line, "weight", 1), of = (uint32_t)word_number(line, "of", 1);
    uint64_t start = common_start(), end = start + SLICES * slice;
    struct sample a = spin_until(start), b = spin_until(end);
    spin_until(end + divide(tsc_hz, 5)); // company for those that began later
    uint64_t share = divide((b.ran - a.ran) * of * PARTS, (uint32_t)(b.at - a.at));
    print("%u.%u%% of what weight %u of %u deserves\n", (unsigned)(divide(share, weight) / 100),
          (unsigned)(divide(share, weight) % 100), weight, of);
    share = divide(share, weight);
    check(share + TOLERANCE >= PARTS && share <= PARTS + TOLERANCE, "share",
          "expected %u +- %u ten-thousandths of the share\ngot %llu", PARTS, TOLERANCE,
          (unsigned long long)share);
}

static volatile uint64_t woke;

static bool on_interrupt(struct frame *f)
{
    (void)f;
    woke = rdtsc();
    apic_eoi();
    return true;
}

static void sleeper(const char *line, uint64_t slice)
{
    uint64_t company = word_number(line, "company", 1), start = common_start(), latest = 0;
    apic_enable(true);
    exception_handle(TIMER_VECTOR, on_interrupt);
    apic_write(APIC_LVT_TIMER, TIMER_DEADLINE | TIMER_VECTOR);
    for (unsigned i = 0; i < NAPS_SEEN; i++) {
        uint64_t deadline = start + i * divide(tsc_hz, NAPS_A_SECOND);
        wrmsr(MSR_TSC_DEADLINE, deadline);
        halt_once();
        latest = woke - deadline > latest ? woke - deadline : latest;
    }
    print("ran at most %llu ticks after its time\n", (unsigned long long)latest);
    check(latest <= 2 * company * slice + LATE_TICKS, "wakes-in-time",
          "expected at most %llu ticks\ngot %llu", (unsigned long long)(2 * company * slice + LATE_TICKS),
          (unsigned long long)latest);
}

int main(const struct start_info *start)
{
    const char *line = command_line(start);
    uint64_t slice = divide(word_number(line, "slice-us", 100) * start->tsc_hz, 1000000);
    tsc_hz = start->tsc_hz;
    tap_plan(1);
    (word_number(line, "company", 0) ? sleeper : spinner)(line, slice);
    return tap_end();
}
