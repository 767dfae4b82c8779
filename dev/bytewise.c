#include "dev/bytewise.h"

noinline_cold uint32_t bytewise_in_wide(struct device *d, uint16_t port, unsigned width, device_in8 *in8)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < width; i++)
        value |= (uint32_t)in8(d, (uint16_t)(port + i)) << 8 * i;
    return value;
}

noinline_cold void bytewise_out_wide(struct device *d, uint16_t port, unsigned width, uint32_t value,
                                     device_out8 *out8)
{
    for (unsigned i = 0; i < width; i++)
        out8(d, (uint16_t)(port + i), (uint8_t)(value >> 8 * i));
}
