// The ways by which PC software resets the machine: a keyboard controller that is absent but for its reset
// line (FEH to port 64h; it reads as ones), system control port A (92h, fast A20 and reset), and the
// chipset's reset control register (CF9h). The A20 line always passes: bit 1 of 92h is memory only.
#pragma once
#include "dev/host.h"

enum { RESET_KEYBOARD = 0x64, RESET_PORT_A = 0x92, RESET_CONTROL = 0xcf9 };

struct reset {
    struct device device; // first
    const struct dev_host *host;
    void *owner;
    uint8_t port_a, control; // as last written
};

void reset_init(struct reset *r, const struct dev_host *host, void *owner);
