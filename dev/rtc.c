#include "dev/rtc.h"
#include "dev/calendar.h"
#include "dev/scale.h"

enum rtc_register {
    RTC_SECOND = 0,
    RTC_MINUTE = 2,
    RTC_HOUR = 4,
    RTC_WEEKDAY = 6,
    RTC_DAY = 7,
    RTC_MONTH = 8,
    RTC_YEAR = 9,
    RTC_A = 0x0a,
    RTC_B = 0x0b,
    RTC_C = 0x0c,
    RTC_D = 0x0d,
    RTC_EQUIPMENT = 0x14,
    RTC_BASE_KIB = 0x15,
    RTC_EXTENDED_KIB = 0x17,
    RTC_EXTENDED_KIB_AGAIN = 0x30,
    RTC_CENTURY = 0x32,
    RTC_ABOVE_16M = 0x34,
    RTC_ABOVE_4G = 0x5b,
};
enum { A_UPDATING = 0x80, A_DIVIDER_32768 = 0x20, A_RATE_1024 = 6 };
enum { B_24_HOURS = 2, B_BINARY = 4, B_SET = 0x80 };
// Flags of status C; the same bits of status B enable their interrupts.
enum {
    C_UPDATED = 0x10,
    C_ALARM = 0x20,
    C_PERIODIC = 0x40,
    C_FLAGS = 0x70,
    C_REQUEST = 0x80,
    D_VALID = 0x80,
};
enum { HOUR_PM = 0x80, ALARM_ANY = 0xc0 };
enum {
    SECOND_US = 1000000,
    UPDATE_US = 244 + 1984, // UIP rises 244 us before the update cycle, which takes 1984 us
    EQUIPMENT_PC = 0x22,    // coprocessor, 80-column colour display, no floppy
};

// A value as its register shows it, in the format that status B asks for now.
static uint8_t shown(const struct rtc *r, uint8_t v)
{
    return r->cell[RTC_B] & B_BINARY ? v : (uint8_t)to_bcd(v);
}

static uint8_t shown_hour(const struct rtc *r, uint8_t hour)
{
    if (r->cell[RTC_B] & B_24_HOURS)
        return shown(r, hour);
    return shown(r, hour % 12 == 0 ? 12 : hour % 12) | (hour >= 12 ? HOUR_PM : 0);
}

static void store(struct rtc *r, enum rtc_register reg, uint8_t v)
{
    r->cell[reg] = shown(r, v);
}

// What a register means that shows `raw`.
static uint8_t value_of(const struct rtc *r, uint8_t raw)
{
    return r->cell[RTC_B] & B_BINARY ? raw : (uint8_t)from_bcd(raw);
}

static uint8_t hour_of(const struct rtc *r, uint8_t raw)
{
    if (r->cell[RTC_B] & B_24_HOURS)
        return value_of(r, raw);
    uint8_t hour = value_of(r, raw & ~HOUR_PM) % 12;
    return raw & HOUR_PM ? hour + 12 : hour;
}

static uint8_t fetch(const struct rtc *r, enum rtc_register reg)
{
    return value_of(r, r->cell[reg]);
}

static int64_t wall_seconds(const struct rtc *r)
{
    return (int64_t)(r->host->wall_us(r->owner) / SECOND_US);
}

// Puts the time into its registers, in the format that status B asks for now.
static void refresh(struct rtc *r)
{
    struct calendar c = calendar_from_seconds(wall_seconds(r) + r->offset);
    store(r, RTC_SECOND, c.second);
    store(r, RTC_MINUTE, c.minute);
    r->cell[RTC_HOUR] = shown_hour(r, c.hour);
    store(r, RTC_WEEKDAY, c.weekday);
    store(r, RTC_DAY, c.day);
    store(r, RTC_MONTH, c.month);
    store(r, RTC_YEAR, (uint8_t)(c.year % 100));
    store(r, RTC_CENTURY, (uint8_t)(c.year / 100 % 100));
}

// The registers are the time from now on. Any byte is a valid field here: what is out of range carries over.
static void take_over(struct rtc *r)
{
    struct calendar c = {
        .year = fetch(r, RTC_CENTURY) * 100 + fetch(r, RTC_YEAR),
        .month = fetch(r, RTC_MONTH),
        .day = fetch(r, RTC_DAY),
        .hour = hour_of(r, r->cell[RTC_HOUR]),
        .minute = fetch(r, RTC_MINUTE),
        .second = fetch(r, RTC_SECOND),
    };
    r->offset = calendar_to_seconds(&c) - wall_seconds(r);
}

static bool is_time(uint8_t reg)
{
    return reg == RTC_CENTURY || (reg <= RTC_YEAR && (reg >= RTC_WEEKDAY || reg % 2 == 0));
}

