// Switches tasks by hardware: always a VM exit, which the hypervisor answers by ending the machine in words
// (expect=task-switch). Coming back, or arriving in the other task, is a failure.
#include "guests/lib/guest.h"

enum { GDT_CODE = 2, GDT_DATA = 3, GDT_FIRST = 4, GDT_SECOND = 5, GDT_ENTRIES = 6, TSS_AVAILABLE = 0x89 };

struct task_state { // SDM "Task-State Segment"
    uint32_t link, stacks[6], cr3, eip, eflags;
    uint32_t eax, ecx, edx, ebx, esp, ebp, esi, edi;
    uint32_t es, cs, ss, ds, fs, gs, ldt;
    uint16_t trap, io_map;
};
_Static_assert(sizeof(struct task_state) == 104, "SDM: 32-bit TSS");

static struct task_state first, second;
static char second_stack[4096];
static uint64_t gdt[GDT_ENTRIES] = {
    [GDT_CODE] = 0x00cf9b000000ffff,
    [GDT_DATA] = 0x00cf93000000ffff,
};

static uint64_t descriptor(const struct task_state *t)
{
    uint64_t at = (word_t)t;
    return (sizeof *t - 1) | (at & 0xffffff) << 16 | (uint64_t)TSS_AVAILABLE << 40 | (at >> 24) << 56;
}

static void arrive(void)
{
    print("expected the machine to end at the task switch\ngot to the other task\n");
    guest_exit(1);
}

int main(const struct start_info *start)
{
    struct {
        uint16_t limit;
        word_t base;
    } __attribute__((packed)) gdtr = {sizeof gdt - 1, (word_t)gdt};
    struct {
        uint32_t offset;
        uint16_t selector;
    } __attribute__((packed)) target = {0, GDT_SECOND * 8};
    (void)start;
    second = (struct task_state){
        .eip = (word_t)arrive,
        .eflags = RFLAGS_FIXED,
        .esp = (word_t)(second_stack + sizeof second_stack - 16),
        .cs = GDT_CODE * 8,
        .ss = GDT_DATA * 8,
        .ds = GDT_DATA * 8,
        .es = GDT_DATA * 8,
        .fs = GDT_DATA * 8,
        .gs = GDT_DATA * 8,
        .io_map = sizeof second,
    };
    gdt[GDT_FIRST] = descriptor(&first);
    gdt[GDT_SECOND] = descriptor(&second);
    __asm__ volatile("lgdt %0; ltr %w1; ljmp *%2" : : "m"(gdtr), "r"(GDT_FIRST * 8), "m"(target) : "memory");
    print("expected the machine to end at the task switch\ngot behind it\n");
    return 1;
}
