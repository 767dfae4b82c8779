// GDT and TSS of each processor. The IST entries point to the stacks of the processor's slot
// (arch/pcpu.h), which paging maps before they are needed.
#pragma once
#include "arch/memory.h"
#include "arch/pcpu.h"
#include "arch/types.h"

enum selector { // the order of SYSENTER is not needed: nothing runs at CPL 3
    SELECTOR_CODE = 0x08,
    SELECTOR_DATA = 0x10,
    SELECTOR_TSS = 0x18,
};

enum ist { IST_NONE, IST_DOUBLE_FAULT, IST_NMI, IST_MACHINE_CHECK };

struct tss { // SDM, "64-Bit Mode Task State Segment"
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7]; // [0] is IST1
    uint64_t reserved2;
    uint16_t reserved3, io_map_base;
} __attribute__((packed));

enum { GDT_ENTRIES = 5, GDT_LIMIT = GDT_ENTRIES * 8 - 1, TSS_LIMIT = sizeof(struct tss) - 1 };

struct arch_cpu {
    uint64_t gdt[GDT_ENTRIES];
    uint32_t slot; // which stacks it has: STACKS_BASE + slot * PCPU_SLOT
    uint32_t tss_padding;
    struct tss tss;
} __attribute__((aligned(128)));

// Builds GDT and TSS for the processor whose stacks are in `slot`, and loads GDTR, segments, TR and IDTR on
// this processor. GS base becomes 0: pcpu_bind sets it.
void descriptors_load(struct arch_cpu *cpu, uint32_t slot);

// Loads them again, when anything may be in GDTR, IDTR, TR and the segment registers. GS base becomes 0.
void descriptors_reload(struct arch_cpu *cpu);

// Makes `p` what this_pcpu() returns on this processor.
void pcpu_bind(struct pcpu *p);

static inline uint64_t slot_stack_top(uint32_t slot)
{
    return STACKS_BASE + (uint64_t)slot * PCPU_SLOT + PCPU_STACK + PCPU_STACK_SIZE;
}

// `ist` 0: #DF, 1: NMI, 2: #MC.
static inline uint64_t slot_ist_top(uint32_t slot, unsigned ist)
{
    return STACKS_BASE + (uint64_t)slot * PCPU_SLOT + IST_STACK + ist * IST_STRIDE + IST_STACK_SIZE;
}

extern struct arch_cpu arch_cpus[PCPU_MAX]; // by slot
extern uint64_t idt[512];                   // shared; the base for the VMCS's host IDTR
