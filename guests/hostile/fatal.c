// Attacks that must end the machine, and only the machine. Coming back from one is a failure: exit code 1.
#include "guests/hostile/hostile.h"

enum { WELL_BEYOND = 16 << 20 };

struct table_register {
    uint16_t limit;
    word_t base;
} __attribute__((packed));

int attack_triple_fault(const struct start_info *start)
{
    (void)start;
    struct table_register none = {0, 0};
    __asm__ volatile("lidt %0; ud2" : : "m"(none));
    return 1;
}

int attack_wild_pointer(const struct start_info *start)
{
    *(volatile uint64_t *)(start->mem_bytes + WELL_BEYOND) = 0xdeadbeef;
    return 1;
}

int attack_jump_outside(const struct start_info *start)
{
    ((void (*)(void))(start->mem_bytes + WELL_BEYOND))();
    return 1;
}

int attack_stack_outside(const struct start_info *start)
{
    __asm__ volatile("mov %0, %%rsp; push %%rax" : : "r"(start->mem_bytes + WELL_BEYOND) : "memory");
    return 1;
}

// The push faults, so does the push of its #PF's frame, and so does that of the #DF's.
int attack_stack_unmapped(const struct start_info *start)
{
    (void)start;
    __asm__ volatile("mov %0, %%rsp; push %%rax" : : "r"(UNMAPPED) : "memory");
    return 1;
}

// The processor itself walks page tables that are outside memory.
int attack_page_tables(const struct start_info *start)
{
    write_cr3(start->mem_bytes + WELL_BEYOND);
    return 1;
}

// A #PF handler that is not mapped: faults within faults, 2 MiB of stack deep, then a guard page.
int attack_fault_recursion(const struct start_info *start)
{
    enum { STACK_SLOT = 511 }; // of the first GiB; the slot below becomes the guard
    uint64_t *slots = page_directory();
    (void)start;
    slots[STACK_SLOT - 1] = 0;
    slots[STACK_SLOT] = LARGE_PAGE | PTE_LARGE | PTE_WRITE | PTE_PRESENT;
    write_cr3(read_cr3());

    struct table_register idtr;
    __asm__ volatile("sidt %0" : "=m"(idtr));
    uint16_t *gate = (uint16_t *)(idtr.base + VECTOR_PF * 16);
    gate[4] = UNMAPPED >> 32; // its handler's address, bits 47:32
    __asm__ volatile("mov %0, %%rsp; mov (%1), %%rax"
                     :
                     : "r"((STACK_SLOT + 1ull) * LARGE_PAGE), "r"(UNMAPPED)
                     : "memory");
    return 1;
}

int attack_endless_loop(const struct start_info *start)
{
    (void)start;
    for (;;)
        __asm__ volatile("");
}

int attack_cli_hlt(const struct start_info *start)
{
    (void)start;
    __asm__ volatile("cli; hlt");
    return 1;
}

// Delivering #DB writes to a place that raises #DB, on a stack that is the same each time: left to the
// processor, this would never end and never exit (SDM, "Debug Exceptions").
int attack_debug_loop(const struct start_info *start)
{
    enum { TSS_ENTRY = 7, IST1 = 9, FRAME_BYTES = 40, WRITES_8_BYTES = 0x90001 };
    static uint64_t gdt[TSS_ENTRY + 2], stack[512] __attribute__((aligned(16)));
    static uint32_t tss[26];
    struct table_register gdtr, idtr;
    (void)start;
    __asm__ volatile("sgdt %0; sidt %1" : "=m"(gdtr), "=m"(idtr));
    memcpy(gdt, (const void *)gdtr.base, gdtr.limit + 1u);
    gdtr = (struct table_register){sizeof gdt - 1, (word_t)gdt};
    word_t at = (word_t)tss, top = (word_t)(stack + array_size(stack));
    tss[IST1] = (uint32_t)top;
    gdt[TSS_ENTRY] = (sizeof tss - 1) | (at & 0xffffff) << 16 | 0x89ull << 40 | (at >> 24 & 0xff) << 56;
    __asm__ volatile("lgdt %0; ltr %w1" : : "m"(gdtr), "r"(TSS_ENTRY * 8));
    ((uint16_t *)(idtr.base + VECTOR_DB * 16ul))[2] |= 1; // its gate's IST
    write_dr0(top - FRAME_BYTES);
    write_dr7(WRITES_8_BYTES);
    *(volatile uint64_t *)(top - FRAME_BYTES) = 0;
    return 1;
}
