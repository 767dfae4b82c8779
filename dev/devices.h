// The devices of one machine as one object, so that creating a machine is one initialisation.
// Devices know neither VMCS nor exit reasons nor TAP; they reach the rest through struct dev_host.
//
// The room owns the state that IN and OUT show to a guest, and nothing else: time, console and the machine's
// end belong to the host. There is no lock: accesses of one machine come one at a time, which whoever runs a
// machine on several processors has to see to. Invariants: nothing ticks or allocates, no access takes longer
// than a few hundred instructions, and no value that a guest writes is an error.
#pragma once
#include "dev/debug_exit.h"
#include "dev/ioapic.h"
#include "dev/pic.h"
#include "dev/pit.h"
#include "dev/reset.h"
#include "dev/rtc.h"
#include "dev/uart.h"

struct lapic_bus;

struct devices {
    struct io_map io;
    struct uart uart;
    struct pit pit;
    struct reset reset;
    struct debug_exit debug_exit;
    struct rtc rtc;
    struct pic pic;
    struct ioapic ioapic;
    struct router router;
};
_Static_assert(sizeof(struct devices) <= 1280, "a machine's devices stay small");

// Brings all devices to their state after the firmware ran. `ram`: bytes of the machine's memory from address
// 0 on, shown in CMOS. `host` must outlive the devices. No locking: nobody else knows `d` yet.
void devices_init(struct devices *d, const struct dev_host *host, void *owner, uint64_t ram);
// The machine's local APICs, for its I/O APIC. Before the guest starts.
void devices_connect(struct devices *d, struct lapic_bus *bus);
// The guest starts: time goes on for the RTC.
void devices_start(struct devices *d);
// A deadline of `arm` was reached; early and needless calls do no harm.
void devices_expire(struct devices *d, enum device_timer which);
