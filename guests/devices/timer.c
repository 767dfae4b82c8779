// Channel 2 of the timer, by port B: its gate, its output, and how long a count takes (8254 data sheet, modes 0 and 3).
#include "guests/devices/devices.h"

enum {
    GATE = 1,
    OUTPUT = 0x20,
    ONE_SHOT_2 = 0xb0,
    SQUARE_2 = 0xb6,
    LATCH_2 = 0x80,
    COUNT = 2000,
    TRIES = 20,
    LOOKS = 10000, // at least, for the square wave: time alone may pass elsewhere
    PIT_HZ = 1193182
};

unsigned timer_points(void)
{
    return 5;
}

static bool output(void)
{
    return inb(PORT_B) & OUTPUT;
}

static void load(uint8_t mode)
{
    outb(PIT_MODE, mode);
    outb(PIT_2, COUNT & 0xff);
    outb(PIT_2, COUNT >> 8);
}

static uint16_t count(void)
{
    outb(PIT_MODE, LATCH_2);
    uint8_t low = inb(PIT_2);
    return (uint16_t)(inb(PIT_2) << 8 | low);
}

// Opens the gate and looks at the output at once. A look that comes behind the whole count, since the processor was
// elsewhere, says nothing: then again, from the start.
static bool begin_count(uint64_t period, uint64_t *begin)
{
    for (unsigned i = 0;; i++) {
        *begin = rdtsc();
        outb(PORT_B, GATE);
        if (!output())
            return true;
        if (i == TRIES || rdtsc() - *begin < period)
            return false;
        outb(PORT_B, 0);
        load(ONE_SHOT_2);
    }
}

void timer_test(uint64_t tsc_hz)
{
    uint64_t period = divide(COUNT * tsc_hz, PIT_HZ), begin;
    outb(PORT_B, 0);
    load(ONE_SHOT_2);
    uint16_t first = count();
    for (begin = rdtsc(); rdtsc() - begin < 2 * period;)
        pause();
    check(!output() && count() == first, "timer-gate-holds", "expected output low and count %u\ngot %u, %u",
          first, output(), count());
    bool low = begin_count(period, &begin);
    check(low, "timer-low-while-it-counts", "expected output low\ngot it high");
    while (!output() && rdtsc() - begin < 100 * period)
        pause();
    uint64_t took = rdtsc() - begin;
    check(output(), "timer-high-at-the-end", "expected output high\ngot it low");
    check(took + took / 8 >= period, "timer-takes-its-time", "expected %llu ticks or more\ngot %llu",
          (unsigned long long)period, (unsigned long long)took);
    load(SQUARE_2);
    unsigned edges = 0, looks = 0;
    bool before = output();
    for (begin = rdtsc(); edges < 6 && (looks < LOOKS || rdtsc() - begin < 1000 * period); looks++) {
        bool now = output();
        edges += now != before;
        before = now;
    }
    check_equal("timer-square", 6, edges);
    outb(PORT_B, 0);
}
