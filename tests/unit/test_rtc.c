#include "dev/rtc.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>
#include "tests/host/device_host.h"

enum { A = 10, B = 11, C = 12, D = 13, CENTURY = 0x32, SET = 0x80, BINARY = 4, HOURS_24 = 2, PM = 0x80 };
enum { ALARM = 0x20, DAY = 86400 };

static const uint64_t NOON = 1795348800; // 2026-11-22 12:00:00 UTC, a Sunday
static const uint64_t MIB = 1ull << 20, GIB = 1ull << 30;

static struct fake_machine machine;
static struct rtc rtc;

static int start(void **state)
{
    (void)state;
    machine = (struct fake_machine){.wall_us = NOON * 1000000};
    rtc_init(&rtc, &fake_host, &machine, 64 * MIB);
    return 0;
}

static void at(uint64_t second)
{
    machine.wall_us = second * 1000000;
}

static uint8_t get(uint8_t reg)
{
    rtc.device.ops->out(&rtc.device, RTC_INDEX, reg);
    return (uint8_t)rtc.device.ops->in(&rtc.device, RTC_DATA);
}

static void put(uint8_t reg, uint8_t v)
{
    rtc.device.ops->out(&rtc.device, RTC_INDEX, reg);
    rtc.device.ops->out(&rtc.device, RTC_DATA, v);
}

static void check_time(const uint8_t want[8])
{
    static const uint8_t reg[8] = {CENTURY, 9, 8, 7, 6, 4, 2, 0};
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(get(reg[i]), want[i]);
}

static void time_is_bcd_and_24_hours_at_first(void **state)
{
    (void)state;
    at(NOON + 3 * 3600 + 45 * 60 + 59);
    check_time((const uint8_t[]){0x20, 0x26, 0x11, 0x22, 0x01, 0x15, 0x45, 0x59});
    at(NOON + 3 * 3600 + 46 * 60);
    check_time((const uint8_t[]){0x20, 0x26, 0x11, 0x22, 0x01, 0x15, 0x46, 0x00});
}

static void binary_and_12_hours(void **state)
{
    (void)state;
    put(B, BINARY | HOURS_24);
    at(NOON + 11 * 3600 + 59);
    check_time((const uint8_t[]){20, 26, 11, 22, 1, 23, 0, 59});
    static const uint8_t hours[][2] = {
        {0,  12 | PM},
        {1,  1 | PM },
        {11, 11 | PM},
        {12, 12     },
        {13, 1      },
        {23, 11     }
    };
    put(B, BINARY);
    for (unsigned i = 0; i < array_size(hours); i++) {
        at(NOON + hours[i][0] * 3600);
        assert_int_equal(get(4), hours[i][1]);
    }
    put(B, 0);
    assert_int_equal(get(4), 0x11);
}

static void update_in_progress_rises_and_clears(void **state)
{
    (void)state;
    unsigned risen = 0;
    for (uint64_t us = 0; us < 1000000; us += 100) {
        machine.wall_us = NOON * 1000000 + us;
        bool updating = get(A) & 0x80;
        assert_int_equal(updating, us >= 1000000 - 2228);
        risen += updating;
    }
    assert_int_equal(risen, 22);
    put(B, SET | HOURS_24);
    assert_int_equal(get(A), 0x26);
}

static void status_registers(void **state)
{
    (void)state;
    assert_int_equal(get(A), 0x26);
    assert_int_equal(get(B), HOURS_24);
    assert_int_equal(get(D), 0x80);
    put(A, 0xff);
    assert_int_equal(get(A), 0x7f);
    put(D, 0);
    assert_int_equal(get(D), 0x80);
    get(C);
    assert_int_equal(get(C), 0);
    at(NOON + 1);
    put(C, 0xff);
    assert_int_equal(get(C), 0x50); // also the periodic flag, with its interrupt off
    assert_int_equal(get(C), 0);
    put(B, HOURS_24 | 0x10);
    at(NOON + 2);
    assert_int_equal(get(C), 0xd0);
}

