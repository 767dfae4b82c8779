// The devices of one machine as one object, so that creating a machine is one initialisation.
// Devices know neither VMCS nor exit reasons nor TAP; they reach the rest through struct dev_host.
//
// The room owns the state that IN and OUT show to a guest, and nothing else: time, console and the machine's
// end belong to the host. There is no lock: accesses of one machine come one at a time, which whoever runs a
// machine on several processors has to see to. Invariants: nothing ticks or allocates, no access takes longer
// than a few hundred instructions, and no value that a guest writes is an error.
#pragma once
#include "dev/io.h"

// What a device may ask of the hypervisor. One table for all machines (tsc_hz is known only after the
// measurement at start), `owner` is the machine. No function is called before the guest's first IN or OUT.
struct dev_host {
    tsc_t (*now)(void *owner);                                   // the guest's TSC
    uint64_t tsc_hz;                                             // over 1193182
    uint64_t (*wall_us)(void *owner);                            // microseconds since 1970-01-01 00:00 UTC
    void (*console)(void *owner, const char *bytes, size_t len); // bytes that left through the UART
    bool (*console_ready)(void *owner);                          // false: hold THRE low (back-pressure)
    void (*end)(void *owner, uint32_t code);                     // debug-exit ports, dev/debug_exit.h
    void (*interrupt)(void *owner, bool asserted);               // the PIC's INTR changed
    void (*reset)(void *owner);                                  // reset requested by port 64h/92h/CF9h
};

struct lapic_bus;
struct devices; // members in dev/devices_impl.h

size_t devices_size(void);
// Brings all devices to their state after the firmware ran. `ram`: bytes of the machine's memory from address
// 0 on, shown in CMOS. `host` must outlive the devices. No locking: nobody else knows `d` yet.
void devices_init(struct devices *d, const struct dev_host *host, void *owner, uint64_t ram);
struct io_map *devices_io(struct devices *d);
// The machine's local APICs, for its I/O APIC. Before the guest starts.
void devices_connect(struct devices *d, struct lapic_bus *bus);
