#include "dev/pit.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include "dev/scale.h"
#include "tests/host/device_host.h"

enum { CH0 = 0x40, CH2 = 0x42, CONTROL = 0x43, PORT_B = 0x61 };
enum { GATE = 1, REFRESH = 0x10, OUT2 = 0x20 };

static struct fake_machine machine;
static struct pit pit;

// With a TSC at twice the PIT's rate, tick n begins at TSC 2n.
static int start(void **state)
{
    (void)state;
    machine = (struct fake_machine){0};
    fake_host.tsc_hz = 2 * PIT_HZ;
    pit_init(&pit, &fake_host, &machine);
    return 0;
}

static void at(uint64_t tick)
{
    machine.tsc = 2 * tick;
}

static uint8_t in(uint16_t port)
{
    return (uint8_t)pit.device.ops->in(&pit.device, port);
}

static void out(uint16_t port, uint8_t v)
{
    pit.device.ops->out(&pit.device, port, v);
}

static bool out2(void)
{
    return in(PORT_B)&OUT2;
}

static unsigned read_both(uint16_t port)
{
    unsigned low = in(port);
    return low | (unsigned)in(port) << 8;
}

static void load2(uint8_t control, uint16_t count)
{
    out(CONTROL, control);
    out(CH2, (uint8_t)count);
    out(CH2, (uint8_t)(count >> 8));
}

static void scaling_is_exact(void **state)
{
    (void)state;
    assert_int_equal(scale(20000000, PIT_HZ, 20000000), PIT_HZ);
    assert_int_equal(scale(19999999, PIT_HZ, 20000000), PIT_HZ - 1);
    assert_int_equal(scale(~0ull, PIT_HZ, PIT_HZ + 1),
                     (uint64_t)((unsigned __int128)~0ull * PIT_HZ / (PIT_HZ + 1)));
    assert_int_equal(scale(3000000000ull * 86400 * 3650, PIT_HZ, 3000000000ull), 86400ull * 3650 * PIT_HZ);
}

// What memtest86+ and Linux do to measure the TSC.
static void mode_0_times_50_ms(void **state)
{
    (void)state;
    at(1000);
    out(PORT_B, (uint8_t)((in(PORT_B) & ~2) | GATE));
    load2(0xb0, 59659);
    assert_false(out2());
    at(1000 + 59658);
    assert_false(out2());
    assert_int_equal(read_both(CH2), 1);
    at(1000 + 59659);
    assert_true(out2());
    at(1000 + 59660);
    assert_true(out2());
    assert_int_equal(read_both(CH2), 0xffff); // it counts on
}

static void mode_0_pauses_with_its_gate(void **state)
{
    (void)state;
    load2(0xb0, 100); // gate low: nothing moves
    at(50);
    assert_int_equal(read_both(CH2), 100);
    out(PORT_B, GATE);
    at(90);
    assert_int_equal(read_both(CH2), 60);
    out(PORT_B, 0);
    at(1000);
    assert_int_equal(read_both(CH2), 60);
    assert_false(out2());
    out(PORT_B, GATE);
    at(1059);
    assert_false(out2());
    at(1060);
    assert_true(out2());
}

static void mode_1_starts_with_the_gate_and_again(void **state)
{
    (void)state;
    load2(0xb2, 10);
    assert_true(out2());
    out(PORT_B, GATE);
    assert_false(out2());
    at(9);
    assert_false(out2());
    out(PORT_B, 0);
    out(PORT_B, GATE);
    at(18);
    assert_false(out2());
    at(19);
    assert_true(out2());
}

static void mode_2_is_low_for_one_tick(void **state)
{
    (void)state;
    out(PORT_B, GATE);
    load2(0xb4, 5);
    for (unsigned t = 0; t < 20; t++) {
        at(t);
        assert_int_equal(out2(), t % 5 != 4);
        assert_int_equal(read_both(CH2), 5 - t % 5);
    }
    out(PORT_B, 0);
    assert_true(out2());
}

static void mode_3_is_a_square_wave(void **state)
{
    (void)state;
    out(PORT_B, GATE);
    load2(0xb6, 6);
    for (unsigned t = 0; t < 12; t++) {
        at(t);
        assert_int_equal(out2(), t % 6 < 3);
        assert_int_equal(read_both(CH2), 6 - 2 * (t % 3));
    }
    at(0);
    load2(0xb6, 5);
    for (unsigned t = 0; t < 10; t++) {
        at(t);
        assert_int_equal(out2(), t % 5 < 3);
    }
}

