// Tables and stack of the entered code.
#include "guests/vmx/lib/vmx.h"

uint8_t subject_stack[8192] __attribute__((aligned(4096)));
uint64_t subject_idt[512] __attribute__((aligned(4096)));
uint64_t subject_gdt[16] __attribute__((aligned(4096)));
static uint32_t tss[32];

// 256 times VMCALL, 16 bytes apart.
extern const char vector_stubs[256][16];
__asm__(".pushsection .text\n.balign 16\n.globl vector_stubs\nvector_stubs:\n"
        ".rept 256\nvmcall\nhlt\n.balign 16\n.endr\n.popsection");

static void build_idt(void)
{
    enum { PRESENT = 0x80, INTERRUPT_GATE = 0x0e, USERS = 0x60 };
    for (unsigned v = 0; v < 256; v++) {
        uint64_t at = (word_t)vector_stubs[v];
        subject_idt[2 * v] = (at & 0xffff) | SUBJECT_CODE << 16 |
                             (uint64_t)(PRESENT | USERS | INTERRUPT_GATE) << 40 | (at >> 16 & 0xffff) << 48;
        subject_idt[2 * v + 1] = at >> 32;
    }
}

static void build_gdt(void)
{
    subject_gdt[SUBJECT_CODE / 8] = 0x00af9b000000ffff;
    subject_gdt[SUBJECT_DATA / 8] = 0x00cf93000000ffff;
    subject_gdt[SUBJECT_CODE32 / 8] = 0x00cf9b000000ffff;
    subject_gdt[SUBJECT_CODE16 / 8] = 0x00009b000000ffff;
    subject_gdt[SUBJECT_DATA16 / 8] = 0x000093000000ffff;
    subject_gdt[SUBJECT_NOT_PRESENT / 8] = 0x00cf13000000ffff;
    uint64_t base = (word_t)tss;
    subject_gdt[SUBJECT_TSS / 8] = 0x67 | (base & 0xffffff) << 16 | 0x8bull << 40 | (base >> 24 & 0xff) << 56;
    subject_gdt[SUBJECT_TSS / 8 + 1] = base >> 32;
    subject_gdt[SUBJECT_USER_CODE / 8] = 0x00affb000000ffff;
    subject_gdt[SUBJECT_USER_DATA / 8] = 0x00cff3000000ffff;
}

void vm_tables(void)
{
    build_idt();
    build_gdt();
    uint64_t top = (word_t)subject_stack + sizeof subject_stack / 2;
    memset(tss, 0, sizeof tss);
    memcpy(&tss[1], &top, sizeof top); // RSP0
    vm_set(GUEST_IDTR_BASE, (word_t)subject_idt);
    vm_set(GUEST_IDTR_LIMIT, sizeof subject_idt - 1);
    vm_set(GUEST_GDTR_BASE, (word_t)subject_gdt);
    vm_set(GUEST_GDTR_LIMIT, sizeof subject_gdt - 1);
    vm_set(GUEST_TR_SELECTOR, SUBJECT_TSS);
    vm_set(GUEST_TR_BASE, (word_t)tss);
    vm_set(GUEST_TR_LIMIT, sizeof tss - 1);
}

int vector_reached(void)
{
    uint64_t offset = result.rip - (word_t)vector_stubs;
    bool reached = result.outcome == PROBE_ENTERED && offset < sizeof vector_stubs && offset % 16 == 0;
    return reached ? (int)(offset / 16) : -1;
}
