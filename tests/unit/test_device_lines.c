// PIT, RTC and UART interrupt: their lines and what they ask to be woken for.
#include "dev/devices.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include "dev/lapic.h"
#include "tests/host/device_host.h"

enum { HZ = 20000000, LEAST = HZ / DEVICE_EVENTS_PER_SECOND };
enum { A = 10, B = 11, C = 12 };

static const uint64_t NOON = 1795348800; // 2026-11-22 12:00:00 UTC

static struct fake_machine machine;
static struct devices devices;
static struct lapic_bus bus; // nobody there
static struct pic *const pic = &devices.pic;
static struct io_map *io;

static int start(void **state)
{
    (void)state;
    machine = (struct fake_machine){.wall_us = NOON * 1000000};
    fake_host.tsc_hz = HZ;
    devices_init(&devices, &fake_host, &machine, 4 << 20);
    io = &devices.io;
    devices_connect(&devices, &bus);
    devices_start(&devices);
    io_out(io, 0x21, 1, 0);
    io_out(io, 0xa1, 1, 0);
    return 0;
}

// To TSC `t`, the wall clock with it, and every deadline on the way served in time.
static void at(uint64_t t)
{
    while (machine.tsc < t) {
        uint64_t next = t;
        for (unsigned i = 0; i < DEVICE_TIMERS; i++)
            if (machine.armed[i] && machine.armed[i] > machine.tsc)
                next = min_u64(next, machine.armed[i]);
        machine.tsc = next;
        machine.wall_us = NOON * 1000000 + next / (HZ / 1000000);
        for (unsigned i = 0; i < DEVICE_TIMERS; i++)
            if (machine.armed[i] && machine.armed[i] <= next)
                devices_expire(&devices, (enum device_timer)i);
    }
}

// The IRQ that interrupts now and is served; -1: none.
static int served(void)
{
    if (!pic_pending(pic))
        return -1;
    int irq = pic_acknowledge(pic) - 8;
    if (irq >= 8)
        irq -= 0x70 - 0x10;
    io_out(io, 0xa0, 1, 0x20);
    io_out(io, 0x20, 1, 0x20);
    return irq;
}

static void pit(uint8_t control, uint16_t count)
{
    io_out(io, 0x43, 1, control);
    io_out(io, 0x40, 1, count & 0xff);
    io_out(io, 0x40, 1, count >> 8);
    while (served() >= 0)
        ;
}

// The timer, which firmware left running, stops.
static int start_quiet(void **state)
{
    start(state);
    io_out(io, 0x43, 1, 0x30);
    return 0;
}

static void pit_rates(void **state)
{
    (void)state;
    static const uint8_t controls[] = {0x34, 0x36};
    for (unsigned i = 0; i < 2; i++) {
        start(state);
        pit(controls[i], 11932); // 100 Hz
        unsigned n = 0;
        for (unsigned ms = 1; ms <= 1000; ms++) {
            at(ms * (HZ / 1000));
            n += served() == PIT_IRQ;
        }
        assert_in_range(n, 99, 100);
    }
}

static void pit_once(void **state)
{
    (void)state;
    pit(0x30, 1193); // 1 ms
    at(HZ / 1000 - 100);
    assert_int_equal(served(), -1);
    at(HZ / 1000 + 100);
    assert_int_equal(served(), PIT_IRQ);
    at(HZ);
    assert_int_equal(served(), -1);
    assert_int_equal(machine.armed[DEVICE_TIMER_PIT], ~0ull);
    io_out(io, 0x40, 1, 100); // half a count is no count
    assert_int_equal(served(), -1);
    io_out(io, 0x40, 1, 0);
    at(HZ + HZ / 1000);
    assert_int_equal(served(), PIT_IRQ);
}

static void a_storm_leaves_time(void **state)
{
    (void)state;
    pit(0x34, 1);
    for (unsigned i = 0; i < 10; i++) {
        uint64_t before = machine.tsc;
        devices_expire(&devices, DEVICE_TIMER_PIT);
        assert_true(machine.armed[DEVICE_TIMER_PIT] >= before + LEAST);
        at(machine.armed[DEVICE_TIMER_PIT]);
        assert_int_equal(served(), PIT_IRQ);
    }
}

static uint8_t cmos(uint8_t reg)
{
    io_out(io, 0x70, 1, reg);
    return (uint8_t)io_in(io, 0x71, 1);
}

static void set_cmos(uint8_t reg, uint8_t v)
{
    io_out(io, 0x70, 1, reg);
    io_out(io, 0x71, 1, v);
}

static void rtc_periodic(void **state)
{
    (void)state;
    cmos(C);
    set_cmos(B, 0x42);
    unsigned n = 0;
    for (unsigned us = 100; us <= 1000000; us += 100) {
        at((uint64_t)us * (HZ / 1000000));
        if (served() != RTC_IRQ)
            continue;
        n++;
        assert_int_equal(cmos(C) & 0xc0, 0xc0);
    }
    assert_in_range(n, 1023, 1024);
    at(HZ * 2);
    assert_int_equal(served(), RTC_IRQ);
    at(HZ * 3);
    assert_int_equal(served(), -1); // status C was not read
}

