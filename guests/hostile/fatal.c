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
