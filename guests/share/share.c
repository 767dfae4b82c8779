// Shares of one processor by weight, seen from inside. Spinners never halt: each must have had its weight's part of
// the time, to 1 percent, over a thousand slices (cmdline=weight=W of=SUM slice-us=N, SUM of all spinners' weights).
// A sleeper (cmdline=company=N slice-us=N) sets its timer, halts, and looks how long after that it runs: before any
// of the N others had two turns. Who sleeps takes so little that spinners need not know of it. Of a pair that calls
// and answers (cmdline=calls=NAME weight=W of=SUM slice-us=N, answers=NAME) one runs at a time: together they have
// the share of one. Where others want the processor, too, two compare: one (cmdline=against=NAME times=N slice-us=N)
// runs for a number of slices, and must have had N times what the other (cmdline=under=NAME) had meanwhile.
#include "guests/lib/apic.h"
#include "guests/lib/guest.h"
#include "guests/lib/ipc.h"

enum { SLICES = 1000, TIMER_VECTOR = 0x40, NAPS_A_SECOND = 40, NAPS_SEEN = 8, LATE_TICKS = 4000 };
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

static void check_share(const char *line, const struct sample *a, const struct sample *b)
{
    uint32_t weight = (uint32_t)word_number(line, "weight", 1), of = (uint32_t)word_number(line, "of", 1);
    uint64_t share = divide(divide((b->ran - a->ran) * of * PARTS, (uint32_t)(b->at - a->at)), weight);
    print("%u.%02u%% of what weight %u of %u deserves\n", (unsigned)(share / 100), (unsigned)(share % 100),
          weight, of);
    check(share + TOLERANCE >= PARTS && share <= PARTS + TOLERANCE, "share",
          "expected %u +- %u ten-thousandths of the share\ngot %llu", PARTS, TOLERANCE,
          (unsigned long long)share);
}

static void spinner(const char *line, uint64_t slice)
{
    uint64_t start = common_start(), end = start + SLICES * slice;
    struct sample a = spin_until(start), b = spin_until(end);
    spin_until(end + divide(tsc_hz, 5)); // company for those that began later
    check_share(line, &a, &b);
}

// ---- The pair: an answer has the run time of who answers ----

static struct sample call_until(uint64_t when, word_t out, word_t in)
{
    struct words m = {{0}};
    uint64_t at;
    do {
        ipc_call(out, in, &m);
        at = rdtsc();
    } while (at < when);
    return (struct sample){at, (uint64_t)hypercall1(HC_QUERY, QUERY_RUN_TICKS) + m.w[0]};
}

static void caller(const char *line, uint64_t slice, word_t out, word_t in)
{
    uint64_t start = common_start(), end = start + SLICES * slice;
    struct sample a = call_until(start, out, in), b = call_until(end, out, in);
    call_until(end + divide(tsc_hz, 5), out, in);
    check_share(line, &a, &b);
}

static void answerer(word_t out, word_t in)
{
    struct words m;
    sword_t got = ipc_receive(in, WAIT_FOREVER, &m);
    while (got >= 0) {
        m.w[0] = (word_t)hypercall1(HC_QUERY, QUERY_RUN_TICKS);
        got = ipc_call(out, in, &m);
    }
}

// ---- Two among many: both poll, so that neither lends the other its turn ----

enum { COMPARED = 400 };

static uint64_t ran(void)
{
    return (uint64_t)hypercall1(HC_QUERY, QUERY_RUN_TICKS);
}

// Who exits all the time has longer turns, and costs an emulator much.
static void compute_a_millisecond(void)
{
    for (uint64_t end = rdtsc() + divide(tsc_hz, 1000); rdtsc() < end;)
        ;
}

static void poll(word_t in, struct words *m)
{
    while (ipc_receive(in, 0, m) < 0)
        compute_a_millisecond();
}

static void heavy(const char *line, uint64_t slice, word_t out, word_t in)
{
    struct words m = {{0}};
    uint32_t times = (uint32_t)word_number(line, "times", 1);
    poll(in, &m); // the other one is there
    ipc_send(out, &m);
    uint64_t begun = ran(), mine;
    while ((mine = ran() - begun) < COMPARED * slice)
        compute_a_millisecond();
    ipc_send(out, &m);
    poll(in, &m);
    uint64_t ratio = divide(divide(mine * PARTS, times), (uint32_t)m.w[0]);
    print("%u.%02u%% of %u times what the other one had\n", (unsigned)(ratio / 100), (unsigned)(ratio % 100),
          times);
    check(ratio + TOLERANCE >= PARTS && ratio <= PARTS + TOLERANCE, "share-among-many",
          "expected %u +- %u ten-thousandths\ngot %llu", PARTS, TOLERANCE, (unsigned long long)ratio);
}

static void light(word_t out, word_t in)
{
    struct words m = {{0}};
    ipc_send(out, &m);
    poll(in, &m);
    uint64_t begun = ran();
    poll(in, &m);
    m.w[0] = (word_t)(ran() - begun);
    ipc_send(out, &m);
}

// ---- The sleeper ----

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
        uint64_t deadline = start > rdtsc() ? start : rdtsc() + divide(tsc_hz, NAPS_A_SECOND);
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
    const char *line = command_line(start), *other;
    uint64_t slice = divide(word_number(line, "slice-us", 100) * start->tsc_hz, 1000000);
    tsc_hz = start->tsc_hz;
    if (word_list(line, "calls", &other, 1)) {
        tap_plan(1);
        caller(line, slice, (word_t)port_out(other), (word_t)port_in(other));
        return tap_end();
    }
    if (word_list(line, "answers", &other, 1)) {
        answerer((word_t)port_out(other), (word_t)port_in(other));
        return 0;
    }
    if (word_list(line, "under", &other, 1)) {
        light((word_t)port_out(other), (word_t)port_in(other));
        return 0;
    }
    tap_plan(1);
    if (word_list(line, "against", &other, 1)) {
        heavy(line, slice, (word_t)port_out(other), (word_t)port_in(other));
        return tap_end();
    }
    (word_number(line, "company", 0) ? sleeper : spinner)(line, slice);
    return tap_end();
}
