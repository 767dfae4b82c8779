// The devices of one machine as one object, so that creating a machine is one initialisation.
// Devices know neither VMCS nor exit reasons nor TAP; they reach the rest through struct dev_host.
//
// The room owns the state that IN and OUT show to a guest, and nothing else: time, console and the machine's
// end belong to the host. There is no lock: accesses of one machine come one at a time, which whoever runs a
// machine on several processors has to see to. Invariants: nothing ticks or allocates, no access takes longer
// than a few hundred instructions, and no value that a guest writes is an error.
#pragma once
#include "dev/io.h"
#include "dev/line.h"

// Devices that have a next event to wait for.
enum device_timer { DEVICE_TIMER_PIT, DEVICE_TIMER_RTC, DEVICE_TIMER_UART, DEVICE_TIMERS };

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
    // Have devices_expire() called at `deadline` in `now` ticks, or soon after; replaces the last one, ~0:
    // never. Only for devices whose line is connected.
    void (*room)(void *owner); // the serial receiver, which had refused a byte, has room
    void (*arm)(void *owner, enum device_timer which, tsc_t deadline);
};

struct lapic_bus;
// No device interrupts more often than this, whatever it is programmed to: a storm must leave its machine
// time.
enum { DEVICE_EVENTS_PER_SECOND = 20000 };
static inline uint64_t device_least_wait(const struct dev_host *host)
{
    return host->tsc_hz / DEVICE_EVENTS_PER_SECOND;
}

struct devices; // members in dev/devices_impl.h

size_t devices_size(void);
// Brings all devices to their state after the firmware ran. `ram`: bytes of the machine's memory from address
// 0 on, shown in CMOS. `host` must outlive the devices. No locking: nobody else knows `d` yet.
void devices_init(struct devices *d, const struct dev_host *host, void *owner, uint64_t ram);
struct io_map *devices_io(struct devices *d);
// The machine's local APICs, for its I/O APIC. Before the guest starts.
void devices_connect(struct devices *d, struct lapic_bus *bus);
// Connects the lines of PIT, RTC and UART (dev/line.h), after devices_connect(): from then on they interrupt,
// and ask host->arm() for their next event.
void devices_connect_lines(struct devices *d);
// A deadline of `arm` was reached; early and needless calls do no harm.
void devices_expire(struct devices *d, enum device_timer which);
// Bytes for the machine's serial console; returns how many it had room for.
size_t devices_console_input(struct devices *d, const char *bytes, size_t n);
