// Several processors of one machine, 64-bit: found by APIC ID, started by INIT and SIPI. Before anything here
// apic_map() and apic_enable() of the first one.
#pragma once
#include "guests/lib/apic.h"

enum { CPUS_MAX = 16, CPU_STACK_BYTES = 8192, TRAMPOLINE_PAGE = 0x8 };

unsigned cpu_count(void); // of the machine, by CPUID 0BH; they have APIC IDs from 0 on

// Starts processor `id`, which loads the IDT, goes into the APIC mode of this one, and calls main(id) on `stack`,
// interrupts off; when that returns, it halts for good. Returns once it runs, or false when it does not in time.
bool cpu_start(unsigned id, void (*main)(unsigned id), void *stack_top);
// INIT alone: it waits for a SIPI.
void cpu_stop(unsigned id);

// This processor's APIC ID without an exit, on processors that cpu_start() started and, as 0, the first one.
unsigned this_cpu(void);

// What N processors wait at until all are there. Zero at first; used again at once.
struct barrier {
    unsigned count, round;
};
void barrier_wait(volatile struct barrier *b, unsigned n);

struct spinlock {
    unsigned next, owner;
};
void spin_lock(volatile struct spinlock *l);
void spin_unlock(volatile struct spinlock *l);
