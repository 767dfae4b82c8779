// Where an instruction of PROBE_RUN is executed: in 64-bit mode at CPL 0 or 3, or in compatibility mode. Its code is
// on a page of its own, which only these page tables map, in the lower half; GDT and IDT are other ones, too. It
// ends by an exception: the instruction's, or that of the UD2 behind it.
#include "arch/cpu.h"
#include "arch/descriptors.h"
#include "arch/exception.h"
#include "arch/memory.h"
#include "arch/pcpu.h"
#include "arch/string.h"
#include "sdm/msr.h"
#include "vmx/probe.h"

enum { CODE_AT = 0x10000, DATA_AT = PROBE_OPERAND_AT, STACK_TOP = 0xff0 };
enum { USER_CODE = 0x2b, USER_DATA = 0x33, CODE32 = 0x38, GDT_WORDS = 8 };
enum { P = 1, W = 2, U = 4 }; // of paging-structure entries

struct room {
    // vmx/probe_entry.asm knows these by their order.
    uint64_t rsp, cr3; // the hypervisor's
    uint64_t vector, error, rip, rflags;
    uint64_t rax, rcx, rdx, rbx;
    uint64_t frame[5]; // for IRET

    uint64_t gdt[GDT_WORDS];
    uint64_t stack[128] __attribute__((aligned(16))); // of the exception at CPL 3
    uint64_t self;                                    // behind it: what the exception finds above its frame
    uint64_t idt[2 * VECTOR_COUNT] __attribute__((aligned(PAGE_SIZE)));
    uint8_t code[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));
    uint64_t data[PAGE_SIZE / 8];
    uint64_t pml4[512], pdpt[512], directory[512], table[512];
};
_Static_assert(sizeof(struct room) <= PAGE_SIZE << PROBE_ROOM_ORDER, "one block");
_Static_assert(offsetof(struct room, rax) == 8 * 6 && offsetof(struct room, frame) == 8 * 10,
               "probe_entry.asm");

void probe_go(struct room *r, uint64_t cr3);
extern const char probe_came_6[], probe_came_12[], probe_came_13[], probe_came_14[];

// With a memory operand at (R/E)BX, and registers RAX and RCX; the bytes mean the same in all places. VMREAD and
// VMWRITE are the forms with registers; FROM_MEMORY in place of the last byte makes the others.
enum { FROM_MEMORY = 0x0b };
static const struct {
    uint8_t bytes[5], length;
} codes[PROBE_DO_COUNT] = {
    [PROBE_DO_VMXON] = {{0xf3, 0x0f, 0xc7, 0x33},       4},
    [PROBE_DO_VMXOFF] = {{0x0f, 0x01, 0xc4},             3},
    [PROBE_DO_VMCLEAR] = {{0x66, 0x0f, 0xc7, 0x33},       4},
    [PROBE_DO_VMPTRLD] = {{0x0f, 0xc7, 0x33},             3},
    [PROBE_DO_VMPTRST] = {{0x0f, 0xc7, 0x3b},             3},
    [PROBE_DO_VMREAD] = {{0x0f, 0x78, 0xc8},             3},
    [PROBE_DO_VMWRITE] = {{0x0f, 0x79, 0xc8},             3},
    [PROBE_DO_VMLAUNCH] = {{0x0f, 0x01, 0xc2},             3},
    [PROBE_DO_VMRESUME] = {{0x0f, 0x01, 0xc3},             3},
    [PROBE_DO_INVEPT] = {{0x66, 0x0f, 0x38, 0x80, 0x03}, 5},
    [PROBE_DO_INVVPID] = {{0x66, 0x0f, 0x38, 0x81, 0x03}, 5},
    [PROBE_DO_VMCALL] = {{0x0f, 0x01, 0xc1},             3},
    [PROBE_DO_VMFUNC] = {{0x0f, 0x01, 0xd4},             3},
    [PROBE_DO_WRMSR] = {{0x0f, 0x30},                   2},
    [PROBE_DO_MOV_CR0] = {{0x0f, 0x22, 0xc0},             3},
    [PROBE_DO_MOV_CR4] = {{0x0f, 0x22, 0xe0},             3},
};

static void gate(struct room *r, unsigned vector, const char *to)
{
    uint64_t at = (uint64_t)(uintptr_t)to;
    r->idt[2 * vector] = (at & 0xffff) | SELECTOR_CODE << 16 | 0x8eull << 40 | (at >> 16 & 0xffff) << 48;
    r->idt[2 * vector + 1] = at >> 32;
}

