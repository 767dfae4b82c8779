// Ports: which device of a machine answers at which I/O port. Two levels of small tables, so that an IN or
// OUT costs two loads and one indirect call; ports that nobody claimed belong to a null device whose reads
// give all ones. Pure.
#pragma once
#include "arch/types.h"

struct device;

struct device_ops {
    uint32_t (*in)(struct device *d, uint16_t port, unsigned width); // width 1, 2, 4; result in the low bytes
    void (*out)(struct device *d, uint16_t port, unsigned width, uint32_t value);
};

struct device {
    const struct device_ops *ops;
};

enum { IO_DEVICES_MAX = 24, IO_PAGES_MAX = 8, IO_NOBODY = 0 };

struct io_map {
    uint8_t page_of[256];               // port >> 8 -> index into pages; 0 is the page where nobody lives
    uint8_t pages[IO_PAGES_MAX][256];   // port & 255 -> index into devices
    struct device *devices[IO_DEVICES_MAX];
    uint8_t page_count, device_count;
};

void io_map_init(struct io_map *io);
// Ports [first, last] belong to `d` from now on. False when a table is full or a port is taken.
bool io_claim(struct io_map *io, struct device *d, uint16_t first, uint16_t last);

static inline struct device *io_find(const struct io_map *io, uint16_t port)
{
    return io->devices[io->pages[io->page_of[port >> 8]][port & 255]];
}
static inline uint32_t io_in(const struct io_map *io, uint16_t port, unsigned width)
{
    struct device *d = io_find(io, port);
    return d->ops->in(d, port, width);
}
static inline void io_out(const struct io_map *io, uint16_t port, unsigned width, uint32_t value)
{
    struct device *d = io_find(io, port);
    d->ops->out(d, port, width, value);
}
