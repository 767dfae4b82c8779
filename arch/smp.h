// Starting the other processors: INIT, SIPI, SIPI to all at once, then a roll-call with a time limit.
// Processor ids are dense in the order of `apic_ids`; one that does not come, or differs from the boot
// processor, is left out with a line that says so and costs no id.
#pragma once
#include "arch/pcpu.h"
#include "arch/types.h"

// The boot processor's own entry of pcpus[]; stacks of slot 0 need not be mapped yet. First of all.
void smp_init_boot(void);

// `apic_ids[count]`: processors beside the boot processor (its own id is skipped), `limit`: how many
// processors may run in all, `trampoline`: a frame below 1 MiB. Every processor that joins calls
// `entry(pcpu)`, which does not return. Returns when all of them are online or left out; pcpu_count says how
// many run. Processors are released to `entry` in order of id.
void smp_start(const uint32_t *apic_ids, uint32_t count, uint32_t limit, pfn_t trampoline,
               void (*entry)(struct pcpu *));
