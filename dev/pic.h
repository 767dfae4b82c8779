// The 8259A pair of a PC at 20h/21h and A0h/A1h with the edge/level registers at 4D0h/4D1h (8259A data sheet;
// 82371SB "Edge/Level Control Register"). The slave hangs on input 2 of the master.
//
// An edge-triggered request is remembered while its line stays high: if the line falls before the processor
// acknowledges, the acknowledge finds nothing and gets vector 7 of that chip, without an in-service bit.
#pragma once
#include "dev/io.h"

enum { PIC_MASTER = 0x20, PIC_SLAVE = 0xa0, PIC_ELCR = 0x4d0 };

struct pic_chip {
    uint8_t irr, isr, imr;
    uint8_t lines;        // levels of the inputs
    uint8_t level;        // ELCR: inputs that are level-triggered
    uint8_t vector;       // ICW2, its low three bits gone
    uint8_t lowest;       // input of lowest priority; the one behind it, going round, has the highest
    uint8_t icw1, expect; // while it is initialised: its first word, and which one comes next (2-4)
    bool fully_nested;    // special fully nested mode
    bool auto_eoi, auto_rotate, special_mask;
    bool read_isr, poll; // what the next read shows
};

struct pic {
    struct device device;                       // first
    void (*output)(void *owner, bool asserted); // INTR changed; NULL: nobody listens
    void *owner;
    bool intr;
    struct pic_chip chip[2]; // master, slave
};

// As firmware leaves it: vectors 08H and 70H, everything masked.
void pic_init(struct pic *p, void (*output)(void *owner, bool asserted), void *owner);
// The level of input `irq` (0-15, not 2) changed.
void pic_set(struct pic *p, unsigned irq, bool level);
// INTR: an interrupt waits for its acknowledge.
static inline bool pic_pending(const struct pic *p)
{
    return p->intr;
}
// The processor's acknowledge cycles; returns the vector. Spurious when nothing is pending any more.
uint8_t pic_acknowledge(struct pic *p);
