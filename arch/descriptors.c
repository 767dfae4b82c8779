#include "arch/descriptors.h"
#include "arch/cpu.h"
#include "sdm/msr.h"

struct arch_cpu arch_cpus[PCPU_MAX];

// SDM, "TSS Descriptor in 64-bit mode": 16 bytes, type 9 (available), present.
static void set_tss_descriptor(uint64_t *entry, const struct tss *tss)
{
    uint64_t base = (uint64_t)(uintptr_t)tss;
    entry[0] = TSS_LIMIT | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
    entry[1] = base >> 32;
}

static void build(struct arch_cpu *cpu, uint32_t slot)
{
    cpu->slot = slot;
    cpu->gdt[SELECTOR_CODE / 8] = 0x00af9b000000ffff; // accessed already: loading writes nothing
    cpu->gdt[SELECTOR_DATA / 8] = 0x00cf93000000ffff;
    set_tss_descriptor(&cpu->gdt[SELECTOR_TSS / 8], &cpu->tss);
    cpu->tss = (struct tss){.io_map_base = sizeof(struct tss), .rsp[0] = slot_stack_top(slot)};
    for (unsigned i = 0; i < IST_MACHINE_CHECK; i++)
        cpu->tss.ist[i] = slot_ist_top(slot, i);
}

static void load_segments(void)
{
    __asm__ volatile("pushq %0; leaq 1f(%%rip), %%rax; pushq %%rax; lretq; 1:" ::"i"(SELECTOR_CODE)
                     : "rax", "memory");
    __asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%ss" ::"r"(SELECTOR_DATA));
    __asm__ volatile("mov %0, %%fs; mov %0, %%gs" ::"r"(0));
}

// LTR wants a TSS that is not busy (SDM, "LTR").
void descriptors_reload(struct arch_cpu *cpu)
{
    set_tss_descriptor(&cpu->gdt[SELECTOR_TSS / 8], &cpu->tss);
    lgdt(&(struct table_pointer){GDT_LIMIT, (uint64_t)(uintptr_t)cpu->gdt});
    load_segments();
    ltr(SELECTOR_TSS);
    lidt(&(struct table_pointer){sizeof idt - 1, (uint64_t)(uintptr_t)idt});
}

void descriptors_load(struct arch_cpu *cpu, uint32_t slot)
{
    build(cpu, slot);
    descriptors_reload(cpu);
}

void pcpu_bind(struct pcpu *p)
{
    wrmsr(MSR_GS_BASE, (uint64_t)(uintptr_t)p);
}
