// A device on an 8-bit bus sees a wider access as single bytes at neighbouring ports, lowest first. Its ports
// end where its claim ends: `in8` gets whatever follows too and answers FFH there, `out8` ignores it.
#pragma once
#include "dev/io.h"

typedef uint8_t device_in8(struct device *d, uint16_t port);
typedef void device_out8(struct device *d, uint16_t port, uint8_t value);

uint32_t bytewise_in_wide(struct device *d, uint16_t port, unsigned width, device_in8 *in8);
void bytewise_out_wide(struct device *d, uint16_t port, unsigned width, uint32_t value, device_out8 *out8);

// Single bytes are the rule and cost nothing extra: the loops stay out of line.
static inline uint32_t bytewise_in(struct device *d, uint16_t port, unsigned width, device_in8 *in8)
{
    return likely(width == 1) ? in8(d, port) : bytewise_in_wide(d, port, width, in8);
}

static inline void bytewise_out(struct device *d, uint16_t port, unsigned width, uint32_t value,
                                device_out8 *out8)
{
    if (likely(width == 1))
        out8(d, port, (uint8_t)value);
    else
        bytewise_out_wide(d, port, width, value, out8);
}
