#include "dev/io.h"

// A port listed twice does not compile: -Woverride-init.
const struct io_layout io_layout = {
#define X(page) .page_of[0x##page] = IO_PAGE_##page,
    IO_PAGES(X)
#undef X
#define X(page, first, last, device) .pages[IO_PAGE_##page][(first)...(last)] = IO_##device,
        IO_PORTS(X)
#undef X
};

static uint32_t nobody_in(struct device *d, uint16_t port, unsigned width)
{
    (void)d, (void)port, (void)width;
    return ~0u;
}

static void nobody_out(struct device *d, uint16_t port, unsigned width, uint32_t value)
{
    (void)d, (void)port, (void)width, (void)value;
}

static const struct device_ops nobody_ops = {.in = nobody_in, .out = nobody_out};
static struct device nobody = {.ops = &nobody_ops};

void io_map_init(struct io_map *io)
{
    for (unsigned i = 0; i < IO_DEVICE_COUNT; i++)
        io->devices[i] = &nobody;
}
