// Tables and stack of the entered code.
#include "guests/vmx/lib/vmx.h"

uint8_t subject_stack[8192] __attribute__((aligned(4096)));
uint64_t subject_idt[512] __attribute__((aligned(4096)));
uint64_t subject_gdt[16] __attribute__((aligned(4096)));
uint64_t subject_pages[4][512] __attribute__((aligned(4096)));
uint32_t subject_tss[32];

// 256 times VMCALL, 16 bytes apart.
extern const char vector_stubs[256][16];
__asm__(".pushsection .text\n.balign 16\n.globl vector_stubs\nvector_stubs:\n"
        ".rept 256\nvmcall\nhlt\n.balign 16\n.endr\n.popsection");

// ---- Modes ----

// Memory at its own addresses, for everybody, by large pages: tables of 64-bit entries are one above the other.
enum { LARGE = 1 << 7, OPEN = 7, MEMORY_2M = 2, ROOT = 0, SECOND = 1, THIRD = 2, WINDOW = 3 };

static void map_64_bit(bool long_mode)
{
    for (unsigned i = 0; i < MEMORY_2M; i++)
        subject_pages[THIRD][i] = (uint64_t)i << 21 | LARGE | OPEN;
    subject_pages[SECOND][0] = (word_t)subject_pages[THIRD] | (long_mode ? OPEN : 1);
    subject_pages[ROOT][0] = (word_t)subject_pages[SECOND] | OPEN;
    vm_set(GUEST_CR3, (word_t)subject_pages[long_mode ? ROOT : SECOND]);
    vm_set(GUEST_PDPTE0, long_mode ? 0 : subject_pages[SECOND][0]);
}

static void map_32_bit(void)
{
    subject_pages[ROOT][0] = LARGE | OPEN; // two of 4 bytes, the second not present
    vm_set_bits(GUEST_CR4, CR4_PSE);
    vm_set(GUEST_CR3, (word_t)subject_pages[ROOT]);
}

// Control fields stay the test's own; but which mode it is, is one of them.
static void take_mode(const struct vmcs_image *made)
{
    for (unsigned i = 0; i < VMCS_FIELD_COUNT; i++)
        if (vmcs_group(vmcs_fields[i].encoding) == VMCS_GUEST)
            vm.value[i] = made->value[i];
    vm_control(WORD_ENTRY, ENTRY_IA32E_MODE_GUEST,
               made->value[AT_VM_ENTRY_CONTROLS] & ENTRY_IA32E_MODE_GUEST);
    vm.value[AT_CR0_READ_SHADOW] = made->value[AT_GUEST_CR0];
}

static bool segmented(void) // addresses are 20 bits wide
{
    return !(vm_get(GUEST_CR0) & CR0_PE) || vm_get(GUEST_RFLAGS) & RFLAGS_VM;
}

static void use_stack(void)
{
    uint64_t top = sizeof subject_stack - 16, base = (word_t)subject_stack;
    if (segmented()) {
        vm_set(GUEST_SS_BASE, base);
        vm_set(GUEST_SS_SELECTOR, base >> 4);
    }
    vm_set(GUEST_RSP, segmented() ? top : base + top);
}

static void use_selectors(enum entry_mode mode)
{
    if (segmented())
        return;
    vm_set(GUEST_CS_SELECTOR, mode == MODE_LONG ? SUBJECT_CODE : SUBJECT_CODE32);
    for (unsigned s = GUEST_ES_SELECTOR; s <= GUEST_GS_SELECTOR; s += 2)
        if (s != GUEST_CS_SELECTOR)
            vm_set(s, SUBJECT_DATA);
}

const char *vm_mode(enum entry_mode mode)
{
    struct vmcs_image made = vm;
    if (!entry_mode_set(&made, &processor, mode))
        return "the processor has no unrestricted guest";
    take_mode(&made);
    memset(subject_pages, 0, sizeof subject_pages);
    if (mode == MODE_LONG || mode == MODE_PAE)
        map_64_bit(mode == MODE_LONG);
    else if (made.value[AT_GUEST_CR0] & CR0_PG)
        map_32_bit();
    use_selectors(mode);
    use_stack();
    return NULL;
}

