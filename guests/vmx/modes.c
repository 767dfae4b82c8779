// The same guest in every mode, under unrestricted guest where it takes that, and the ways from one mode to another.
#include "guests/vmx/lib/vmx.h"
#include "sdm/msr.h"

CODE(code_nothing, "");

// ---- Which modes can be entered ----

static bool needs_unrestricted(unsigned mode)
{
    return mode == SUBJECT_REAL || mode == SUBJECT_PROTECTED;
}

static void entries(void)
{
    for (unsigned mode = 0; mode < SUBJECT_MODES; mode++)
        for (unsigned unrestricted = 0; unrestricted < 2; unrestricted++) {
            const char *name = name_of("enter-%s-unrestricted-%u", subject_modes[mode].name, unrestricted);
            section = "Checks on Guest Control Registers, Debug Registers, and MSRs";
            vm_reset();
            const char *why = subject_modes[mode].enter();
            if (why || (unrestricted && !can(WORD_SECONDARY, SECONDARY_UNRESTRICTED_GUEST))) {
                skipped(name, "the processor has no unrestricted guest");
                continue;
            }
            vm_run(code_nothing);
            vm_control(WORD_SECONDARY, SECONDARY_UNRESTRICTED_GUEST, unrestricted);
            if (unrestricted || !needs_unrestricted(mode))
                expect_passed(name);
            else
                expect_failed_entry(name, REASON_INVALID_GUEST_STATE, 0);
        }
    section = "VM-Execution Control Fields";
    if (!can(WORD_SECONDARY, SECONDARY_UNRESTRICTED_GUEST)) {
        vm_reset();
        vm_control(WORD_SECONDARY, SECONDARY_UNRESTRICTED_GUEST, true);
        expect_fail_valid("unrestricted-refused", VM_ERROR_ENTRY_CONTROLS);
        return;
    }
    vm_reset();
    vm_mode(MODE_LONG);
    vm_control(WORD_SECONDARY, SECONDARY_EPT, false);
    vm_control(WORD_SECONDARY, SECONDARY_UNRESTRICTED_GUEST, true);
    vm_set(GUEST_CR3, physical(scratch_page)); // the fence asks for an own page where there is no EPT
    vm_set(GUEST_ACTIVITY_STATE, ACTIVITY_WAIT_FOR_SIPI + 1);
    expect_fail_valid("unrestricted-without-ept", VM_ERROR_ENTRY_CONTROLS);
}

// ---- CR0 written by the guest: PE and PG are free only under unrestricted guest ----

CODE(code_write_cr0, ".byte 0x0f, 0x22, 0xc0");

static void fixed_bits(void)
{
    static const struct {
        const char *name;
        uint64_t clear, set;
        bool allowed; // under unrestricted guest
    } writes[] = {
        {"pg",      CR0_PG,          0, true },
        {"pe-pg",   CR0_PE | CR0_PG, 0, true },
        {"pe",      CR0_PE,          0, false}, // PG without PE
        {"ne",      CR0_NE,          0, false},
        {"nothing", 0,               0, true },
    };
    static const uint8_t in[] = {SUBJECT_PAE, SUBJECT_PAGED};
    section = "Restrictions on VMX Operation";
    for (unsigned m = 0; m < array_size(in); m++)
        for (unsigned n = 0; n < array_size(writes); n++)
            for (unsigned unrestricted = 0; unrestricted < 2; unrestricted++) {
                const char *name = name_of("clear-%s-in-%s-unrestricted-%u", writes[n].name,
                                           subject_modes[in[m]].name, unrestricted);
                if (unrestricted && !can(WORD_SECONDARY, SECONDARY_UNRESTRICTED_GUEST)) {
                    skipped(name, "the processor has no unrestricted guest");
                    continue;
                }
                vm_reset();
                subject_modes[in[m]].enter();
                vm_tables();
                vm_run(code_write_cr0);
                vm_control(WORD_SECONDARY, SECONDARY_UNRESTRICTED_GUEST, unrestricted);
                vm_set(EXCEPTION_BITMAP, 0xffffffff);
                vm_gpr[0] = vm_get(GUEST_CR0) & ~writes[n].clear;
                vm_watch(GUEST_CR0);
                if (writes[n].clear == 0 || (unrestricted && writes[n].allowed)) {
                    expect_passed(name);
                    expect_equal(name_of("%s-cr0", name), "CR0", vm_get(GUEST_CR0) & ~writes[n].clear,
                                 vm_saw(GUEST_CR0));
                } else {
                    expect_exception(name, EXC_GP, 0);
                }
            }
}

