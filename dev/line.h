// Interrupt lines. A device drives a `struct line`; the router knows where lines end: ISA IRQ 0-15 at the PIC
// pair and at the I/O APIC (IRQ 0 at pin 2 there, as the MADT's source override tells), GSIs 16-23 at the I/O
// APIC alone. Several lines may share one GSI: it is asserted while any of them is.
//
// Lines, router, PIC pair and I/O APIC of one machine change under whatever lock keeps its device accesses
// apart. Pure.
#pragma once
#include "arch/types.h"

enum { GSIS = 24, ISA_IRQS = 16, PIT_IRQ = 0, PIC_CASCADE_IRQ = 2, UART_IRQ = 4, RTC_IRQ = 8, PIT_GSI = 2 };

struct pic;
struct ioapic;

struct router {
    struct pic *pic;
    struct ioapic *ioapic;
    uint8_t asserted[GSIS]; // how many lines assert it
};

struct line {
    struct router *router; // NULL: connected to nothing
    uint8_t irq;           // 0-15 ISA, 16-23 GSI
    bool level;
};

void router_init(struct router *r, struct pic *pic, struct ioapic *ioapic);
// The asserted state of one IRQ as the controllers see it. For line_set(), which keeps count.
void router_set(struct router *r, uint8_t irq, bool asserted);

static inline void line_connect(struct line *l, struct router *r, uint8_t irq)
{
    *l = (struct line){.router = r, .irq = irq};
}

static inline void line_set(struct line *l, bool level)
{
    if (level == l->level || !l->router)
        return;
    l->level = level;
    router_set(l->router, l->irq, level);
}

// A rising edge, whatever the level was; the line stays high, so that a PIC can acknowledge it.
static inline void line_edge(struct line *l)
{
    line_set(l, false);
    line_set(l, true);
}