static void the_guest_sets_its_clock(void **state)
{
    (void)state;
    put(B, SET | HOURS_24);
    static const uint8_t reg[] = {CENTURY, 9, 8, 7, 4, 2, 0},
                         value[] = {0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x58};
    for (unsigned i = 0; i < array_size(reg); i++)
        put(reg[i], value[i]);
    at(NOON + 500); // frozen meanwhile
    assert_int_equal(get(0), 0x58);
    put(B, HOURS_24);
    assert_int_equal(get(0), 0x58);
    at(NOON + 502);
    check_time((const uint8_t[]){0x20, 0x00, 0x01, 0x01, 0x07, 0x00, 0x00, 0x00});
}

static void a_single_field_is_set_without_set(void **state)
{
    (void)state;
    put(2, 0x30);
    check_time((const uint8_t[]){0x20, 0x26, 0x11, 0x22, 0x01, 0x12, 0x30, 0x00});
}

static void pm_hours_are_understood(void **state)
{
    (void)state;
    put(B, SET);
    put(4, 0x12 | PM);
    put(B, 0);
    put(B, HOURS_24);
    assert_int_equal(get(4), 0x12);
    put(B, SET);
    put(4, 0x12);
    put(B, 0);
    put(B, HOURS_24);
    assert_int_equal(get(4), 0x00);
}

static void other_cells_are_memory(void **state)
{
    (void)state;
    for (unsigned reg = 0x0e; reg < 0x80; reg++) {
        if (reg == CENTURY)
            continue;
        put((uint8_t)reg, (uint8_t)~reg);
        assert_int_equal(get((uint8_t)(reg | 0x80)), (uint8_t)~reg); // bit 7 of the index is no part of it
    }
    put(1, 0x77); // alarms
    assert_int_equal(get(1), 0x77);
    assert_int_equal(rtc.device.ops->in(&rtc.device, RTC_INDEX), 0xff);
}

static uint32_t size(uint8_t reg, unsigned bytes)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v |= (uint32_t)get((uint8_t)(reg + i)) << 8 * i;
    return v;
}

static void memory_is_told_as_firmware_does(void **state)
{
    (void)state;
    const struct {
        uint64_t ram;
        uint32_t base, extended, above_16m, above_4g;
    } rows[] = {
        {64 << 10, 64,  0,     0,      0       },
        {1 * MIB,  640, 0,     0,      0       },
        {4 * MIB,  640, 3072,  0,      0       },
        {64 * MIB, 640, 64512, 768,    0       },
        {65 * MIB, 640, 65535, 784,    0       },
        {3 * GIB,  640, 65535, 0xbf00, 0       },
        {6 * GIB,  640, 65535, 0xff00, 0x8000  },
        {~0ull,    640, 65535, 0xff00, 0xffffff},
    };
    for (unsigned i = 0; i < array_size(rows); i++) {
        rtc_init(&rtc, &fake_host, &machine, rows[i].ram);
        assert_int_equal(size(0x15, 2), rows[i].base);
        assert_int_equal(size(0x17, 2), rows[i].extended);
        assert_int_equal(size(0x30, 2), rows[i].extended);
        assert_int_equal(size(0x34, 2), rows[i].above_16m);
        assert_int_equal(size(0x5b, 3), rows[i].above_4g);
    }
}

// Periods at another rate are counted from the write of register A on.
static void a_new_rate_is_no_period(void **state)
{
    (void)state;
    get(C);
    for (unsigned rate = 0; rate < 16; rate++) {
        put(A, (uint8_t)(0x20 | rate));
        assert_int_equal(get(C), 0);
    }
    put(A, 0x26); // 1024 a second
    machine.wall_us += 1000;
    put(A, 0x2f); // twice a second: what has come stays
    assert_int_equal(get(C), 0x40);
    assert_int_equal(get(C), 0);
    machine.wall_us += 500000;
    assert_int_equal(get(C), 0x40);
}