// The host's tables, so that NMIs and machine checks find what they always do, with more.
void probe_room_build(struct room *r)
{
    const struct arch_cpu *arch = this_pcpu()->arch;
    memset(r, 0, sizeof *r);
    memcpy(r->gdt, arch->gdt, sizeof arch->gdt);
    r->gdt[USER_CODE / 8] = 0x00affb000000ffff;
    r->gdt[USER_DATA / 8] = 0x00cff3000000ffff;
    r->gdt[CODE32 / 8] = 0x00cf9b000000ffff;
    memcpy(r->idt, idt, sizeof r->idt);
    gate(r, EXC_UD, probe_came_6);
    gate(r, EXC_SS, probe_came_12);
    gate(r, EXC_GP, probe_came_13);
    gate(r, EXC_PF, probe_came_14);
    memcpy(r->pml4, hpa_to_virt(hpa(read_cr3() & ~(uint64_t)(PAGE_SIZE - 1))), sizeof r->pml4);
    r->pml4[0] = virt_to_hpa(r->pdpt).v | P | W | U;
    r->pdpt[0] = virt_to_hpa(r->directory).v | P | W | U;
    r->directory[0] = virt_to_hpa(r->table).v | P | W | U;
    r->self = (uint64_t)(uintptr_t)r;
    r->data[STACK_TOP / 8] = r->self;
}

static void put_code(struct room *r, const struct probe_step *s)
{
    uint8_t length = codes[s->instruction].length;
    bool reads = s->instruction == PROBE_DO_VMREAD, writes = s->instruction == PROBE_DO_VMWRITE;
    memcpy(r->code, codes[s->instruction].bytes, length);
    if ((reads || writes) && s->flags & (PROBE_STEP_MEMORY | PROBE_STEP_UNMAPPED | PROBE_STEP_NONCANONICAL))
        r->code[length - 1] = FROM_MEMORY;
    r->code[length] = 0x0f; // UD2
    r->code[length + 1] = 0x0b;
}

void probe_execute(struct room *r, const struct probe_step *s, struct probe_execution *x)
{
    enum { STATUS_FLAGS = RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF };
    struct pcpu *here = this_pcpu();
    struct arch_cpu *arch = here->arch;
    const bool user = s->flags & PROBE_STEP_CPL3, narrow = s->flags & PROBE_STEP_COMPATIBILITY;
    const uint64_t user_bit = user ? U : 0, no_execute = 1ull << 63, rsp0 = arch->tss.rsp[0];
    const uint64_t frame[] = {CODE_AT,
                              user     ? USER_CODE
                              : narrow ? CODE32
                                       : SELECTOR_CODE,
                              STATUS_FLAGS | RFLAGS_FIXED1, user ? 0 : DATA_AT + STACK_TOP,
                              user ? USER_DATA : SELECTOR_DATA};
    put_code(r, s);
    memcpy(r->data, x->words, sizeof x->words);
    memcpy(r->frame, frame, sizeof frame);
    r->table[CODE_AT / PAGE_SIZE] = virt_to_hpa(r->code).v | P | user_bit;
    r->table[DATA_AT / PAGE_SIZE] = virt_to_hpa(r->data).v | P | W | user_bit | no_execute;
    r->rax = x->rax, r->rcx = x->rcx, r->rdx = x->rdx, r->rbx = x->memory;
    r->cr3 = read_cr3();
    arch->tss.rsp[0] = (uint64_t)(uintptr_t)&r->self;
    lgdt(&(struct table_pointer){sizeof r->gdt - 1, (uint64_t)(uintptr_t)r->gdt});
    lidt(&(struct table_pointer){sizeof r->idt - 1, (uint64_t)(uintptr_t)r->idt});
    probe_go(r, virt_to_hpa(r->pml4).v);
    arch->tss.rsp[0] = rsp0;
    descriptors_reload(arch);
    wrmsr(MSR_FS_BASE, 0);
    pcpu_bind(here);
    x->rax = r->rax;
    memcpy(x->words, r->data, sizeof x->words);
    x->rflags = r->rflags;
    x->caught = r->rip == CODE_AT;
    x->vector = (uint8_t)r->vector;
    x->error = (uint32_t)r->error;
}
