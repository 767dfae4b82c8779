// The devices of one machine as one object, so that creating a machine is one initialisation.
// Devices know neither VMCS nor exit reasons nor TAP; they reach the rest through struct dev_host.
#pragma once
#include "dev/io.h"

// What a device may ask of the hypervisor. One const table for all machines, `owner` is the machine.
struct dev_host {
    tsc_t (*now)(void *owner);                                   // the guest's TSC
    uint64_t tsc_hz;
    uint64_t (*wall_seconds)(void *owner);                       // since 1970-01-01 00:00 UTC
    void (*console)(void *owner, const char *bytes, size_t len); // bytes that left through the UART
    bool (*console_ready)(void *owner);                          // false: hold THRE low (back-pressure)
    void (*end)(void *owner, uint32_t code);                     // debug-exit ports
    void (*reset)(void *owner);                                  // reset requested by port 64h/92h/CF9h
};

struct devices; // sizes and members in dev/devices_impl.h

size_t devices_size(void);
void devices_init(struct devices *d, const struct dev_host *host, void *owner);
struct io_map *devices_io(struct devices *d);
