// The local APIC's timer. Nothing ticks: it knows when its period began and when it expires, in TSC ticks of
// the host, and asks to be called then. It counts at the rate of the TSC, divided as software says. SDM,
// "APIC Timer", "TSC-Deadline Mode".
//
// What it goes by is in struct lapic; the page has copies for the guest, which APIC-register virtualization overwrites
// before we know.
#include "dev/lapic.h"
#include "dev/lapic_impl.h"

enum timer_mode { ONE_SHOT, PERIODIC, TSC_DEADLINE, RESERVED };
enum { LVT_MODE_SHIFT = 17 };

static enum timer_mode timer_mode(const struct lapic *l)
{
    return (enum timer_mode)(l->timer_lvt >> LVT_MODE_SHIFT & 3);
}

static bool counts_down(const struct lapic *l)
{
    return timer_mode(l) <= PERIODIC;
}

static uint64_t now(struct lapic *l)
{
    return l->bus->ops->now(l).v;
}

static uint64_t period(const struct lapic *l)
{
    return (uint64_t)l->initial_count << l->shift;
}

// Brings the timer to the present: what is due fires, if it is not masked. A periodic timer that was not
// looked at for several periods fires once.
static void settle(struct lapic *l, uint64_t at)
{
    if (!l->counting || at < l->deadline)
        return;
    uint32_t lvt = l->timer_lvt;
    if (timer_mode(l) == PERIODIC) {
        l->start += (at - l->start) / period(l) * period(l);
        l->deadline = max_u64(l->start + period(l), at + l->bus->least_period.v);
    } else {
        l->counting = false;
    }
    if (!(lvt & LVT_MASKED) && timer_mode(l) != RESERVED)
        lapic_request(l, (uint8_t)lvt);
}

void lapic_timer_update(struct lapic *l)
{
    bool fires = l->counting && !(l->timer_lvt & LVT_MASKED);
    l->bus->ops->arm(l, tsc(fires ? l->deadline : ~0ull));
}

void lapic_timer(struct lapic *l)
{
    settle(l, now(l));
    lapic_timer_update(l);
}

void lapic_timer_reset(struct lapic *l)
{
    bool armed = l->counting;
    l->counting = false;
    l->initial_count = 0;
    l->shift = 1; // a divide configuration of 0
    if (armed)
        lapic_timer_update(l);
}

uint32_t lapic_timer_count(struct lapic *l)
{
    uint64_t at = now(l);
    settle(l, at);
    if (!l->counting || !counts_down(l))
        return 0;
    uint64_t elapsed = at - l->start;
    if (timer_mode(l) == PERIODIC)
        elapsed %= period(l);
    return l->initial_count - (uint32_t)min_u64(elapsed >> l->shift, l->initial_count);
}

// In TSC-deadline mode writes to the initial count are ignored.
void lapic_timer_start(struct lapic *l, uint32_t count)
{
    *lapic_reg(l, LAPIC_INITIAL_COUNT) = l->initial_count;
    if (!counts_down(l))
        return;
    uint64_t at = now(l);
    settle(l, at);
    *lapic_reg(l, LAPIC_INITIAL_COUNT) = l->initial_count = count;
    l->counting = count != 0;
    l->start = at;
    l->deadline = at + period(l);
    lapic_timer_update(l);
}

// A running count goes on from where it is, at the new rate.
void lapic_timer_divide(struct lapic *l, uint32_t divide)
{
    uint64_t at = now(l);
    settle(l, at);
    uint8_t before = l->shift;
    *lapic_reg(l, LAPIC_DIVIDE) = divide;
    l->shift = ((divide & 3) + (divide >> 1 & 4) + 1) & 7;
    if (!l->counting || !counts_down(l))
        return;
    uint64_t elapsed = at - l->start;
    if (timer_mode(l) == PERIODIC)
        elapsed %= (uint64_t)l->initial_count << before;
    l->start = at - (elapsed >> before << l->shift);
    l->deadline = l->start + period(l);
    lapic_timer_update(l);
}

// Going into TSC-deadline mode or out of it disarms the timer.
void lapic_timer_lvt(struct lapic *l, uint32_t lvt)
{
    settle(l, now(l));
    bool counted = counts_down(l);
    *lapic_reg(l, LAPIC_LVT_TIMER) = l->timer_lvt = lvt;
    if (counted != counts_down(l))
        l->counting = false;
    lapic_timer_update(l);
}

// When IA32_TSC_DEADLINE is reached, in TSC ticks of the host; one that has passed is due now.
static uint64_t host_deadline(const struct lapic *l, uint64_t at)
{
    uint64_t guest = at + l->tsc_offset;
    uint64_t left = l->tsc_deadline > guest ? l->tsc_deadline - guest : 0;
    return at + left < at ? ~0ull : at + left;
}

uint64_t lapic_tsc_deadline(struct lapic *l)
{
    settle(l, now(l));
    return l->counting && timer_mode(l) == TSC_DEADLINE ? l->tsc_deadline : 0;
}

void lapic_set_tsc_deadline(struct lapic *l, uint64_t deadline)
{
    if (timer_mode(l) != TSC_DEADLINE)
        return;
    uint64_t at = now(l);
    settle(l, at);
    l->tsc_deadline = deadline;
    l->counting = deadline != 0;
    l->deadline = host_deadline(l, at);
    settle(l, at);
    lapic_timer_update(l);
}

void lapic_set_tsc_offset(struct lapic *l, uint64_t offset)
{
    uint64_t at = now(l);
    settle(l, at);
    l->tsc_offset = offset;
    if (!l->counting || timer_mode(l) != TSC_DEADLINE)
        return;
    l->deadline = host_deadline(l, at);
    settle(l, at);
    lapic_timer_update(l);
}
