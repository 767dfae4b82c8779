#include "dev/reset.h"

enum { KEYBOARD_PULSE_RESET = 0xfe, PORT_A_RESET = 1, PORT_A_A20 = 2, CONTROL_RESET = 4 };

static uint8_t in8(struct device *d, uint16_t port)
{
    const struct reset *r = container_of(d, struct reset, device);
    if (port == RESET_PORT_A)
        return r->port_a;
    return port == RESET_CONTROL ? r->control : 0xff;
}

// Bits that request a reset pulse a line and are not kept; software that read them back would reset again.
static void out8(struct device *d, uint16_t port, uint8_t v)
{
    struct reset *r = container_of(d, struct reset, device);
    bool reset = false;
    if (port == RESET_KEYBOARD) {
        reset = v == KEYBOARD_PULSE_RESET;
    } else if (port == RESET_PORT_A) {
        reset = v & PORT_A_RESET;
        r->port_a = v & (uint8_t)~PORT_A_RESET;
    } else if (port == RESET_CONTROL) {
        reset = v & CONTROL_RESET;
        r->control = v & (uint8_t)~CONTROL_RESET;
    }
    if (reset)
        r->host->reset(r->owner);
}

void reset_init(struct reset *r, const struct dev_host *host, void *owner)
{
    static const struct device_ops ops = {.in = in8, .out = out8};
    *r = (struct reset){.device = {&ops}, .host = host, .owner = owner, .port_a = PORT_A_A20};
}