// ---- What the same bytes do in each mode ----

CODE(code_push, ".byte 0x50");
CODE(code_int, "int $0x40; nop");
CODE(code_load_ds, ".byte 0x8e, 0xd8");   // MOV DS, EAX
CODE(code_far, ".byte 0x67, 0x8a, 0x03"); // MOV AL, [EBX] with 16-bit segments
CODE(handler_16, ".code16; inc %edi; iretw; .code64");
CODE(handler_32, ".code32; inc %edi; iretl; .code64");
CODE(handler_64, "inc %edi; iretq");

static const struct width {
    uint8_t push;
    const char *handler;
} widths[SUBJECT_MODES] = {
    [SUBJECT_CPL3] = {8, handler_64},
      [SUBJECT_COMPATIBILITY] = {4, handler_64},
    [SUBJECT_PROTECTED] = {4, handler_32},
      [SUBJECT_REAL] = {2, handler_16},
    [SUBJECT_V86] = {2, handler_32},
      [SUBJECT_PAE] = {4, handler_32},
    [SUBJECT_PAGED] = {4, handler_32},
      [SUBJECT_LONG] = {8, handler_64},
};

static const char *describe(unsigned mode, const char *code)
{
    vm_reset();
    const char *why = subject_modes[mode].enter();
    if (why)
        return why;
    vm_tables();
    vm_run(code);
    vm_set(EXCEPTION_BITMAP, 0xffffffff);
    if (mode == SUBJECT_V86)
        vm_set_bits(GUEST_RFLAGS, RFLAGS_IOPL);
    return NULL;
}

static void pushes(unsigned mode, const char *name)
{
    describe(mode, code_push);
    vm_watch(GUEST_RSP);
    section = "Saving RIP, RSP, RFLAGS, and SSP";
    expect_passed(name_of("push-in-%s", name));
    expect_equal(name_of("push-in-%s-rsp", name), "RSP", vm_get(GUEST_RSP) - widths[mode].push,
                 vm_saw(GUEST_RSP));
}

// INT n to a handler that counts and returns.
static void interrupts(unsigned mode, const char *name)
{
    describe(mode, code_int);
    vm_gate(0x40, widths[mode].handler);
    vm_watch(GUEST_RSP);
    vm_watch(GUEST_CS_SELECTOR);
    section = "Saving RIP, RSP, RFLAGS, and SSP";
    expect_passed(name_of("int-in-%s", name));
    expect_equal(name_of("int-in-%s-handled", name), "RDI", 1, vm_gpr[7]);
    expect_equal(name_of("int-in-%s-rsp", name), "RSP", vm_get(GUEST_RSP), vm_saw(GUEST_RSP));
    section = "Saving Segment Registers and Descriptor-Table Registers";
    expect_equal(name_of("int-in-%s-cs", name), "CS", vm_get(GUEST_CS_SELECTOR), vm_saw(GUEST_CS_SELECTOR));
    expect_equal(name_of("int-in-%s-rflags", name), "RFLAGS.VM", vm_get(GUEST_RFLAGS) & RFLAGS_VM,
                 result.rflags & RFLAGS_VM);
}

// In real and virtual-8086 mode the base is 16 times the selector; else it comes from the GDT.
static void loads_segment(unsigned mode, const char *name)
{
    bool shifted = mode == SUBJECT_REAL || mode == SUBJECT_V86, user = mode == SUBJECT_CPL3;
    uint16_t selector = shifted ? 0x1234 : user ? SUBJECT_USER_DATA : SUBJECT_DATA16;
    describe(mode, code_load_ds);
    vm_gpr[0] = selector;
    vm_watch(GUEST_DS_SELECTOR);
    vm_watch(GUEST_DS_BASE);
    vm_watch(GUEST_DS_LIMIT);
    section = "Saving Segment Registers and Descriptor-Table Registers";
    expect_passed(name_of("load-ds-in-%s", name));
    expect_equal(name_of("load-ds-in-%s-selector", name), "DS", selector, vm_saw(GUEST_DS_SELECTOR));
    expect_equal(name_of("load-ds-in-%s-base", name), "base", shifted ? selector << 4 : 0,
                 vm_saw(GUEST_DS_BASE));
    expect_equal(name_of("load-ds-in-%s-limit", name), "limit", user ? 0xffffffff : 0xffff,
                 vm_saw(GUEST_DS_LIMIT));
}