void vm_run(const void *code)
{
    uint64_t at = (word_t)code;
    if (segmented()) {
        uint64_t base = at & ~0x3full; // bits 1:0 of the selector, which mean nothing here, are 0
        vm_set(GUEST_CS_BASE, base);
        vm_set(GUEST_CS_SELECTOR, base >> 4);
        at -= base;
    }
    vm_set(GUEST_RIP, at);
    vm_set(PREEMPTION_TIMER_VALUE, RUN_TICKS >> vmx_misc_timer_rate(processor.caps.misc));
}

void vm_user(void)
{
    bool long_mode = vm_get(VM_ENTRY_CONTROLS) & ENTRY_IA32E_MODE_GUEST;
    vm_set(GUEST_CS_SELECTOR, long_mode ? SUBJECT_USER_CODE : SUBJECT_USER_CODE32);
    vm_set_bits(GUEST_CS_ACCESS_RIGHTS, AR_DPL);
    for (unsigned i = 0; i <= GUEST_GS_SELECTOR - GUEST_ES_SELECTOR; i += 2) {
        if (i == GUEST_CS_SELECTOR - GUEST_ES_SELECTOR)
            continue;
        vm_set(GUEST_ES_SELECTOR + i, SUBJECT_USER_DATA);
        vm_set_bits(GUEST_ES_ACCESS_RIGHTS + i, AR_DPL);
    }
}

void vm_unblock_nmis(void)
{
    __asm__ volatile(
        "mov %%rsp, %%rax; mov %%ss, %%ecx; push %%rcx; push %%rax; pushfq; mov %%cs, %%ecx; push %%rcx;"
        "lea 1f(%%rip), %%rcx; push %%rcx; iretq; 1:" ::
            : "rax", "rcx", "memory", "cc");
}

void vm_window(unsigned page, uint64_t entry)
{
    subject_pages[THIRD][SUBJECT_WINDOW >> 21] = (word_t)subject_pages[WINDOW] | OPEN;
    subject_pages[WINDOW][page] = entry;
}

static const char *enter_long(void)
{
    return vm_mode(MODE_LONG);
}
static const char *enter_cpl3(void)
{
    const char *why = vm_mode(MODE_LONG);
    vm_user();
    return why;
}
static const char *enter_compatibility(void)
{
    const char *why = vm_mode(MODE_LONG);
    vm_set(GUEST_CS_SELECTOR, SUBJECT_CODE32);
    vm_xor(GUEST_CS_ACCESS_RIGHTS, AR_L | AR_DB);
    return why;
}
static const char *enter_protected(void)
{
    return vm_mode(MODE_PROTECTED);
}
static const char *enter_real(void)
{
    return vm_mode(MODE_REAL);
}
static const char *enter_v86(void)
{
    return vm_mode(MODE_V86);
}
static const char *enter_pae(void)
{
    return vm_mode(MODE_PAE);
}
static const char *enter_paged(void)
{
    return vm_mode(MODE_PAGED);
}

const struct subject_mode subject_modes[SUBJECT_MODES] = {
    [SUBJECT_CPL3] = {"cpl3",          enter_cpl3         },
    [SUBJECT_COMPATIBILITY] = {"compatibility", enter_compatibility},
    [SUBJECT_PROTECTED] = {"protected",     enter_protected    },
    [SUBJECT_REAL] = {"real",          enter_real         },
    [SUBJECT_V86] = {"v86",           enter_v86          },
    [SUBJECT_PAE] = {"pae",           enter_pae          },
    [SUBJECT_PAGED] = {"paged",         enter_paged        },
    [SUBJECT_LONG] = {"long",          enter_long         },
};

// ---- Tables ----

enum { PRESENT = 0x80, INTERRUPT_GATE = 0x0e, USERS = 0x60 };

static uint64_t gate(uint64_t at, uint16_t selector)
{
    return (at & 0xffff) | (uint64_t)selector << 16 | (uint64_t)(PRESENT | USERS | INTERRUPT_GATE) << 40 |
           (at >> 16 & 0xffff) << 48;
}