static uint8_t read_a(const struct rtc *r)
{
    bool updating = r->host->wall_us(r->owner) % SECOND_US >= SECOND_US - UPDATE_US;
    return r->cell[RTC_A] | (updating && !(r->cell[RTC_B] & B_SET) ? A_UPDATING : 0);
}

// Alarm registers: any value, or one that the time never shows.
enum { EVERY = -1, NEVER = -2 };

static int alarm_hour(const struct rtc *r)
{
    uint8_t alarm = r->cell[RTC_HOUR + 1], hour = hour_of(r, alarm);
    if ((alarm & ALARM_ANY) == ALARM_ANY)
        return EVERY;
    return hour < 24 && shown_hour(r, hour) == alarm ? hour : NEVER;
}

// Of minutes or seconds.
static int alarm_value(const struct rtc *r, enum rtc_register time)
{
    uint8_t alarm = r->cell[time + 1], value = value_of(r, alarm);
    if ((alarm & ALARM_ANY) == ALARM_ANY)
        return EVERY;
    return value < 60 && shown(r, value) == alarm ? value : NEVER;
}

// The first second from `t` on in which the digit of `unit` seconds, which has `base` values, is `value`.
static uint32_t leap(uint32_t t, uint32_t unit, uint32_t base, int value)
{
    if (value == EVERY)
        return t;
    uint32_t ahead = ((uint32_t)value + base - t / unit % base) % base;
    return ahead ? t - t % unit + ahead * unit : t;
}

// The first second after `from` (guest's time) at which the alarm goes off, within a day; 0: none.
static int64_t next_alarm(const struct rtc *r, int64_t from)
{
    int hour = alarm_hour(r), minute = alarm_value(r, RTC_MINUTE), second = alarm_value(r, RTC_SECOND);
    if (hour == NEVER || minute == NEVER || second == NEVER)
        return 0;
    struct calendar c = calendar_from_seconds(from + 1);
    uint32_t first = (c.hour * 60u + c.minute) * 60 + c.second, t = first, before;
    do {
        before = t;
        t = leap(leap(leap(t, 3600, 24, hour), 60, 60, minute), 1, 60, second);
    } while (t != before);
    return from + 1 + (t - first);
}

// Periodic events a second: 32768 Hz divided; the two fastest rates are those of 8 and 9.
static uint32_t periodic_rate(const struct rtc *r)
{
    unsigned rate = r->cell[RTC_A] & 15;
    return rate == 0 ? 0 : 32768u >> ((rate < 3 ? rate + 7 : rate) - 1);
}

// How many came up to a time of the wall clock.
static uint64_t periods_until(const struct rtc *r, uint64_t us)
{
    return scale(us, periodic_rate(r), SECOND_US);
}

// Sets the flags of what has happened since the last look. The update flag is set once a second.
static void collect(struct rtc *r)
{
    uint64_t us = r->host->wall_us(r->owner), second = us / SECOND_US;
    uint64_t periods = periods_until(r, us);
    bool updated = second != r->update_seen && !(r->cell[RTC_B] & B_SET);
    if (periods != r->period_seen)
        r->flags |= C_PERIODIC;
    if (updated) {
        int64_t alarm = next_alarm(r, (int64_t)r->update_seen + r->offset);
        if (alarm && alarm <= (int64_t)second + r->offset)
            r->flags |= C_ALARM;
    }
    if (updated)
        r->flags |= C_UPDATED;
    r->update_seen = second;
    r->period_seen = periods;
}

// Microseconds of the wall clock at which the next enabled flag will be set; ~0: none.
static uint64_t next_event(const struct rtc *r)
{
    uint8_t enabled = r->cell[RTC_B], rate_on = enabled & C_PERIODIC && periodic_rate(r);
    uint64_t next = ~0ull;
    if (rate_on)
        next = scale(r->period_seen + 1, SECOND_US, periodic_rate(r)) + 1;
    if ((enabled & C_UPDATED) && !(enabled & B_SET))
        next = min_u64(next, (r->update_seen + 1) * SECOND_US);
    int64_t alarm =
        (enabled & (C_ALARM | B_SET)) == C_ALARM ? next_alarm(r, (int64_t)r->update_seen + r->offset) : 0;
    return alarm ? min_u64(next, (uint64_t)(alarm - r->offset) * SECOND_US) : next;
}

