#include "dev/devices.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/host/device_host.h"

static struct fake_machine machine;
static struct devices devices;
static struct io_map *io;

static int start(void **state)
{
    (void)state;
    machine = (struct fake_machine){0};
    devices_init(&devices, &fake_host, &machine, 4 << 20);
    io = &devices.io;
    return 0;
}

static void every_listed_port_has_its_device(void **state)
{
    (void)state;
    static const struct {
        unsigned first, last;
        enum io_device device;
    } rows[] = {
#define X(page, first, last, device) {0x##page << 8 | (first), 0x##page << 8 | (last), IO_##device},
        IO_PORTS(X)
#undef X
    };
    unsigned row = 0;
    for (unsigned port = 0; port < 0x10000; port++) {
        bool listed = row < array_size(rows) && port >= rows[row].first;
        enum io_device want = listed ? rows[row].device : IO_NOBODY;
        assert_ptr_equal(io_find(io, (uint16_t)port), io->devices[want]);
        row += listed && port == rows[row].last;
    }
    for (unsigned i = 1; i < IO_DEVICE_COUNT; i++)
        assert_ptr_not_equal(io->devices[i], io->devices[IO_NOBODY]);
}

static void nobody_reads_as_ones_and_ignores_writes(void **state)
{
    (void)state;
    static const uint16_t ports[] = {0x60, 0x80, 0x2f8, 0x3e8, 0x2e8, 0x3d4, 0x3d5, 0xcf8, 0xcfc, 0xffff};
    for (unsigned i = 0; i < array_size(ports); i++) {
        io_out(io, ports[i], 4, 0);
        assert_int_equal(io_in(io, ports[i], 1) & 0xff, 0xff);
        assert_int_equal(io_in(io, ports[i], 2) & 0xffff, 0xffff);
        assert_int_equal(io_in(io, ports[i], 4), 0xffffffff);
    }
}

static void an_empty_map_has_nobody_anywhere(void **state)
{
    (void)state;
    struct io_map empty;
    io_map_init(&empty);
    assert_int_equal(io_in(&empty, 0x3fd, 1) & 0xff, 0xff);
    io_out(&empty, 0xf4, 4, 1);
    assert_int_equal(machine.ends, 0);
}

static void debug_exit_ends_with_an_odd_code(void **state)
{
    (void)state;
    io_out(io, 0xf4, 1, 0xffffff21);
    assert_int_equal(machine.end_code, 0x43);
    io_out(io, 0xf4, 4, 0);
    assert_int_equal(machine.end_code, 1);
    io_out(io, 0xf4, 2, 0xabcd8000);
    assert_int_equal(machine.end_code, 0x10001);
    assert_int_equal(machine.ends, 3);
    assert_int_equal(io_in(io, 0xf4, 1), 0);
}

static void say(const char *text)
{
    for (; *text; text++)
        io_out(io, 0x8900, 1, (uint8_t)*text);
}

static void shutdown_ends_with_0(void **state)
{
    (void)state;
    machine.end_code = 99;
    say("Shutdow!Shut down SSShutdow");
    assert_int_equal(machine.ends, 0);
    say("n");
    assert_int_equal(machine.ends, 1);
    assert_int_equal(machine.end_code, 0);
    say("Shutdown");
    assert_int_equal(machine.ends, 2);
}

static void reset_has_three_doors(void **state)
{
    (void)state;
    io_out(io, 0x64, 1, 0xd1);
    io_out(io, 0x92, 1, io_in(io, 0x92, 1) | 2); // fast A20
    assert_int_equal(io_in(io, 0x92, 1), 2);
    io_out(io, 0xcf9, 1, 2);
    io_out(io, 0xcf8, 4, 0x80000600); // a PCI address whose second byte looks like a reset
    assert_int_equal(machine.resets, 0);
    io_out(io, 0x64, 1, 0xfe);
    assert_int_equal(machine.resets, 1);
    io_out(io, 0x92, 1, 3);
    assert_int_equal(machine.resets, 2);
    io_out(io, 0xcf9, 1, 6);
    assert_int_equal(machine.resets, 3);
    assert_int_equal(io_in(io, 0xcf9, 1), 2);
    assert_int_equal(io_in(io, 0x64, 1), 0xff);
}

static void nothing_is_asked_of_the_host_at_creation(void **state)
{
    (void)state;
    static const struct dev_host nothing = {.tsc_hz = 20000000};
    devices_init(&devices, &nothing, NULL, 4 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_listed_port_has_its_device, start),
        cmocka_unit_test_setup(nobody_reads_as_ones_and_ignores_writes, start),
        cmocka_unit_test_setup(an_empty_map_has_nobody_anywhere, start),
        cmocka_unit_test_setup(debug_exit_ends_with_an_odd_code, start),
        cmocka_unit_test_setup(shutdown_ends_with_0, start),
        cmocka_unit_test_setup(reset_has_three_doors, start),
        cmocka_unit_test_setup(nothing_is_asked_of_the_host_at_creation, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
