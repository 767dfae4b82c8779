// Ports: which device of a machine answers at which I/O port. All machines have the same port layout, so it
// is one const table of two levels (dev/io.c) and a machine holds only a pointer per device: an IN or OUT
// costs three loads and one indirect call. Ports that nobody claims belong to a null device: reads give all
// ones, writes vanish. Pure; a machine's devices are used by one processor at a time, so there is no lock.
#pragma once
#include "arch/types.h"

struct device;

// A device on an 8-bit bus sees a wider access as single bytes at neighbouring ports, lowest first. Its ports end where
// its claim ends: `in` gets whatever follows too and answers FFH there, `out` ignores it.
struct device_ops {
    uint8_t (*in)(struct device *d, uint16_t port);
    void (*out)(struct device *d, uint16_t port, uint8_t value);
    // 2 or 4 bytes at once; NULL: as single ones.
    uint32_t (*in_wide)(struct device *d, uint16_t port, unsigned width);
    void (*out_wide)(struct device *d, uint16_t port, unsigned width, uint32_t value);
};

struct device {
    const struct device_ops *ops;
};

// The ports that exist, once: 256-port page (high byte, hex), first and last low byte, device.
// What is not listed reads as ones, and real software relies on it: COM2-4 (absent), 60h (no keyboard), 80h
// (a delay for whoever writes it), 3D4h/3D5h (a CRTC that is written, never asked), CF8h/CFCh (no PCI).
// clang-format off
#define IO_PORTS(X)                  \
    X(00, 0x20, 0x21, PIC)           \
    X(00, 0x40, 0x43, PIT)           \
    X(00, 0x61, 0x61, PIT)           \
    X(00, 0x64, 0x64, RESET)         \
    X(00, 0x70, 0x71, RTC)           \
    X(00, 0x92, 0x92, RESET)         \
    X(00, 0xa0, 0xa1, PIC)           \
    X(00, 0xf4, 0xf4, DEBUG_EXIT)    \
    X(03, 0xf8, 0xff, UART)          \
    X(04, 0xd0, 0xd1, PIC)           \
    X(0c, 0xf9, 0xf9, RESET)         \
    X(89, 0x00, 0x00, DEBUG_EXIT)
#define IO_PAGES(X) X(00) X(03) X(04) X(0c) X(89)
#define IO_DEVICES(X) X(NOBODY) X(PIC) X(PIT) X(RTC) X(UART) X(RESET) X(DEBUG_EXIT)
// clang-format on

enum io_device {
#define X(name) IO_##name,
    IO_DEVICES(X)
#undef X
        IO_DEVICE_COUNT
};

enum io_page {
    IO_PAGE_EMPTY, // nobody lives here
#define X(page) IO_PAGE_##page,
    IO_PAGES(X)
#undef X
        IO_PAGE_COUNT
};

struct io_layout {
    uint8_t page_of[256];              // port >> 8 -> enum io_page
    uint8_t pages[IO_PAGE_COUNT][256]; // port & 255 -> enum io_device
};
extern const struct io_layout io_layout;

struct io_map {
    struct device *devices[IO_DEVICE_COUNT];
};

// A map in which nobody answers anywhere.
void io_map_init(struct io_map *io);

static inline struct device *io_find(const struct io_map *io, uint16_t port)
{
    return io->devices[io_layout.pages[io_layout.page_of[port >> 8]][port & 255]];
}

uint32_t device_in_wide(struct device *d, uint16_t port, unsigned width);
void device_out_wide(struct device *d, uint16_t port, unsigned width, uint32_t value);
// `width` 1, 2 or 4. Single bytes are the rule and cost nothing extra: the loops stay out of line.
static inline uint32_t device_in(struct device *d, uint16_t port, unsigned width)
{
    return likely(width == 1) ? d->ops->in(d, port) : device_in_wide(d, port, width);
}
static inline void device_out(struct device *d, uint16_t port, unsigned width, uint32_t value)
{
    if (likely(width == 1))
        d->ops->out(d, port, (uint8_t)value);
    else
        device_out_wide(d, port, width, value);
}
static inline uint32_t io_in(const struct io_map *io, uint16_t port, unsigned width)
{
    return device_in(io_find(io, port), port, width);
}
static inline void io_out(const struct io_map *io, uint16_t port, unsigned width, uint32_t value)
{
    device_out(io_find(io, port), port, width, value);
}
