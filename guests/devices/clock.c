// The clock: updates, and its three interrupts, which a read of register C ends (MC146818A data sheet). Interrupts come
// through the PIC.
#include "guests/devices/devices.h"

enum { UIP = 0x80, PERIODIC = 0x40, ALARM = 0x20, UPDATE = 0x10, IRQF = 0x80, BINARY_24 = 6, ANY = 0xff };
enum { SECONDS = 0, SECONDS_ALARM = 1, MINUTES_ALARM = 3, HOURS_ALARM = 5, VALID = 0x80, RTC_D = 13 };
// An update cycle takes 1984 us, and UIP is set for at least that long.
enum { UPDATE_US = 1984, SECOND_US = 1000000, PATIENCE_S = 20 };
enum { RATE_1024_HZ = 0x26, VECTOR = 0xd8, CASCADE = 2, PERIODS = 16 };

static uint64_t tick_hz;
static volatile unsigned came;
static volatile uint8_t causes;

uint8_t rtc_read(uint8_t reg)
{
    outb(RTC, reg);
    return inb(RTC_DATA);
}

void rtc_write(uint8_t reg, uint8_t value)
{
    outb(RTC, reg);
    outb(RTC_DATA, value);
}

static bool on_clock(struct frame *f)
{
    (void)f;
    came++;
    causes |= rtc_read(RTC_C);
    outb(PIC2, PIC_EOI);
    outb(PIC1, PIC_EOI);
    return true;
}

unsigned clock_points(void)
{
    return 8;
}

struct look {
    uint64_t begin, end; // ticks
    bool updating;
    uint8_t second;
};

// What the looks showed so far. The processor may be away between any two of them, for as long as it likes.
struct updates {
    struct look rose; // the first of those in a row that showed an update
    bool ended;       // one look showed an update, the next one none
    bool counted;     // the seconds changed
    bool
        missed; // they changed between two looks so close that the first one was within the update, and showed none
    bool stuck; // an update went on for too long, and within one second
};

static struct look look(void)
{
    struct look l = {.begin = rdtsc()};
    l.updating = rtc_read(RTC_A) & UIP;
    l.second = rtc_read(SECONDS);
    l.end = rdtsc();
    return l;
}

static void compare(struct updates *u, const struct look *before, const struct look *now)
{
    bool changed = now->second != before->second;
    u->counted |= changed;
    u->ended |= before->updating && !now->updating;
    u->missed |=
        changed && !before->updating && now->end - before->begin < divide(UPDATE_US * tick_hz, SECOND_US);
    if (!before->updating || changed)
        u->rose = *now;
    else if (now->updating)
        u->stuck |= now->begin - u->rose.end > divide(2 * UPDATE_US * tick_hz, SECOND_US);
}

// A machine that shares its processor may have none during an update, and so sees nothing of it. That is excused, as
// far as the TSC says so, and the next update is waited for.
static void check_updates(void)
{
    check_bits("clock-valid", VALID, VALID, rtc_read(RTC_D));
    struct look before = look(), now;
    struct updates u = {.rose = before};
    uint64_t end = before.end + PATIENCE_S * tick_hz;
    do {
        now = look();
        compare(&u, &before, &now);
        before = now;
    } while (!(u.counted && (u.ended || u.missed || u.stuck)) && now.end < end);
    bool excused = !u.ended && !u.missed && !u.stuck && u.counted;
    if (excused)
        skip("clock-update-in-progress", "the processor was elsewhere during every update");
    else
        check(u.ended && !u.missed && !u.stuck, "clock-update-in-progress",
              "expected it set for 2 ms before each second\ngot %s",
              u.missed  ? "it clear there"
              : u.stuck ? "it set for longer"
                        : "it never set");
    check(u.counted, "clock-seconds", "expected another second than %u\ngot the same", now.second);
}

// Waits for interrupts that `enable` lets through, for as long as a busy processor may make each of them take.
static void listen(uint8_t enable, unsigned count)
{
    came = 0;
    causes = 0;
    (void)rtc_read(RTC_C);
    rtc_write(RTC_B, enable | BINARY_24);
    for (uint64_t end = rdtsc() + PATIENCE_S * tick_hz; came < count && rdtsc() < end;)
        halt_once();
    rtc_write(RTC_B, BINARY_24);
}

static void check_interrupts(void)
{
    exception_handle(VECTOR, on_clock);
    pic_open((uint16_t) ~(1 << CASCADE | 1 << IRQ_RTC));
    listen(UPDATE, 1);
    check_bits("clock-update-interrupt", IRQF | UPDATE, IRQF | UPDATE, causes);
    rtc_write(SECONDS_ALARM, ANY);
    rtc_write(MINUTES_ALARM, ANY);
    rtc_write(HOURS_ALARM, ANY);
    listen(ALARM, 1);
    check_bits("clock-alarm-interrupt", IRQF | ALARM, IRQF | ALARM, causes);
    rtc_write(RTC_A, RATE_1024_HZ);
    uint64_t begin = rdtsc();
    listen(PERIODIC, PERIODS);
    uint64_t took = rdtsc() - begin, least = divide((PERIODS - 1) * tick_hz, 1024);
    check_bits("clock-periodic-interrupt", IRQF | PERIODIC, IRQF | PERIODIC, causes);
    check(came >= PERIODS && took >= least, "clock-periodic-rate",
          "expected %u in %llu ticks or more\ngot %u in %llu", PERIODS, (unsigned long long)least, came,
          (unsigned long long)took);
    came = 0;
    interrupts_window();
    check_equal("clock-quiet", 0, came);
    pic_open(0xffff);
}

void clock_test(uint64_t tsc_hz)
{
    tick_hz = tsc_hz;
    rtc_write(RTC_B, BINARY_24);
    check_updates();
    check_interrupts();
}
