// What the parts of the local APIC share: registers and priorities (lapic.c), messages (lapic_bus.c), timer.
#pragma once
#include "dev/lapic.h"

// SDM, "Local Vector Table", "Error Status Register (ESR)", "Spurious-Interrupt Vector Register (SVR)".
enum lapic_bits {
    LVT_MASKED = 0x10000,
    SVR_ENABLE = 0x100,
    SVR_NO_BROADCAST = 0x1000,
    ESR_SEND_ILLEGAL = 0x20,
    ESR_RECEIVE_ILLEGAL = 0x40,
    ESR_ILLEGAL_REGISTER = 0x80,
};

// Beside words and events in `posted`.
enum lapic_posted {
    POSTED_WORDS = 0xff,
    POSTED_ILLEGAL = 0x1000,
};

// `address`: LDR in the low half, then DFR's model, mode and software enable.
enum { ADDRESS_MODEL_SHIFT = 32, ADDRESS_MODE_SHIFT = 40, ADDRESS_ENABLED_SHIFT = 48 };

static inline uint32_t *lapic_reg(struct lapic *l, unsigned reg)
{
    return &l->regs[reg * 4];
}

static inline uint32_t lapic_get(const struct lapic *l, unsigned reg)
{
    return l->regs[reg * 4];
}

void lapic_error(struct lapic *l, uint8_t esr_bit);

// The ICR was written: sends. `destination` as it stands in the ICR of this mode.
void lapic_send_ipi(struct lapic *l, uint32_t icr, uint32_t destination);

void lapic_timer_reset(struct lapic *l);
// The current count.
uint32_t lapic_timer_count(struct lapic *l);
void lapic_timer_start(struct lapic *l, uint32_t count);
void lapic_timer_divide(struct lapic *l, uint32_t divide);
void lapic_timer_lvt(struct lapic *l, uint32_t lvt);
// The LVT entry was masked or unmasked otherwise.
void lapic_timer_update(struct lapic *l);