static void each_mode(void)
{
    for (unsigned mode = 0; mode < SUBJECT_MODES; mode++) {
        const char *name = subject_modes[mode].name, *why = describe(mode, code_nothing);
        if (why) {
            skipped(name_of("push-in-%s", name), why);
            continue;
        }
        pushes(mode, name);
        interrupts(mode, name);
        loads_segment(mode, name);
    }
}

// ---- Real mode: selectors, limits, the first megabyte ----

static void real_mode(void)
{
    static const uint8_t types[] = {AR_TYPE_WRITABLE | AR_TYPE_ACCESSED,
                                    AR_TYPE_CODE | AR_TYPE_WRITABLE | AR_TYPE_ACCESSED};
    section = "Checks on Guest Segment Registers";
    if (describe(SUBJECT_REAL, code_nothing)) {
        skipped("real-mode", "the processor has no unrestricted guest");
        return;
    }
    for (unsigned t = 0; t < array_size(types); t++)
        for (unsigned low = 0; low < 4; low++) { // bits 1:0 of the selector mean nothing there
            describe(SUBJECT_REAL, code_nothing);
            vm_set(GUEST_CS_ACCESS_RIGHTS, types[t] | AR_S | AR_P);
            vm_set(GUEST_CS_SELECTOR, (vm_get(GUEST_CS_BASE) >> 4) | low);
            expect_passed(name_of("real-cs-type-%u-selector-low-bits-%u", types[t], low));
        }
    section = "Loading Guest Segment Registers and Descriptor-Table Registers";
    for (unsigned big = 0; big < 2; big++) { // limits stay what was loaded
        describe(SUBJECT_REAL, code_far);
        vm_set(GUEST_DS_BASE, 0);
        vm_gpr[3] = 0x20000;
        if (big) {
            vm_set(GUEST_DS_LIMIT, 0xffffffff);
            vm_set_bits(GUEST_DS_ACCESS_RIGHTS, AR_G);
            expect_passed("real-beyond-64k-with-limit-4g");
        } else {
            expect_exception("real-beyond-64k-with-limit-64k", EXC_GP, -1);
        }
    }
    *(volatile uint8_t *)0x100010ul = 0x5a;
    describe(SUBJECT_REAL, code_far);
    vm_set(GUEST_DS_SELECTOR, 0xffff);
    vm_set(GUEST_DS_BASE, 0xffff0);
    vm_gpr[3] = 0x20;
    expect_passed("real-above-1m");
    expect_equal("real-above-1m-value", "AL", 0x5a, vm_gpr[0] & 0xff);
}

// ---- From one mode to another ----

static uint64_t long_tables[3][512] __attribute__((aligned(4096))),
    pae_table[4] __attribute__((aligned(4096)));
static uint32_t paged_table[1024] __attribute__((aligned(4096)));

static void build_tables(void)
{
    enum { P = 1, OPEN = 7, LARGE = 1 << 7, SIZE = 2 << 20 };
    for (unsigned i = 0; i < 2; i++)
        long_tables[2][i] = (uint64_t)i * SIZE | LARGE | OPEN;
    long_tables[1][0] = (word_t)long_tables[2] | OPEN;
    long_tables[0][0] = (word_t)long_tables[1] | OPEN;
    pae_table[0] = (word_t)long_tables[2] | P;
    paged_table[0] = LARGE | OPEN;
}

#define SET_CR0(bits)    "mov %cr0, %eax; or $" #bits ", %eax; mov %eax, %cr0; "
#define CLEAR_CR0(bits)  "mov %cr0, %eax; and $~" #bits ", %eax; mov %eax, %cr0; "
#define SET_CR4(bits)    "mov %cr4, %eax; or $" #bits ", %eax; mov %eax, %cr4; "
#define CLEAR_CR4(bits)  "mov %cr4, %eax; and $~" #bits ", %eax; mov %eax, %cr4; "
#define SET_EFER(bits)   "mov $0xc0000080, %ecx; rdmsr; or $" #bits ", %eax; wrmsr; "
#define CLEAR_EFER(bits) "mov $0xc0000080, %ecx; rdmsr; and $~" #bits ", %eax; wrmsr; "

