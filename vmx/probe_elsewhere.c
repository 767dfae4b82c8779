// A VMX instruction of PROBE_RUN at CPL 3 or in compatibility mode, in VMX root operation or outside. The code for it
// is on pages of its own, which only these page tables map, in the lower half; GDT and IDT are other ones, too. It
// ends by an exception: the instruction's, or that of the UD2 behind it.
#include "arch/cpu.h"
#include "arch/descriptors.h"
#include "arch/exception.h"
#include "arch/memory.h"
#include "arch/pcpu.h"
#include "arch/string.h"
#include "mm/mm.h"
#include "sdm/bits.h"
#include "sdm/msr.h"
#include "vmx/probe.h"

enum { CODE_AT = 0x10000, DATA_AT = 0x11000, OPERAND_AT = DATA_AT, STACK_TOP = 0xff0 };
enum { USER_CODE = 0x2b, USER_DATA = 0x33, CODE32 = 0x38, GDT_WORDS = 8 };

struct room {
    // vmx/probe_entry.asm knows these by their order.
    uint64_t rsp, cr3; // the hypervisor's
    uint64_t vector, error, rip, rflags;

    uint64_t gdt[GDT_WORDS];
    uint64_t stack[128] __attribute__((aligned(16))); // of the exception at CPL 3
    uint64_t self;                                    // behind it: what the exception finds above its frame
};
struct elsewhere {
    struct room room;
    uint64_t idt[2 * VECTOR_COUNT] __attribute__((aligned(PAGE_SIZE)));
    uint8_t code[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));
    uint64_t data[PAGE_SIZE / 8];
    uint64_t pml4[512], pdpt[512], directory[512], table[512];
};
enum { ORDER = 3 };
_Static_assert(sizeof(struct elsewhere) <= PAGE_SIZE << ORDER, "one block");
_Static_assert(offsetof(struct room, rflags) == 40, "probe_entry.asm");

void probe_go(struct room *r, const uint64_t frame[5], uint64_t cr3, uint64_t rbx, uint64_t rax,
              uint64_t rcx);
extern const char probe_came_6[], probe_came_12[], probe_came_13[], probe_came_14[];

// With a memory operand at (R/E)BX, and registers RAX and RCX; the bytes mean the same in both places.
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
};

bool probe_can_elsewhere(unsigned instruction)
{
    return instruction < PROBE_DO_COUNT && codes[instruction].length;
}

static void gate(struct elsewhere *e, unsigned vector, const char *to)
{
    uint64_t at = (uint64_t)(uintptr_t)to;
    e->idt[2 * vector] = (at & 0xffff) | SELECTOR_CODE << 16 | 0x8eull << 40 | (at >> 16 & 0xffff) << 48;
    e->idt[2 * vector + 1] = at >> 32;
}

// The host's tables, so that NMIs and machine checks find what they always do, with more.
static void build(struct elsewhere *e, bool user)
{
    enum { P = 1, W = 2, U = 4 };
    const uint64_t user_bit = user ? U : 0, no_execute = 1ull << 63;
    const struct arch_cpu *arch = this_pcpu()->arch;
    memcpy(e->room.gdt, arch->gdt, sizeof arch->gdt);
    e->room.gdt[USER_CODE / 8] = 0x00affb000000ffff;
    e->room.gdt[USER_DATA / 8] = 0x00cff3000000ffff;
    e->room.gdt[CODE32 / 8] = 0x00cf9b000000ffff;
    memcpy(e->idt, idt, sizeof e->idt);
    gate(e, EXC_UD, probe_came_6);
    gate(e, EXC_SS, probe_came_12);
    gate(e, EXC_GP, probe_came_13);
    gate(e, EXC_PF, probe_came_14);
    memcpy(e->pml4, hpa_to_virt(hpa(read_cr3() & ~(uint64_t)(PAGE_SIZE - 1))), sizeof e->pml4);
    e->pml4[0] = virt_to_hpa(e->pdpt).v | P | W | U;
    e->pdpt[0] = virt_to_hpa(e->directory).v | P | W | U;
    e->directory[0] = virt_to_hpa(e->table).v | P | W | U;
    e->table[CODE_AT / PAGE_SIZE] = virt_to_hpa(e->code).v | P | user_bit;
    e->table[DATA_AT / PAGE_SIZE] = virt_to_hpa(e->data).v | P | W | user_bit | no_execute;
    e->room.self = (uint64_t)(uintptr_t)&e->room;
    e->data[STACK_TOP / 8] = e->room.self;
}

static void put_code(struct elsewhere *e, unsigned instruction)
{
    uint8_t length = codes[instruction].length;
    memcpy(e->code, codes[instruction].bytes, length);
    e->code[length] = 0x0f; // UD2
    e->code[length + 1] = 0x0b;
}

static void go(struct elsewhere *e, bool user, uint64_t rflags, uint64_t rax, uint64_t rcx)
{
    struct pcpu *here = this_pcpu();
    struct arch_cpu *arch = here->arch;
    const uint64_t stack = user ? 0 : DATA_AT + STACK_TOP, rsp0 = arch->tss.rsp[0];
    const uint64_t frame[5] = {CODE_AT, user ? USER_CODE : CODE32, rflags, stack,
                               user ? USER_DATA : SELECTOR_DATA};
    e->room.cr3 = read_cr3();
    arch->tss.rsp[0] = (uint64_t)(uintptr_t)&e->room.self;
    lgdt(&(struct table_pointer){sizeof e->room.gdt - 1, (uint64_t)(uintptr_t)e->room.gdt});
    lidt(&(struct table_pointer){sizeof e->idt - 1, (uint64_t)(uintptr_t)e->idt});
    probe_go(&e->room, frame, virt_to_hpa(e->pml4).v, OPERAND_AT, rax, rcx);
    arch->tss.rsp[0] = rsp0;
    descriptors_reload(arch);
    wrmsr(MSR_FS_BASE, 0);
    pcpu_bind(here);
}

enum error probe_elsewhere(struct probe *p, const struct probe_step *s, const uint64_t words[2],
                           uint64_t rflags, struct probe_fault *fault)
{
    bool user = s->flags & PROBE_STEP_CPL3;
    if (!p->elsewhere) {
        pfn_t f = buddy_alloc_or_fail(&frames, ORDER, p->owner);
        if (pfn_is_none(f))
            return E_NO_MEMORY;
        p->elsewhere = memset(pfn_to_virt(f), 0, sizeof(*p->elsewhere));
    }
    struct elsewhere *e = p->elsewhere;
    build(e, user);
    put_code(e, s->instruction);
    memcpy(e->data, words, 2 * sizeof *words);
    go(e, user, rflags, s->instruction == PROBE_DO_VMWRITE ? s->value : s->operand, s->operand);
    *fault = (struct probe_fault){.rflags = e->room.rflags,
                                  .caught = e->room.rip == CODE_AT,
                                  .vector = (uint8_t)e->room.vector,
                                  .error = (uint32_t)e->room.error};
    return E_OK;
}

void probe_elsewhere_free(struct probe *p)
{
    if (p->elsewhere)
        buddy_free(&frames, hpa_to_pfn(virt_to_hpa(p->elsewhere)), p->owner);
    p->elsewhere = NULL;
}
