// The time-stamp counter as the box's clock. Its frequency comes from CPUID 15H/16H or MSR_PLATFORM_INFO
// where a short measurement against the ACPI PM timer or the PIT agrees, else from that measurement.
#pragma once
#include "arch/types.h"

extern uint64_t tsc_hz;        // ticks a second; never 0 after tsc_init
extern const char *tsc_source; // where tsc_hz came from, for the log
extern tsc_t tsc_boot;         // at the first instruction after GRUB

// `pm_timer`: its I/O port, 0 if there is none. Takes 5 ms.
void tsc_init(uint16_t pm_timer);

static inline tsc_t tsc_from_us(uint64_t us)
{
    const uint64_t whole = us / 1000000, most = ~0ull / tsc_hz - 1;
    return tsc(whole > most ? ~0ull : whole * tsc_hz + us % 1000000 * tsc_hz / 1000000);
}
static inline tsc_t tsc_from_ms(uint64_t ms)
{
    return tsc_from_us(ms > ~0ull / 1000 ? ~0ull : ms * 1000);
}
static inline uint64_t tsc_to_us(tsc_t t)
{
    const uint64_t seconds = t.v / tsc_hz;
    return seconds > ~0ull / 1000000 - 1 ? ~0ull : seconds * 1000000 + t.v % tsc_hz * 1000000 / tsc_hz;
}
// Waits, busy. For start-up.
void tsc_wait_us(uint64_t us);