// Page tables in EBX. They end at a VMCALL in the new mode.
CODE(real_to_protected,
     ".code16; " SET_CR0(1) "ljmpl $0x20, $1f; .code32; 1: mov $0x18, %eax; mov %eax, %ds");
CODE(protected_to_real,
     ".code32; ljmp $0x68, $0; .balign 16; .globl real_part\nreal_part: .code16; " CLEAR_CR0(
         1) "push %dx; push %si; lretw; .balign 16; .globl real_target\nreal_target: nop");
CODE(protected_to_paged, ".code32; " SET_CR4(0x10) "mov %ebx, %cr3; " SET_CR0(0x80000000) "jmp 1f; 1:");
CODE(protected_to_pae, ".code32; " SET_CR4(0x20) "mov %ebx, %cr3; " SET_CR0(0x80000000) "jmp 1f; 1:");
CODE(paged_to_protected, ".code32; " CLEAR_CR0(0x80000000) "jmp 1f; 1:");
CODE(pae_to_protected, ".code32; " CLEAR_CR0(0x80000000) CLEAR_CR4(0x20) "jmp 1f; 1:");
CODE(protected_to_compatibility,
     ".code32; " SET_CR4(0x20) "mov %ebx, %cr3; " SET_EFER(0x100) SET_CR0(0x80000000) "jmp 1f; 1:");
CODE(protected_to_long, ".code32; " SET_CR4(0x20) "mov %ebx, %cr3; " SET_EFER(0x100)
                            SET_CR0(0x80000000) "ljmp $0x10, $1f; .code64; 1: nop");
CODE(real_to_long, ".code16; " SET_CR4(0x20) "mov %ebx, %cr3; " SET_EFER(0x100)
                       SET_CR0(0x80000001) "ljmpl $0x10, $1f; .code64; 1: nop");
CODE(long_to_compatibility, "push $0x20; push $1f; lretq; .code32; 1: nop");
CODE(compatibility_to_long, ".code32; ljmp $0x10, $1f; .code64; 1: nop");
CODE(long_to_protected,
     "push $0x20; push $1f; lretq; .code32; 1: " CLEAR_CR0(0x80000000) CLEAR_EFER(0x100) "nop");
CODE(pae_to_v86, ".code32; push $0; push $0; push $0; push $0; push %edx; push $0x100; push $0x20002; push "
                 "%esi; push %edi; "
                 "iretl; .balign 64; .globl v86_target\nv86_target: nop");
extern const char real_part[], real_target[], v86_target[];

enum {
    RIGHTS_CODE32 = AR_TYPE_CODE | AR_TYPE_WRITABLE | AR_TYPE_ACCESSED | AR_S | AR_P | AR_DB | AR_G,
    RIGHTS_CODE64 = AR_TYPE_CODE | AR_TYPE_WRITABLE | AR_TYPE_ACCESSED | AR_S | AR_P | AR_L | AR_G,
    RIGHTS_V86 = AR_TYPE_WRITABLE | AR_TYPE_ACCESSED | AR_S | AR_P | AR_DPL,
    ANY_RIGHTS = 0,
};

