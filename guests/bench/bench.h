// What the parts of the bench guest share.
#pragma once
#include "guests/lib/apic.h"
#include "guests/lib/guest.h"

enum { RUNS = 64, INSTRUCTION = 1, VECTOR = 0x61 };

// "# bench NAME VALUE UNIT" in the log.
void report(const char *name, uint64_t value, const char *unit);
// The median of `ticks`, RUNS of them, less `own`.
void report_median(const char *name, uint32_t *ticks, uint32_t own);

// Interrupt handler: keeps the low half of its first instruction's TSC in R9, changes EAX and EDX.
extern const char bench_handler[];
// With interrupts on until that handler came; returns what it kept.
static inline uint32_t wait_for_handler(void)
{
    uint32_t at;
    __asm__ volatile("xor %%r9d, %%r9d\n\tsti\n1:\ttest %%r9d, %%r9d\n\tjz 1b\n\tcli\n\tmov %%r9d, %0"
                     : "=r"(at)
                     :
                     : "rax", "rdx", "r9", "memory", "cc");
    return at;
}
static inline void end_interrupt(void)
{
    wrmsr(MSR_X2APIC + APIC_EOI, 0);
}

// A machine of two vCPUs: an interrupt from one to the other.
void measure_ipi(void);
// Messages to bench-peer and to itself, after interrupts were set up. `empty`: ticks around nothing.
void measure_ipc(uint32_t empty);
// Pages that bench-peer has granted, after what this machine costs was reported.
void measure_grants(uint32_t empty);
void measure_large_grant(uint32_t empty);
// Messages to machines on another processor. / That of the other one that is interrupted.
void measure_far(uint32_t empty);
void take_events(void);
// The balloon and the dirty log, in a machine of its own.
void measure_memory(const struct start_info *start);
