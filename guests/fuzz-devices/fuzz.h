// The fuzz guest: random reads and writes of its devices' registers on all its processors, from a seed.
#pragma once
#include "guests/lib/guest.h"
#include "guests/lib/smp.h"

enum { RESTART_PAGES = 0x80 }; // SIPIs lead to pages from here on, below 1 MiB

// One processor's part. Whoever is stopped by INIT starts anew and counts on.
struct fuzzer {
    uint64_t random, random_inside; // the latter is for handlers alone
    volatile unsigned writes, reads, refused, interrupts, storms;
    volatile unsigned beats;    // of its loop
    volatile unsigned unheeded; // interrupts since the loop went on
};
extern struct fuzzer fuzzers[CPUS_MAX];
extern unsigned cpus;
extern volatile bool over; // nothing is random any more

static inline uint32_t random_of(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(*state >> 16);
}

// ---- apic.c: each processor's APIC is in a mode of its own, so nothing here goes by apic_x2 ----

enum apic_mode { MODE_OFF, MODE_XAPIC, MODE_X2APIC };
enum apic_mode apic_mode(void);
void local_write(enum apic_mode mode, uint32_t reg, uint32_t v);
uint32_t local_read(enum apic_mode mode, uint32_t reg);
void local_send(enum apic_mode mode, uint32_t to, uint32_t icr);
// Able to send and receive, whatever mode it is in; off becomes xAPIC.
void apic_recover(void);
// Goes to another mode, or tries to: a transition may be illegal.
void apic_change_mode(uint32_t random);

// ---- registers.c ----

// One write or read of a random register; never one that ends the machine.
void fuzz_step(struct fuzzer *f);

// ---- devices.c ----

// A PC as it was meant to be: everything interrupts now and then.
void devices_liven(void);
// Nothing interrupts any more.
void devices_calm(void);
// Interrupts of each kind arrive: points.
enum { ALIVE_POINTS = 4 };
void check_alive(void);

// ---- interrupts.c ----

// Every vector gets a gate that survives what comes through it, with an error code or without.
void gates_set(void);
extern volatile unsigned seen[256];

enum {
    PIC1 = 0x20,
    PIC2 = 0xa0,
    PIC_EOI = 0x20,
    ELCR = 0x4d0,
    PIT = 0x40,
    PORT_B = 0x61,
    RTC = 0x70,
    UART = 0x3f8
};
enum { IOAPIC_WINDOW = 0x10, IOAPIC_ENTRIES = 0x10, IOAPIC_PINS = 24 };
