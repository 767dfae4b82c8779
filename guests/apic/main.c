// Checks the interrupt controllers that a machine sees against the SDM, from inside: registers and modes of
// the local APIC, what is delivered when and in which order, its timer, NMIs, and the PIC through LINT0.
#include "guests/apic/apic.h"

volatile struct seen seen;

const char *named(const char *name)
{
    static char text[TAP_NAME_MAX + 1];
    format_text(text, sizeof text, "%s-%s", apic_x2 ? "x2apic" : "xapic", name);
    return text;
}

static bool on_interrupt(struct frame *f)
{
    uint8_t vector = (uint8_t)f->vector;
    if (seen.count < SEEN_MAX) {
        seen.vector[seen.count] = vector;
        seen.ip[seen.count] = f->ip;
    }
    seen.count++;
    if (seen.during)
        seen.during(vector);
    apic_eoi();
    return true;
}

void seen_reset(void (*during)(uint8_t vector))
{
    seen.count = 0;
    seen.during = during;
}

void check_seen(const char *name, const uint8_t *expected, unsigned n)
{
    char want[SEEN_MAX * 3 + 1] = "", got[SEEN_MAX * 3 + 1] = "";
    bool same = seen.count == n;
    for (unsigned i = 0; i < n; i++) {
        format_text(want + 3 * i, 4, " %02x", expected[i]);
        same = same && seen.vector[i] == expected[i];
    }
    for (unsigned i = 0; i < seen.count && i < SEEN_MAX; i++)
        format_text(got + 3 * i, 4, " %02x", seen.vector[i]);
    check(same, name, "expected vectors%s\ngot %u:%s", want, seen.count, got);
    seen_reset(NULL);
}

void wait_seen(unsigned count, uint64_t ticks)
{
    uint64_t end = rdtsc() + ticks;
    interrupts_on();
    while (seen.count < count && rdtsc() < end)
        pause();
    interrupts_off();
}

static void shared_test(bool x2apic)
{
    apic_enable(x2apic);
#define X(group) group##_test();
    SHARED_GROUPS(X)
#undef X
}

int main(const struct start_info *start)
{
    (void)start;
    unsigned points = 0;
#define X(group) points += 2 * group##_points();
    SHARED_GROUPS(X)
#undef X
#define X(group) points += group##_points();
    OTHER_GROUPS(X)
#undef X
    tap_plan(points);
    apic_map();
    for (unsigned vector = 32; vector < 256; vector++)
        exception_handle(vector, on_interrupt);
    pic_test();
    page_test();
    shared_test(false);
    base_test();
    shared_test(true);
    msrs_test();
    return tap_end();
}
