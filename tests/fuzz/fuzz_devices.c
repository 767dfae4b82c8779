// Random reads and writes over all ports of a machine's devices while its clock runs, jumps and runs backwards, and
// bytes arrive at its serial port.
#include "dev/devices.h"
#include <stdlib.h>
#include <string.h>
#include "dev/lapic.h"
#include "tests/host/device_host.h"

// Ports with a device or next to one are tried far more often than the rest.
static const uint16_t interesting[] = {
    0x20,  0x21,  0xa0,  0xa1,  0x3f,  0x40,  0x41,  0x42,  0x43,  0x61,  0x64,  0x70,  0x71,   0x92,   0xf4,
    0x3f7, 0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x3ff, 0xcf8, 0xcf9, 0xcfc, 0x8900, 0xffff,
};

struct step {
    uint8_t what, port;
    uint16_t raw_port;
    uint32_t value;
};

static void check(const struct devices *d, uint32_t value, unsigned width, bool byte_device)
{
    if (d->uart.rx_count > UART_FIFO || d->uart.rx_first >= UART_FIFO || d->rtc.index >= RTC_CELLS)
        abort();
    for (unsigned i = 0; i < PIT_CHANNELS; i++)
        if (d->pit.channel[i].count == 0 || d->pit.channel[i].count > 65536)
            abort();
    if (byte_device && width < 4 && value >> 8 * width)
        abort();
}

// What is refused is told, once there is room.
static void type(struct devices *d, const uint32_t *bytes, size_t n)
{
    size_t taken = uart_input(&d->uart, (const char *)bytes, n);
    if (taken > n || d->uart.refused != (taken < n))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fake_machine machine = {.wall_us = 1795338867000000};
    struct devices d;
    devices_init(&d, &fake_host, &machine, 64 << 20);
    struct lapic_bus bus = {0};
    devices_connect(&d, &bus);
    devices_start(&d);
    struct io_map *io = &d.io;
    struct step s;
    for (; size >= sizeof(s); data += sizeof(s), size -= sizeof(s)) {
        memcpy(&s, data, sizeof(s));
        unsigned width = 1u << (s.what >> 1 & 3) % 3;
        uint16_t port = s.port < 200 ? interesting[s.port % array_size(interesting)] : s.raw_port;
        machine.busy = s.what & 0x80;
        machine.tsc += s.what & 0x40 ? (uint64_t)s.value << 24 : s.raw_port;
        machine.wall_us += s.what & 0x20 ? s.value : 100;
        devices_expire(&d, (enum device_timer)(s.value % DEVICE_TIMERS));
        if (s.what & 0x10)
            type(&d, &s.value, s.what & 8 ? sizeof s.value : 1);
        if (s.what & 1)
            io_out(io, port, width, s.value);
        uint32_t value = io_in(io, port, width);
        check(&d, value, width, io_find(io, port) != io->devices[IO_NOBODY]);
    }
    return 0;
}
