// Ports by which a guest ends itself, as emulators have them:
//   F4h    a write of v, of any width, ends the machine with code (v << 1) | 1, never 0;
//   8900h  the bytes of "Shutdown", one at a time, end it with code 0. Another byte in between starts over.
// Both read as zero, which tells a careful guest that they are there.
#pragma once
#include "dev/host.h"

enum { DEBUG_EXIT_CODE = 0xf4, DEBUG_EXIT_TEXT = 0x8900 };

struct debug_exit {
    struct device device; // first
    const struct dev_host *host;
    void *owner;
    uint8_t matched; // characters of "Shutdown" seen
};

void debug_exit_init(struct debug_exit *e, const struct dev_host *host, void *owner);
