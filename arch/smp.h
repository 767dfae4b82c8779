// Starting the other processors: INIT, SIPI, SIPI to all at once, then a roll-call with a time limit.
// Ids are dense in the order of the plan; a processor that does not come, or differs from the boot
// processor, is left out with a line that says so, and costs no id.
#pragma once
#include "arch/pcpu.h"
#include "arch/types.h"

struct smp_plan {
    const uint32_t *apic_ids; // [count], may contain the boot processor's own
    uint32_t count;
    uint32_t limit;   // processors to run in all, the boot processor included; 0: no limit but PCPU_MAX
    pfn_t trampoline; // a frame below 1 MiB, in the direct map
    // On the new processor, before it has an id: what of it differs from the boot processor, or NULL. For
    // what upper rooms compare; features and MTRRs are compared here. May be NULL; must not log.
    const char *(*differs)(void);
    // On the boot processor, before the new one goes on: gives it what this_pcpu() needs. False: left out.
    bool (*prepare)(struct pcpu *p);
    void (*entry)(struct pcpu *p); // on the new processor, on its own stack; does not return
};

// Descriptors and this_pcpu() of the boot processor. Its stacks (slot 0) need not be mapped yet. First of
// all.
void smp_init_boot(void);
// Returns when all processors are in `entry` or left out; pcpu_count says how many run. After lapic_init and
// tsc_init; the plan must live until then.
void smp_start(const struct smp_plan *plan);