// clang-format off
static const struct transition {
    const char *name, *code, *end;
    uint8_t from;
    const void *tables;
    uint32_t cr0;            // PE and PG behind it
    uint32_t efer;           // LME and LMA
    uint16_t cs;             // selector; 0: any
    uint32_t rights;         // ANY_RIGHTS
    uint64_t flags;          // RFLAGS.VM
} transitions[] = {
    {"real-to-protected",          real_to_protected,          real_to_protected_end,          SUBJECT_REAL,          NULL,        CR0_PE,          0,                   SUBJECT_CODE32, RIGHTS_CODE32, 0},
    {"protected-to-real",          protected_to_real,          protected_to_real_end,          SUBJECT_PROTECTED,     NULL,        0,               0,                   0,              ANY_RIGHTS,    0},
    {"protected-to-paged",         protected_to_paged,         protected_to_paged_end,         SUBJECT_PROTECTED,     paged_table, CR0_PE | CR0_PG, 0,                   SUBJECT_CODE32, RIGHTS_CODE32, 0},
    {"protected-to-pae",           protected_to_pae,           protected_to_pae_end,           SUBJECT_PROTECTED,     pae_table,   CR0_PE | CR0_PG, 0,                   SUBJECT_CODE32, RIGHTS_CODE32, 0},
    {"paged-to-protected",         paged_to_protected,         paged_to_protected_end,         SUBJECT_PAGED,         NULL,        CR0_PE,          0,                   SUBJECT_CODE32, RIGHTS_CODE32, 0},
    {"pae-to-protected",           pae_to_protected,           pae_to_protected_end,           SUBJECT_PAE,           NULL,        CR0_PE,          0,                   SUBJECT_CODE32, RIGHTS_CODE32, 0},
    {"protected-to-compatibility", protected_to_compatibility, protected_to_compatibility_end, SUBJECT_PROTECTED,     long_tables, CR0_PE | CR0_PG, EFER_LME | EFER_LMA, SUBJECT_CODE32, RIGHTS_CODE32, 0},
    {"protected-to-long",          protected_to_long,          protected_to_long_end,          SUBJECT_PROTECTED,     long_tables, CR0_PE | CR0_PG, EFER_LME | EFER_LMA, SUBJECT_CODE,   RIGHTS_CODE64, 0},
    {"real-to-long",               real_to_long,               real_to_long_end,               SUBJECT_REAL,          long_tables, CR0_PE | CR0_PG, EFER_LME | EFER_LMA, SUBJECT_CODE,   RIGHTS_CODE64, 0},
    {"long-to-compatibility",      long_to_compatibility,      long_to_compatibility_end,      SUBJECT_LONG,          NULL,        CR0_PE | CR0_PG, EFER_LME | EFER_LMA, SUBJECT_CODE32, RIGHTS_CODE32, 0},
    {"compatibility-to-long",      compatibility_to_long,      compatibility_to_long_end,      SUBJECT_COMPATIBILITY, NULL,        CR0_PE | CR0_PG, EFER_LME | EFER_LMA, SUBJECT_CODE,   RIGHTS_CODE64, 0},
    {"long-to-protected",          long_to_protected,          long_to_protected_end,          SUBJECT_LONG,          NULL,        CR0_PE,          0,                   SUBJECT_CODE32, RIGHTS_CODE32, 0},
    {"pae-to-v86",                 pae_to_v86,                 pae_to_v86_end,                 SUBJECT_PAE,           NULL,        CR0_PE | CR0_PG, 0,                   0,              RIGHTS_V86,    RFLAGS_VM},
};
// clang-format on

// A 16-bit code segment where `at` is, in a free descriptor: what leaves protected mode has to run in one.
static void segment_16(const void *at)
{
    uint64_t base = (word_t)at;
    subject_gdt[SUBJECT_FREE / 8] = 0x00009b000000ffff | (base & 0xffffff) << 16;
}

static const char *describe_transition(const struct transition *t)
{
    const char *why = describe(t->from, t->code);
    if (why)
        return why;
    segment_16(real_part);
    vm_control(WORD_PRIMARY, PRIMARY_MSR_BITMAPS, true);
    vm_control(WORD_PRIMARY, PRIMARY_CR3_LOAD_EXITING | PRIMARY_CR3_STORE_EXITING, false);
    vm_gpr[3] = (word_t)t->tables;
    vm_gpr[2] = t->from == SUBJECT_PAE ? (word_t)subject_stack >> 4 : (word_t)real_target >> 4; // RDX
    vm_gpr[6] = t->from == SUBJECT_PAE ? (word_t)v86_target >> 4 : (word_t)real_target & 0xf;   // RSI
    vm_gpr[7] = (word_t)v86_target & 0xf;                                                       // RDI
    if (t->cr0 == 0) // the stack behind it has 16 bits
        vm_set(GUEST_SS_BASE, (word_t)subject_stack);
    if (t->cr0 == 0)
        vm_set(GUEST_RSP, 0x800);
    static const uint32_t watched[] = {
        GUEST_CR0, GUEST_EFER, GUEST_CS_SELECTOR, GUEST_CS_ACCESS_RIGHTS, VM_ENTRY_CONTROLS, GUEST_PDPTE0};
    for (unsigned n = 0; n < array_size(watched); n++)
        vm_watch(watched[n]);
    return NULL;
}

