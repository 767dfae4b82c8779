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

noinline_cold uint32_t device_in_wide(struct device *d, uint16_t port, unsigned width)
{
    uint32_t value = 0;
    if (d->ops->in_wide)
        return d->ops->in_wide(d, port, width);
    for (unsigned i = 0; i < width; i++)
        value |= (uint32_t)d->ops->in(d, (uint16_t)(port + i)) << 8 * i;
    return value;
}

noinline_cold void device_out_wide(struct device *d, uint16_t port, unsigned width, uint32_t value)
{
    if (d->ops->out_wide)
        return d->ops->out_wide(d, port, width, value);
    for (unsigned i = 0; i < width; i++)
        d->ops->out(d, (uint16_t)(port + i), (uint8_t)(value >> 8 * i));
}

static uint8_t nobody_in(struct device *d, uint16_t port)
{
    (void)d, (void)port;
    return 0xff;
}

static void nobody_out(struct device *d, uint16_t port, uint8_t value)
{
    (void)d, (void)port, (void)value;
}

static const struct device_ops nobody_ops = {.in = nobody_in, .out = nobody_out};
static struct device nobody = {.ops = &nobody_ops};

void io_map_init(struct io_map *io)
{
    for (unsigned i = 0; i < IO_DEVICE_COUNT; i++)
        io->devices[i] = &nobody;
}