// The next period ends while status C is read, behind the clearing of its flags: that is another edge.
static void rtc_period_within_a_read(void **state)
{
    (void)state;
    cmos(C);
    set_cmos(B, 0x42);
    at(HZ / 512);
    assert_int_equal(served(), RTC_IRQ);
    machine.us_a_look = 977;
    assert_int_equal(cmos(C) & 0xc0, 0xc0);
    machine.us_a_look = 0;
    assert_int_equal(served(), RTC_IRQ);
    assert_int_equal(cmos(C) & 0xc0, 0xc0);
    assert_int_equal(served(), -1);
}

static void rtc_update_and_alarm(void **state)
{
    (void)state;
    cmos(C);
    set_cmos(B, 0x12);
    at(HZ - 1000);
    assert_int_equal(served(), -1);
    at(HZ + LEAST);
    assert_int_equal(served(), RTC_IRQ);
    assert_int_equal(cmos(C) & 0xb0, 0x90);
    set_cmos(B, 0x22);
    set_cmos(5, 0x12);
    set_cmos(3, 0x01);
    set_cmos(1, 0x30); // 12:01:30
    at((uint64_t)HZ * 90 - 1000);
    assert_int_equal(served(), -1);
    at((uint64_t)HZ * 90 + LEAST);
    assert_int_equal(served(), RTC_IRQ);
    assert_int_equal(cmos(C) & 0xa0, 0xa0);
    set_cmos(5, 0xff);
    set_cmos(3, 0xff); // every minute
    at((uint64_t)HZ * 150 + LEAST);
    assert_int_equal(served(), RTC_IRQ);
    cmos(C);
    set_cmos(3, 0x40);
    set_cmos(1, 0x00); // every hour, 40 minutes past it
    at((uint64_t)HZ * 2400 - 1000);
    assert_int_equal(served(), -1);
    at((uint64_t)HZ * 2400 + LEAST);
    assert_int_equal(served(), RTC_IRQ);
    cmos(C);
    set_cmos(5, 0x99); // never
    assert_int_equal(machine.armed[DEVICE_TIMER_RTC], ~0ull);
}

static void uart_transmits_by_interrupt(void **state)
{
    (void)state;
    io_out(io, 0x3f9, 1, 2);
    assert_int_equal(served(), -1); // OUT2 is off
    io_out(io, 0x3fc, 1, 0x0b);
    assert_int_equal(served(), UART_IRQ);
    assert_int_equal(io_in(io, 0x3fa, 1), 2);
    assert_int_equal(served(), -1);
    io_out(io, 0x3f8, 1, 'a');
    assert_int_equal(served(), UART_IRQ);
    io_out(io, 0x3f8, 1, 'b'); // without asking IIR: still a new edge
    assert_int_equal(served(), UART_IRQ);
    machine.busy = true;
    io_out(io, 0x3f8, 1, 'c');
    assert_int_equal(served(), -1);
    at(HZ / 100);
    assert_int_equal(served(), -1);
    machine.busy = false;
    at(HZ / 100 + HZ / 500);
    assert_int_equal(served(), UART_IRQ);
    assert_int_equal(io_in(io, 0x3fa, 1), 2);
}

static void uart_receives_by_interrupt(void **state)
{
    (void)state;
    io_out(io, 0x3f9, 1, 1);
    io_out(io, 0x3fc, 1, 8);
    assert_int_equal(uart_input(&devices.uart, "xy", 2), 1); // no FIFO yet
    assert_int_equal(served(), UART_IRQ);
    assert_int_equal(io_in(io, 0x3fa, 1), 4);
    assert_int_equal(machine.rooms, 0);
    assert_int_equal(io_in(io, 0x3f8, 1), 'x');
    assert_int_equal(machine.rooms, 1); // for the one that was refused
    io_out(io, 0x3fa, 1, 1);
    assert_int_equal(machine.rooms, 1);
    io_out(io, 0x3fc, 1, 0x18); // loopback
    assert_int_equal(uart_input(&devices.uart, "z", 1), 0);
    io_out(io, 0x3fc, 1, 8);
    assert_int_equal(machine.rooms, 2);
    assert_int_equal(uart_input(&devices.uart, "0123456789abcdefgh", 18), UART_FIFO);
    assert_int_equal(uart_input(&devices.uart, "!", 1), 0);
    assert_int_equal(served(), UART_IRQ);
    for (unsigned i = 0; i < UART_FIFO; i++)
        assert_int_equal(io_in(io, 0x3f8, 1), "0123456789abcdef"[i]);
    assert_int_equal(io_in(io, 0x3fa, 1) & 15, 1);
    assert_int_equal(served(), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(pit_rates, start),
        cmocka_unit_test_setup(pit_once, start),
        cmocka_unit_test_setup(a_storm_leaves_time, start),
        cmocka_unit_test_setup(rtc_periodic, start_quiet),
        cmocka_unit_test_setup(rtc_period_within_a_read, start_quiet),
        cmocka_unit_test_setup(rtc_update_and_alarm, start_quiet),
        cmocka_unit_test_setup(uart_transmits_by_interrupt, start_quiet),
        cmocka_unit_test_setup(uart_receives_by_interrupt, start_quiet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