static void expect_state(const struct transition *t)
{
    section = "Saving Control Registers, Debug Registers, and MSRs";
    expect_equal(name_of("%s-cr0", t->name), "CR0.PE and PG", t->cr0, vm_saw(GUEST_CR0) & (CR0_PE | CR0_PG));
    if (can(WORD_EXIT, EXIT_SAVE_EFER))
        expect_equal(name_of("%s-efer", t->name), "IA32_EFER, LME and LMA", t->efer,
                     vm_saw(GUEST_EFER) & (EFER_LME | EFER_LMA));
    if (processor.caps.misc & VMX_MISC_SAVE_LMA)
        expect_equal(name_of("%s-entry-control", t->name), "IA-32e mode guest",
                     t->efer ? ENTRY_IA32E_MODE_GUEST : 0,
                     vm_saw(VM_ENTRY_CONTROLS) & ENTRY_IA32E_MODE_GUEST);
    section = "Saving Segment Registers and Descriptor-Table Registers";
    if (t->cs)
        expect_equal(name_of("%s-cs", t->name), "CS", t->cs, vm_saw(GUEST_CS_SELECTOR));
    if (t->rights)
        expect_equal(name_of("%s-cs-rights", t->name), "access rights of CS", t->rights,
                     vm_saw(GUEST_CS_ACCESS_RIGHTS));
    expect_equal(name_of("%s-linear", t->name), "linear address of the VMCALL", (word_t)t->end,
                 vm_saw(GUEST_CS_BASE) + result.rip);
    section = "Saving RIP, RSP, RFLAGS, and SSP";
    expect_equal(name_of("%s-vm", t->name), "RFLAGS.VM", t->flags, result.rflags & RFLAGS_VM);
    if (t->tables == pae_table) {
        section = "Saving Non-Register State";
        expect_equal(name_of("%s-pdpte", t->name), "PDPTE0", pae_table[0], vm_saw(GUEST_PDPTE0));
    }
}

static void each_transition(void)
{
    build_tables();
    for (unsigned n = 0; n < array_size(transitions); n++) {
        const struct transition *t = &transitions[n];
        const char *why = describe_transition(t);
        section = "VM Exits"; // none on the way
        if (why) {
            skipped(t->name, why);
            continue;
        }
        if (!expect_passed(t->name))
            continue;
        expect_state(t);
        section = "VM Entries"; // what was saved can be entered
        why = vm_continue();
        expect_true(name_of("%s-entered-again", t->name), !why && result.reason == REASON_VMCALL,
                    "expected an exit by VMCALL\ngot %s", result_words());
    }
}

// ---- Ways that are none ----

CODE(bad_pae,
     ".code32; " SET_CR4(0x20) "mov %ebx, %cr3; mov %cr0, %eax; or $0x80000000, %eax; mov %eax, %cr0");
CODE(long_without_pae,
     ".code32; mov %ebx, %cr3; " SET_EFER(0x100) "mov %cr0, %eax; or $0x80000000, %eax; mov %eax, %cr0");
CODE(lme_while_paged, "mov $0xc0000080, %ecx; rdmsr; and $~0x100, %eax; wrmsr");
CODE(pae_off_in_long, "mov %cr4, %rax; and $~0x20, %eax; mov %rax, %cr4");
CODE(paging_off_in_64_bit, "mov %cr0, %rax; btr $31, %rax; mov %rax, %cr0");

static void refused(void)
{
    static const struct {
        const char *name, *code;
        uint8_t from;
    } ways[] = {
        {"pae-with-reserved-pdpte",  bad_pae,              SUBJECT_PROTECTED},
        {"long-without-pae",         long_without_pae,     SUBJECT_PROTECTED},
        {"lme-changed-while-paged",  lme_while_paged,      SUBJECT_LONG     },
        {"pae-cleared-in-long-mode", pae_off_in_long,      SUBJECT_LONG     },
        {"paging-cleared-in-64-bit", paging_off_in_64_bit, SUBJECT_LONG     },
    };
    static uint64_t bad_table[4] __attribute__((aligned(32)));
    section = "Relative Priority of Faults and VM Exits";
    bad_table[0] = 1 | 2; // bit 1 of a PDPTE is reserved
    for (unsigned n = 0; n < array_size(ways); n++) {
        const char *why = describe(ways[n].from, ways[n].code);
        if (why) {
            skipped(ways[n].name, why);
            continue;
        }
        vm_control(WORD_PRIMARY, PRIMARY_MSR_BITMAPS, true);
        vm_control(WORD_PRIMARY, PRIMARY_CR3_LOAD_EXITING, false);
        vm_gpr[3] = (word_t)bad_table;
        expect_exception(ways[n].name, EXC_GP, 0);
    }
}

BUCKET("modes and the ways between them")
{
    entries();
    fixed_bits();
    each_mode();
    real_mode();
    each_transition();
    refused();
}
