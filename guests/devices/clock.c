// The clock: updates, and its three interrupts, which a read of register C ends (MC146818A data sheet). Interrupts come
// through the PIC.
#include "guests/devices/devices.h"

enum { UIP = 0x80, PERIODIC = 0x40, ALARM = 0x20, UPDATE = 0x10, IRQF = 0x80, BINARY_24 = 6, ANY = 0xff };
enum { SECONDS = 0, SECONDS_ALARM = 1, MINUTES_ALARM = 3, HOURS_ALARM = 5, VALID = 0x80, RTC_D = 13 };
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

// Until bit 7 of register A is `set`; how long that took, or three seconds.
static uint64_t wait_update(bool set)
{
    uint64_t begin = rdtsc(), now = begin;
    while (((rtc_read(RTC_A) & UIP) != 0) != set && now - begin < 3 * tick_hz)
        now = rdtsc();
    return now - begin;
}

static void check_updates(void)
{
    check_bits("clock-valid", VALID, VALID, rtc_read(RTC_D));
    wait_update(true);
    wait_update(false);
    uint8_t before = rtc_read(SECONDS);
    bool rose = wait_update(true) < 2 * tick_hz;
    bool fell = wait_update(false) < tick_hz;
    check(rose && fell, "clock-update-in-progress",
          "expected it set, then clear, within two seconds\ngot %u, %u", rose, fell);
    check(rtc_read(SECONDS) != before, "clock-seconds", "expected another second than %u\ngot the same",
          before);
}

// Waits for interrupts that `enable` lets through, for up to three seconds.
static void listen(uint8_t enable, unsigned count)
{
    came = 0;
    causes = 0;
    (void)rtc_read(RTC_C);
    rtc_write(RTC_B, enable | BINARY_24);
    for (uint64_t end = rdtsc() + 3 * tick_hz; came < count && rdtsc() < end;)
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
