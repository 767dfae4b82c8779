// An I/O APIC (82093AA data sheet) with 24 inputs, version 20H: it has an EOI register at 40H. Messages go to
// the local APICs of the machine by dev/lapic.h.
//
// Inputs are given as asserted or not; the polarity bit is kept and has no further meaning. An edge on a
// masked input is lost, a level waits. Remote IRR is set by a level message that somebody accepted and
// cleared by the EOI for its vector, after which a line that is still asserted sends again.
#pragma once
#include "arch/types.h"
#include "dev/line.h"

struct lapic_bus;

enum { IOAPIC_BASE = 0xfec00000, IOAPIC_SELECT = 0, IOAPIC_WINDOW = 0x10, IOAPIC_EOI = 0x40 };

struct ioapic {
    struct lapic_bus *bus;
    uint8_t id, select;
    uint32_t asserted; // bit n: input n
    uint64_t entry[GSIS];
};

void ioapic_init(struct ioapic *io, struct lapic_bus *bus, uint8_t id);
void ioapic_set(struct ioapic *io, unsigned pin, bool asserted);
// A local APIC finished a level-triggered `vector`.
void ioapic_eoi(struct ioapic *io, uint8_t vector);
// Whether an input that is not masked sends what a halted processor heeds with interrupts off: NMI, INIT, SIPI.
bool ioapic_signals(const struct ioapic *io);
// Access at `offset` into its page. Only aligned 32-bit accesses do anything; others read as zero.
uint32_t ioapic_read(const struct ioapic *io, uint32_t offset, unsigned width);
void ioapic_write(struct ioapic *io, uint32_t offset, unsigned width, uint32_t value);