static uint8_t digits(uint8_t b, unsigned v)
{
    return (uint8_t)(b & BINARY ? v : v / 10 << 4 | v % 10);
}

// What the hour register shows.
static uint8_t hour_digits(uint8_t b, unsigned hour)
{
    unsigned twelve = hour % 12 ? hour % 12 : 12;
    return b & HOURS_24 ? digits(b, hour) : digits(b, twelve) | (hour < 12 ? 0 : PM);
}

static bool rings(uint8_t b, const uint8_t alarm[3], uint64_t t)
{
    const uint8_t now[] = {hour_digits(b, t / 3600 % 24), digits(b, t / 60 % 60), digits(b, t % 60)};
    bool all = true;
    for (unsigned i = 0; i < 3; i++)
        all = all && (alarm[i] >= 0xc0 || alarm[i] == now[i]);
    return all;
}

static void set_alarm(const uint8_t alarm[3])
{
    for (unsigned i = 0; i < 3; i++)
        put((uint8_t)(5 - 2 * i), alarm[i]);
}

// A register that matches often, or always, or any byte.
static uint8_t alarm_byte(uint8_t value)
{
    return rand() % 4 ? rand() % 3 ? value : 0xff : (uint8_t)rand();
}

static void alarms_ring_at_the_first_second_that_matches(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 300; i++) {
        uint64_t now = NOON + (unsigned)rand() % (2 * DAY), t = now + 1;
        uint8_t b = ALARM | (rand() & (BINARY | HOURS_24));
        const uint8_t alarm[] = {alarm_byte(hour_digits(b, (unsigned)rand() % 24)),
                                 alarm_byte(digits(b, (unsigned)rand() % 60)),
                                 alarm_byte(digits(b, (unsigned)rand() % 60))};
        start(NULL);
        at(now);
        get(C);
        put(B, b);
        set_alarm(alarm);
        while (t <= now + DAY && !rings(b, alarm, t))
            t++;
        uint64_t want = t > now + DAY ? ~0ull : (t - now) * fake_host.tsc_hz + 1;
        assert_int_equal(machine.armed[DEVICE_TIMER_RTC], want);
    }
}

// An access takes no longer for an alarm whose second never comes: a hundred took a second of the processor when each
// second of a day was looked at.
static void alarms_that_never_come_take_no_time(void **state)
{
    (void)state;
    get(C);
    set_alarm((const uint8_t[]){0xff, 0xff, 0x7f});
    put(B, ALARM | HOURS_24);
    clock_t before = clock();
    for (unsigned i = 1; i <= 100; i++) {
        at(NOON + i);
        assert_int_equal(get(C) & ALARM, 0);
    }
    assert_in_range(clock() - before, 0, CLOCKS_PER_SEC / 20);
    assert_int_equal(machine.armed[DEVICE_TIMER_RTC], ~0ull);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(time_is_bcd_and_24_hours_at_first, start),
        cmocka_unit_test_setup(binary_and_12_hours, start),
        cmocka_unit_test_setup(update_in_progress_rises_and_clears, start),
        cmocka_unit_test_setup(status_registers, start),
        cmocka_unit_test_setup(the_guest_sets_its_clock, start),
        cmocka_unit_test_setup(a_single_field_is_set_without_set, start),
        cmocka_unit_test_setup(pm_hours_are_understood, start),
        cmocka_unit_test_setup(other_cells_are_memory, start),
        cmocka_unit_test_setup(memory_is_told_as_firmware_does, start),
        cmocka_unit_test_setup(a_new_rate_is_no_period, start),
        cmocka_unit_test_setup(alarms_ring_at_the_first_second_that_matches, start),
        cmocka_unit_test_setup(alarms_that_never_come_take_no_time, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
