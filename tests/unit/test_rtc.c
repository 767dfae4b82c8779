#include "dev/rtc.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/host/device_host.h"

enum { A = 10, B = 11, C = 12, D = 13, CENTURY = 0x32, SET = 0x80, BINARY = 4, HOURS_24 = 2, PM = 0x80 };

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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