// A request that nobody took yet needs no second one.
void rtc_expire(struct rtc *r)
{
    collect(r);
    bool request = r->flags & r->cell[RTC_B] & C_FLAGS;
    line_set(&r->line, request);
    uint64_t at = request ? ~0ull : next_event(r), us = r->host->wall_us(r->owner);
    if (at != ~0ull) {
        uint64_t left = scale(at > us ? at - us : 0, r->host->tsc_hz, SECOND_US) + 1;
        at = r->host->now(r->owner).v + max_u64(left, device_least_wait(r->host));
    }
    r->host->arm(r->owner, DEVICE_TIMER_RTC, tsc(at));
}

// Reading clears the flags and with them the request. What comes after that, be it while this runs, is another edge.
static uint8_t read_c(struct rtc *r)
{
    collect(r);
    uint8_t flags = r->flags;
    r->flags = 0;
    line_set(&r->line, false);
    rtc_expire(r);
    return flags & r->cell[RTC_B] & C_FLAGS ? flags | C_REQUEST : flags;
}

static uint8_t read_cell(struct rtc *r, uint8_t reg)
{
    if (reg == RTC_A)
        return read_a(r);
    if (reg == RTC_C)
        return read_c(r);
    if (is_time(reg) && !(r->cell[RTC_B] & B_SET))
        refresh(r);
    return r->cell[reg];
}

// SET freezes the registers for writing; clearing it starts the clock from them.
static void write_b(struct rtc *r, uint8_t v)
{
    bool was_set = r->cell[RTC_B] & B_SET;
    if (!was_set)
        refresh(r);
    r->cell[RTC_B] = v;
    if (was_set && !(v & B_SET))
        take_over(r);
}

// Periods at the old rate end here, those at the new one count from here.
static void write_a(struct rtc *r, uint8_t v)
{
    collect(r);
    r->cell[RTC_A] = v & ~A_UPDATING;
    r->period_seen = periods_until(r, r->host->wall_us(r->owner));
}

static void write_cell(struct rtc *r, uint8_t reg, uint8_t v)
{
    if (reg == RTC_A)
        return write_a(r, v);
    if (reg == RTC_B)
        return write_b(r, v);
    if (reg == RTC_C || reg == RTC_D)
        return;
    bool moves_clock = is_time(reg) && !(r->cell[RTC_B] & B_SET);
    if (moves_clock)
        refresh(r);
    r->cell[reg] = v;
    if (moves_clock)
        take_over(r);
}

static uint8_t in8(struct device *d, uint16_t port)
{
    struct rtc *r = container_of(d, struct rtc, device);
    return port == RTC_DATA ? read_cell(r, r->index) : 0xff;
}

// Bit 7 of the index masks NMI on a PC; nothing here raises one.
static void out8(struct device *d, uint16_t port, uint8_t v)
{
    struct rtc *r = container_of(d, struct rtc, device);
    if (port == RTC_INDEX)
        r->index = v & (RTC_CELLS - 1);
    else if (port == RTC_DATA) {
        write_cell(r, r->index, v);
        rtc_expire(r);
    }
}

static void store_size(struct rtc *r, enum rtc_register reg, unsigned bytes, uint64_t v)
{
    v = min_u64(v, (1ull << 8 * bytes) - 1);
    for (unsigned i = 0; i < bytes; i++)
        r->cell[reg + i] = (uint8_t)(v >> 8 * i);
}

static uint64_t above(uint64_t ram, uint64_t from)
{
    return ram > from ? ram - from : 0;
}

// Memory as firmware tells it. What is in the way at 3 GB and up is the loader's e820 map's business.
static void store_memory(struct rtc *r, uint64_t ram)
{
    enum { KIB = 10, BLOCK = 16 };
    store_size(r, RTC_BASE_KIB, 2, min_u64(ram >> KIB, 640));
    store_size(r, RTC_EXTENDED_KIB, 2, above(ram, 1ull << 20) >> KIB);
    store_size(r, RTC_EXTENDED_KIB_AGAIN, 2, above(ram, 1ull << 20) >> KIB);
    store_size(r, RTC_ABOVE_16M, 2, above(min_u64(ram, 1ull << 32), 1ull << 24) >> BLOCK);
    store_size(r, RTC_ABOVE_4G, 3, above(ram, 1ull << 32) >> BLOCK);
}

void rtc_init(struct rtc *r, const struct dev_host *host, void *owner, uint64_t ram)
{
    static const struct device_ops ops = {.in = in8, .out = out8};
    *r = (struct rtc){.device = {&ops}, .host = host, .owner = owner};
    r->cell[RTC_A] = A_DIVIDER_32768 | A_RATE_1024;
    r->cell[RTC_B] = B_24_HOURS;
    r->cell[RTC_D] = D_VALID;
    r->cell[RTC_EQUIPMENT] = EQUIPMENT_PC;
    store_memory(r, ram);
}
