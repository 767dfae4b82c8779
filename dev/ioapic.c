#include "dev/ioapic.h"
#include "dev/lapic.h"

enum index { INDEX_ID, INDEX_VERSION, INDEX_ARBITRATION, INDEX_ENTRIES = 0x10 };
enum { VERSION = 0x20 | (GSIS - 1) << 16, ID_SHIFT = 24, ENTRY_DESTINATION_SHIFT = 56, BROADCAST = 0xff };

// Redirection entries: 82093AA data sheet, "I/O Redirection Table Registers".
static const uint64_t ENTRY_VECTOR = 0xff, ENTRY_LOGICAL = 0x800, ENTRY_REMOTE_IRR = 0x4000,
                      ENTRY_LEVEL = 0x8000, ENTRY_MASKED = 0x10000, ENTRY_LOW_WRITABLE = 0x1afff,
                      ENTRY_HIGH_WRITABLE = 0xff000000;

static uint8_t delivery(uint64_t entry)
{
    return entry >> 8 & 7;
}

// What is no ordinary interrupt is sent on an edge, whatever the entry says.
static bool is_level(uint64_t entry)
{
    return (entry & ENTRY_LEVEL) && delivery(entry) <= DELIVER_LOWEST;
}

static void send(struct ioapic *io, unsigned pin)
{
    uint64_t entry = io->entry[pin];
    uint8_t destination = (uint8_t)(entry >> ENTRY_DESTINATION_SHIFT);
    struct apic_message m = {
        .destination = destination,
        .broadcast = destination == BROADCAST,
        .logical = entry & ENTRY_LOGICAL,
        .level = is_level(entry),
        .delivery = delivery(entry),
        .vector = entry & ENTRY_VECTOR,
    };
    if (lapic_bus_send(io->bus, &m) && m.level)
        io->entry[pin] |= ENTRY_REMOTE_IRR;
}

// Sends what a level asks for, unless it is masked or was sent already.
static void send_level(struct ioapic *io, unsigned pin)
{
    uint64_t entry = io->entry[pin];
    if (is_level(entry) && (io->asserted >> pin & 1) && !(entry & (ENTRY_MASKED | ENTRY_REMOTE_IRR)))
        send(io, pin);
}

void ioapic_set(struct ioapic *io, unsigned pin, bool asserted)
{
    uint32_t bit = 1u << pin;
    if (((io->asserted & bit) != 0) == asserted)
        return;
    io->asserted ^= bit;
    if (is_level(io->entry[pin]))
        send_level(io, pin);
    else if (asserted && !(io->entry[pin] & ENTRY_MASKED))
        send(io, pin);
}

bool ioapic_signals(const struct ioapic *io)
{
    enum { SIGNALS = 1 << DELIVER_NMI | 1 << DELIVER_INIT | 1 << DELIVER_SIPI };
    for (unsigned pin = 0; pin < GSIS; pin++)
        if (!(io->entry[pin] & ENTRY_MASKED) && (SIGNALS >> delivery(io->entry[pin]) & 1))
            return true;
    return false;
}

void ioapic_eoi(struct ioapic *io, uint8_t vector)
{
    for (unsigned pin = 0; pin < GSIS; pin++) {
        if (!(io->entry[pin] & ENTRY_REMOTE_IRR) || (io->entry[pin] & ENTRY_VECTOR) != vector)
            continue;
        io->entry[pin] &= ~ENTRY_REMOTE_IRR;
        send_level(io, pin);
    }
}

// Making an entry edge-triggered forgets the message that is under way: software without directed EOI counts
// on it.
static void write_entry(struct ioapic *io, unsigned half, uint32_t value)
{
    uint64_t *entry = &io->entry[half / 2];
    if (half & 1) {
        *entry = (uint32_t)*entry | (value & ENTRY_HIGH_WRITABLE) << 32;
        return;
    }
    *entry = (*entry & ~ENTRY_LOW_WRITABLE) | (value & ENTRY_LOW_WRITABLE);
    if (!is_level(*entry))
        *entry &= ~ENTRY_REMOTE_IRR;
    send_level(io, half / 2);
}

static uint32_t read_window(const struct ioapic *io)
{
    unsigned half = io->select - INDEX_ENTRIES;
    switch (io->select) {
    case INDEX_ID:
    case INDEX_ARBITRATION:
        return (uint32_t)io->id << ID_SHIFT;
    case INDEX_VERSION:
        return VERSION;
    }
    return half < 2 * GSIS ? (uint32_t)(io->entry[half / 2] >> 32 * (half & 1)) : 0;
}

static void write_window(struct ioapic *io, uint32_t value)
{
    unsigned half = io->select - INDEX_ENTRIES;
    if (io->select == INDEX_ID)
        io->id = value >> ID_SHIFT & 15;
    else if (half < 2 * GSIS)
        write_entry(io, half, value);
}

uint32_t ioapic_read(const struct ioapic *io, uint32_t offset, unsigned width)
{
    if (width != 4)
        return 0;
    return offset == IOAPIC_SELECT ? io->select : offset == IOAPIC_WINDOW ? read_window(io) : 0;
}

void ioapic_write(struct ioapic *io, uint32_t offset, unsigned width, uint32_t value)
{
    if (width != 4)
        return;
    if (offset == IOAPIC_SELECT)
        io->select = (uint8_t)value;
    else if (offset == IOAPIC_WINDOW)
        write_window(io, value);
    else if (offset == IOAPIC_EOI)
        ioapic_eoi(io, (uint8_t)value);
}

void ioapic_init(struct ioapic *io, struct lapic_bus *bus, uint8_t id)
{
    *io = (struct ioapic){.bus = bus, .id = id};
    for (unsigned pin = 0; pin < GSIS; pin++)
        io->entry[pin] = ENTRY_MASKED;
}