void vm_gate(uint8_t vector, const void *code)
{
    uint64_t at = (word_t)code;
    if (!(vm_get(GUEST_CR0) & CR0_PE)) {
        ((uint32_t *)subject_idt)[vector] = (uint32_t)(at >> 4) << 16 | (at & 0xf);
    } else if (vm_get(VM_ENTRY_CONTROLS) & ENTRY_IA32E_MODE_GUEST) {
        subject_idt[2 * vector] = gate(at, SUBJECT_CODE);
        subject_idt[2 * vector + 1] = at >> 32;
    } else {
        subject_idt[vector] = gate(at, SUBJECT_CODE32);
    }
}

static void build_idt(void)
{
    memset(subject_idt, 0, sizeof subject_idt);
    for (unsigned v = 0; v < 256; v++)
        vm_gate((uint8_t)v, vector_stubs[v]);
}

static void build_gdt(void)
{
    memset(subject_gdt, 0, sizeof subject_gdt);
    subject_gdt[SUBJECT_CODE / 8] = 0x00af9b000000ffff;
    subject_gdt[SUBJECT_DATA / 8] = 0x00cf93000000ffff;
    subject_gdt[SUBJECT_CODE32 / 8] = 0x00cf9b000000ffff;
    subject_gdt[SUBJECT_CODE16 / 8] = 0x00009b000000ffff;
    subject_gdt[SUBJECT_DATA16 / 8] = 0x000093000000ffff;
    subject_gdt[SUBJECT_NOT_PRESENT / 8] = 0x00cf13000000ffff;
    uint64_t base = (word_t)subject_tss;
    subject_gdt[SUBJECT_TSS / 8] = 0x67 | (base & 0xffffff) << 16 | 0x8bull << 40 | (base >> 24 & 0xff) << 56;
    subject_gdt[SUBJECT_TSS / 8 + 1] = base >> 32;
    subject_gdt[SUBJECT_USER_CODE / 8] = 0x00affb000000ffff;
    subject_gdt[SUBJECT_USER_DATA / 8] = 0x00cff3000000ffff;
    subject_gdt[SUBJECT_USER_CODE32 / 8] = 0x00cffb000000ffff;
}

// The stack for CPL 0: in its upper half in 32-bit mode, too, where SS0 stands. I/O permissions: none.
static void build_tss(void)
{
    uint64_t top = (word_t)subject_stack + sizeof subject_stack / 2;
    memset(subject_tss, 0, sizeof subject_tss);
    if (vm_get(VM_ENTRY_CONTROLS) & ENTRY_IA32E_MODE_GUEST) {
        memcpy(&subject_tss[1], &top, sizeof top); // RSP0
    } else {
        subject_tss[1] = (uint32_t)top;
        subject_tss[2] = SUBJECT_DATA;
    }
    subject_tss[25] = 0xffff0000;
}

void vm_tables(void)
{
    vm_watch(GUEST_CS_BASE); // for vector_reached()
    build_idt();
    build_gdt();
    build_tss();
    vm_set(GUEST_IDTR_BASE, (word_t)subject_idt);
    vm_set(GUEST_IDTR_LIMIT, sizeof subject_idt - 1);
    vm_set(GUEST_GDTR_BASE, (word_t)subject_gdt);
    vm_set(GUEST_GDTR_LIMIT, sizeof subject_gdt - 1);
    vm_set(GUEST_TR_SELECTOR, SUBJECT_TSS);
    vm_set(GUEST_TR_BASE, (word_t)subject_tss);
    vm_set(GUEST_TR_LIMIT, sizeof subject_tss - 1);
}

const void *vector_stub(uint8_t vector)
{
    return vector_stubs[vector];
}

int vector_at(uint64_t address)
{
    uint64_t offset = address - (word_t)vector_stubs;
    return offset < sizeof vector_stubs && offset % 16 == 0 ? (int)(offset / 16) : -1;
}

int vector_reached(void)
{
    bool there = result.outcome == PROBE_ENTERED && result.reason == REASON_VMCALL;
    return there ? vector_at(vm_saw(GUEST_CS_BASE) + result.rip) : -1;
}