static void strobes_pulse_once(void **state)
{
    (void)state;
    out(PORT_B, GATE);
    load2(0xb8, 7);
    for (unsigned t = 0; t < 20; t++) {
        at(t);
        assert_int_equal(out2(), t != 7);
    }
    at(0);
    load2(0xba, 7);
    at(7);
    assert_true(out2()); // not triggered
    out(PORT_B, 0);
    out(PORT_B, GATE);
    at(14);
    assert_false(out2());
    at(15);
    assert_true(out2());
}

static void latch_holds_until_read(void **state)
{
    (void)state;
    out(CONTROL, 0x34);
    out(CH0, 0);
    out(CH0, 0x10); // 1000h
    at(0x100);
    out(CONTROL, 0x00);
    at(0x200);
    out(CONTROL, 0x00); // ignored
    assert_int_equal(in(CH0), 0x00);
    at(0x300);
    assert_int_equal(in(CH0), 0x0f);
    assert_int_equal(read_both(CH0), 0x0d00);
}

static void byte_access_modes(void **state)
{
    (void)state;
    out(CONTROL, 0x10); // channel 0, low byte only, mode 0
    out(CH0, 0x80);
    at(1);
    assert_int_equal(in(CH0), 0x7f);
    assert_int_equal(in(CH0), 0x7f);
    out(CONTROL, 0x20); // high byte only
    out(CH0, 0x80);
    at(2);
    assert_int_equal(in(CH0), 0x7f);
    out(CONTROL, 0x00);
    at(0x400);
    assert_int_equal(in(CH0), 0x7f);
    assert_int_equal(in(CH0), 0x7c);
}

static void read_back_latches_status_and_count(void **state)
{
    (void)state;
    out(CONTROL, 0xb0);
    out(CONTROL, 0xe8); // status of channel 2
    assert_int_equal(in(CH2), 0x40 | 0x30);
    out(PORT_B, GATE);
    out(CH2, 10);
    out(CH2, 0);
    at(4);
    out(CONTROL, 0xc8); // both
    at(100);
    out(CONTROL, 0xc8); // ignored
    assert_int_equal(in(CH2), 0x30);
    assert_int_equal(read_both(CH2), 6);
    out(CONTROL, 0xe8);
    assert_int_equal(in(CH2), 0x80 | 0x30);
    assert_int_equal(in(CONTROL), 0xff);
}

static void bcd_counts_in_decimal(void **state)
{
    (void)state;
    out(PORT_B, GATE);
    load2(0xb1, 0x1000);
    at(1);
    assert_int_equal(read_both(CH2), 0x0999);
    load2(0xb1, 0);
    at(2);
    assert_int_equal(read_both(CH2), 0x9999);
    load2(0xb1, 0xffff); // no decimal number, but no harm either
    in(CH2);
}

static void channel_0_runs_from_the_start(void **state)
{
    (void)state;
    assert_int_equal(read_both(CH0), 0);
    at(1);
    assert_int_equal(read_both(CH0), 0xfffe); // mode 3 counts by twos
}

static void refresh_toggles_every_15_us(void **state)
{
    (void)state;
    unsigned toggles = 0;
    uint8_t before = in(PORT_B)&REFRESH;
    for (unsigned t = 0; t < 1193; t++) {
        at(t);
        uint8_t after = in(PORT_B)&REFRESH;
        toggles += before != after;
        before = after;
    }
    assert_int_equal(toggles, 66);
    out(PORT_B, 0xff);
    assert_int_equal(in(PORT_B)&0xcf, 0x0f);
}

static void a_tsc_that_runs_backwards_hangs_nobody(void **state)
{
    (void)state;
    at(1000000);
    out(PORT_B, GATE);
    load2(0xb0, 59659);
    at(0);
    assert_true(out2());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(scaling_is_exact, start),
        cmocka_unit_test_setup(mode_0_times_50_ms, start),
        cmocka_unit_test_setup(mode_0_pauses_with_its_gate, start),
        cmocka_unit_test_setup(mode_1_starts_with_the_gate_and_again, start),
        cmocka_unit_test_setup(mode_2_is_low_for_one_tick, start),
        cmocka_unit_test_setup(mode_3_is_a_square_wave, start),
        cmocka_unit_test_setup(strobes_pulse_once, start),
        cmocka_unit_test_setup(latch_holds_until_read, start),
        cmocka_unit_test_setup(byte_access_modes, start),
        cmocka_unit_test_setup(read_back_latches_status_and_count, start),
        cmocka_unit_test_setup(bcd_counts_in_decimal, start),
        cmocka_unit_test_setup(channel_0_runs_from_the_start, start),
        cmocka_unit_test_setup(refresh_toggles_every_15_us, start),
        cmocka_unit_test_setup(a_tsc_that_runs_backwards_hangs_nobody, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
