// Exceptions: which exit by the exception bitmap, what the exit says of them, and of those during delivery of others.
#include "guests/vmx/lib/vmx.h"

// The instruction that raises the exception stands at NAME_at.
#define RAISES(name, before, text) \
    extern const char name##_at[]; \
    CODE(name, before "\n.globl " #name "_at\n" #name "_at: " text)

RAISES(code_de, "", "div %ecx");
RAISES(code_int1, "", ".byte 0xf1");
RAISES(code_bp, "", "int3");
RAISES(code_of, "", ".byte 0xce");
RAISES(code_br, "", ".byte 0x62, 0x0b"); // BOUND ECX, [EBX]; BOUND CX, [BP + DI]
RAISES(code_ud, "", "ud2");
RAISES(code_nm, "", "fnop");
RAISES(code_np, "", "mov %eax, %ds");
RAISES(code_ss, "", "mov %eax, %ss");
RAISES(code_gp, "", ".byte 0x0f, 0x22, 0xc0"); // MOV CR0, EAX
RAISES(code_pf, "", "mov (%rbx), %cl");
RAISES(code_ac, "", "mov 1(%rbx), %eax");
RAISES(code_mf, "fninit; fldcw (%rbx); fldz; fld1; fdiv %st(1), %st", "fwait");
RAISES(code_xm, "ldmxcsr 4(%rbx); xorps %xmm0, %xmm0; xorps %xmm1, %xmm1", "divps %xmm1, %xmm0");

// By which rules the saved RIP and RF go, and the type in the interruption information.
enum kind { FAULT, SOFTWARE, PRIVILEGED };

// Rows of `in`: subject_modes in their order; '*' where the exception can be raised.
struct raised {
    const char *name, *code, *at;
    uint8_t vector, kind;
    uint16_t error_code; // where it has one
    char in[SUBJECT_MODES + 1];
    void (*prepare)(void);
};

static uint8_t operand[64] __attribute__((aligned(64)));

static void use_nothing(void)
{
}
static void overflow(void)
{
    vm_set_bits(GUEST_RFLAGS, RFLAGS_OF);
}
static void out_of_bounds(void)
{
    vm_gpr[1] = 5; // bounds are 0 and 0, wherever they are read from
    vm_gpr[5] = 0x40;
}
static void task_switched(void)
{
    vm_set_bits(GUEST_CR0, CR0_TS);
}
static void not_present_segment(void)
{
    vm_gpr[0] = SUBJECT_NOT_PRESENT;
}
static void paging_unprotected(void)
{
    vm_gpr[0] = CR0_PG;
}
static void not_present_page(void)
{
    vm_gpr[3] = SUBJECT_WINDOW + 0x123;
}
static void check_alignment(void)
{
    vm_set_bits(GUEST_CR0, CR0_AM);
    vm_set_bits(GUEST_RFLAGS, RFLAGS_AC);
}
static void unmask_floating_point(void)
{
    enum { ZERO_DIVIDE_UNMASKED = 0x37b, MXCSR_UNMASKED = 0x1f00 & ~0x1f80 };
    operand[0] = ZERO_DIVIDE_UNMASKED & 0xff;
    operand[1] = ZERO_DIVIDE_UNMASKED >> 8;
    operand[4] = operand[5] = MXCSR_UNMASKED;
    vm_set_bits(GUEST_CR4, CR4_OSFXSR | CR4_OSXMMEXCPT);
    vm_clear_bits(GUEST_CR0, CR0_TS | CR0_EM);
}

// clang-format off
static const struct raised raised[] = {
    {"de",   code_de,   code_de_at,   EXC_DE, FAULT,      0,                   "********", use_nothing},
    {"int1", code_int1, code_int1_at, EXC_DB, PRIVILEGED, 0,                   "********", use_nothing},
    {"bp",   code_bp,   code_bp_at,   EXC_BP, SOFTWARE,   0,                   "********", use_nothing},
    {"of",   code_of,   code_of_at,   EXC_OF, SOFTWARE,   0,                   "-******-", overflow},
    {"br",   code_br,   code_br_at,   EXC_BR, FAULT,      0,                   "-******-", out_of_bounds},
    {"ud",   code_ud,   code_ud_at,   EXC_UD, FAULT,      0,                   "********", use_nothing},
    {"nm",   code_nm,   code_nm_at,   EXC_NM, FAULT,      0,                   "********", task_switched},
    {"np",   code_np,   code_np_at,   EXC_NP, FAULT,      SUBJECT_NOT_PRESENT, "-**--***", not_present_segment},
    {"ss",   code_ss,   code_ss_at,   EXC_SS, FAULT,      SUBJECT_NOT_PRESENT, "-**--***", not_present_segment},
    {"gp",   code_gp,   code_gp_at,   EXC_GP, FAULT,      0,                   "********", paging_unprotected},
    {"pf",   code_pf,   code_pf_at,   EXC_PF, FAULT,      0,                   "**---***", not_present_page},
    {"ac",   code_ac,   code_ac_at,   EXC_AC, FAULT,      0,                   "*-------", check_alignment},
    {"mf",   code_mf,   code_mf_at,   EXC_MF, FAULT,      0,                   "***--***", unmask_floating_point},
    {"xm",   code_xm,   code_xm_at,   EXC_XM, FAULT,      0,                   "***--***", unmask_floating_point},
};
// clang-format on

static const char *describe(const struct raised *r, unsigned mode, uint32_t bitmap)
{
    vm_reset();
    const char *why = subject_modes[mode].enter();
    if (why)
        return why;
    vm_tables();
    vm_run(r->code);
    memset(operand, 0, sizeof operand);
    vm_gpr[3] = (word_t)operand;
    vm_gpr[7] = sizeof operand; // far from what a 16-bit address would find
    r->prepare();
    vm_set(EXCEPTION_BITMAP, bitmap);
    return NULL;
}

// Error codes are not delivered in real mode.
static bool has_error_code(uint8_t vector, unsigned mode)
{
    return exceptions[vector].error_code && mode != SUBJECT_REAL;
}

static uint32_t information_of(const struct raised *r, unsigned mode)
{
    static const uint8_t types[] = {[FAULT] = EVENT_HARDWARE_EXCEPTION,
                                    [SOFTWARE] = EVENT_SOFTWARE_EXCEPTION,
                                    [PRIVILEGED] = EVENT_PRIVILEGED_SOFTWARE_EXCEPTION};
    return event_info(types[r->kind], r->vector, has_error_code(r->vector, mode));
}

// After an attempt: one point of the interruption information, with the error code where there is one.
static bool expect_information(const char *name, uint32_t information, uint16_t error_code)
{
    bool error = information & EVENT_INFO_ERROR_CODE;
    return expect_true(name,
                       result.outcome == PROBE_ENTERED && result.reason == REASON_EXCEPTION_OR_NMI &&
                           result.interruption == information &&
                           (!error || result.interruption_error == error_code),
                       "expected interruption information %#x, error code %#x\ngot %s", information,
                       error ? error_code : 0, result_words());
}

static uint64_t place_of(const struct raised *r)
{
    return vm_get(GUEST_RIP) + (word_t)(r->at - r->code);
}

static void exits(const struct raised *r, unsigned mode)
{
    const char *name = name_of("%s-%s", r->name, subject_modes[mode].name);
    const char *why = describe(r, mode, 1u << r->vector);
    uint16_t error_code = r->error_code;
    if (r->vector == EXC_PF && mode == SUBJECT_CPL3)
        error_code = PF_ERROR_U;
    if (!why)
        why = vm_enter();
    if (why) {
        skipped(name_of("%s-exits", name), why);
        return;
    }
    section = "Information for VM Exits Due to Vectored Events";
    expect_information(name_of("%s-exits", name), information_of(r, mode), error_code);
    section = "Saving RIP, RSP, RFLAGS, and SSP";
    expect_equal(name_of("%s-rip", name), "RIP", place_of(r), result.rip);
    if (mode == SUBJECT_LONG)
        expect_equal(name_of("%s-rf", name), "RFLAGS.RF", r->kind == FAULT ? RFLAGS_RF : 0,
                     result.rflags & RFLAGS_RF);
    if (r->kind != FAULT) {
        section = "Information for VM Exits Due to Instruction Execution";
        expect_equal(name_of("%s-length", name), "instruction length", 1, result.length);
    }
    section = "Exit Qualification";
    expect_equal(name_of("%s-qualification", name), "qualification", r->vector == EXC_PF ? vm_gpr[3] : 0,
                 result.qualification);
}

// With every bit but its own.
static void does_not_exit(const struct raised *r, unsigned mode)
{
    section = "Exception Bitmap";
    const char *name = name_of("%s-%s-delivered", r->name, subject_modes[mode].name);
    const char *why = describe(r, mode, ~(1u << r->vector));
    if (why)
        skipped(name, why);
    else
        expect_delivered(name, r->vector);
}

static void each_exception(void)
{
    for (unsigned n = 0; n < array_size(raised); n++)
        for (unsigned mode = 0; mode < SUBJECT_MODES; mode++)
            if (raised[n].in[mode] == '*') {
                exits(&raised[n], mode);
                does_not_exit(&raised[n], mode);
            }
}

static const struct raised *exception_of(uint8_t vector)
{
    for (unsigned n = 0; n < array_size(raised); n++)
        if (raised[n].vector == vector && raised[n].kind != PRIVILEGED)
            return &raised[n];
    return &raised[0];
}

// ---- What an exit leaves alone ----

CODE(code_cpuid, "cpuid");

static void side_effects(void)
{
    enum { OLD = 0x1234000 };
    section = "Exit Qualification"; // #PF: the address is there and not in CR2
    write_cr2(OLD);
    describe(exception_of(EXC_PF), SUBJECT_LONG, 1u << EXC_PF);
    vm_enter();
    expect_equal("pf-exit-leaves-cr2", "CR2", OLD, read_cr2());
    describe(exception_of(EXC_PF), SUBJECT_LONG, 0);
    vm_enter();
    expect_equal("pf-delivery-loads-cr2", "CR2", SUBJECT_WINDOW + 0x123, read_cr2());
    section = "Information for VM Exits Due to Vectored Events";
    vm_reset();
    vm_run(code_cpuid);
    vm_enter();
    expect_equal("no-event-no-information", "valid", 0, result.interruption & EVENT_INFO_VALID);
    section = "Information for VM Exits During Event Delivery";
    expect_equal("no-event-no-vectoring", "valid", 0, result.vectoring & EVENT_INFO_VALID);
    describe(exception_of(EXC_UD), SUBJECT_LONG, 1u << EXC_UD);
    vm_enter();
    expect_equal("exception-no-vectoring", "valid", 0, result.vectoring & EVENT_INFO_VALID);
}

// ---- #PF: error-code mask and match ----

CODE(code_read, "mov (%rbx), %cl");
CODE(code_write, "mov %cl, (%rbx)");
CODE(code_fetch, "jmp *%rbx");

enum window { ABSENT, READ_ONLY, SUPERVISOR, NO_EXECUTE, RESERVED_BIT };

static const struct page_fault {
    const char *name, *code;
    uint8_t page; // enum window
    bool user;
    uint8_t error_code;
} page_faults[] = {
    {"absent-read",          code_read,  ABSENT,       false, 0                                   },
    {"absent-write",         code_write, ABSENT,       false, PF_ERROR_W                          },
    {"absent-user-read",     code_read,  ABSENT,       true,  PF_ERROR_U                          },
    {"absent-user-write",    code_write, ABSENT,       true,  PF_ERROR_U | PF_ERROR_W             },
    {"protected-write",      code_write, READ_ONLY,    false, PF_ERROR_P | PF_ERROR_W             },
    {"protected-user-read",  code_read,  SUPERVISOR,   true,  PF_ERROR_P | PF_ERROR_U             },
    {"protected-user-write", code_write, READ_ONLY,    true,  PF_ERROR_P | PF_ERROR_U | PF_ERROR_W},
    {"no-execute",           code_fetch, NO_EXECUTE,   false, PF_ERROR_P | PF_ERROR_I             },
    {"no-execute-user",      code_fetch, NO_EXECUTE,   true,  PF_ERROR_P | PF_ERROR_I | PF_ERROR_U},
    {"reserved-bit",         code_read,  RESERVED_BIT, false, PF_ERROR_P | PF_ERROR_RSVD          },
    {"reserved-bit-user",    code_write, RESERVED_BIT, true,
     PF_ERROR_P | PF_ERROR_RSVD | PF_ERROR_U | PF_ERROR_W                                         },
};

static void describe_page_fault(const struct page_fault *f)
{
    enum { P = 1, W = 2, U = 4, PAGE = 4096 };
    const uint64_t page = (word_t)scratch_page, no_execute = 1ull << 63;
    vm_reset();
    vm_mode(MODE_LONG);
    if (f->user)
        vm_user();
    vm_tables();
    vm_set_bits(GUEST_EFER, EFER_NXE);
    vm_set_bits(GUEST_CR0, CR0_WP);
    vm_window(ABSENT, 0);
    vm_window(READ_ONLY, page | P | U);
    vm_window(SUPERVISOR, page | P | W);
    vm_window(NO_EXECUTE, page | P | W | U | no_execute);
    vm_window(RESERVED_BIT, page | P | W | U | (processor.beyond_physical & -processor.beyond_physical));
    vm_run(f->code);
    vm_gpr[3] = SUBJECT_WINDOW + f->page * PAGE;
}

// Exits exactly if "the masked error code matches" equals bit 14 of the exception bitmap.
static void masked(const struct page_fault *f, const char *how, uint32_t mask, uint32_t match)
{
    for (unsigned bit = 0; bit < 2; bit++) {
        bool matches = (f->error_code & mask) == match;
        describe_page_fault(f);
        vm_set(EXCEPTION_BITMAP, (uint64_t)bit << EXC_PF);
        vm_set(PAGE_FAULT_ERROR_CODE_MASK, mask);
        vm_set(PAGE_FAULT_ERROR_CODE_MATCH, match);
        const char *name = name_of("pf-%s-%s-bit-%u", f->name, how, bit);
        if (matches == bit)
            expect_exception(name, EXC_PF, f->error_code);
        else
            expect_delivered(name, EXC_PF);
    }
}

static void page_fault_filter(void)
{
    const uint32_t bits[] = {PF_ERROR_P, PF_ERROR_W, PF_ERROR_U, PF_ERROR_RSVD, PF_ERROR_I};
    section = "Exception Bitmap";
    if (!can(WORD_ENTRY, ENTRY_LOAD_EFER)) {
        skipped("pf-filter", "the processor cannot load IA32_EFER, for no-execute pages");
        return;
    }
    for (unsigned n = 0; n < array_size(page_faults); n++) {
        const struct page_fault *f = &page_faults[n];
        if (f->page == RESERVED_BIT && processor.physical_width >= 52) {
            skipped(name_of("pf-%s", f->name), "no address bit is reserved");
            continue;
        }
        masked(f, "always", 0, 0);
        masked(f, "never", 0, 1);
        masked(f, "equal", ~0u, f->error_code);
        masked(f, "unequal", ~0u, f->error_code ^ PF_ERROR_W);
        for (unsigned b = 0; b < array_size(bits); b++)
            masked(f, name_of("if-%s", bit_name(&pf_error_bits, (unsigned)__builtin_ctz(bits[b]))), bits[b],
                   bits[b]);
    }
}

// ---- Faults during delivery ----

static uint64_t far_gates[512] __attribute__((aligned(4096)));
enum { GATE_BYTES = 16, PAGE = 4096 };

// Gates of vectors below `first` lie in a page that is not present.
static void hide_gates_below(uint8_t first)
{
    memset(far_gates, 0, sizeof far_gates);
    memcpy(far_gates, (uint8_t *)subject_idt + first * GATE_BYTES, PAGE - first * GATE_BYTES);
    vm_window(0, 0);
    vm_window(1, (word_t)far_gates | 3);
    vm_set(GUEST_IDTR_BASE, SUBJECT_WINDOW + PAGE - first * GATE_BYTES);
}

static void remove_gate(uint8_t vector)
{
    subject_idt[2 * vector] &= ~(1ull << 47); // P
}

static uint16_t gate_error(uint8_t vector, bool external)
{
    enum { EXT = 1, IN_IDT = 2 };
    return (uint16_t)(vector * 8 | IN_IDT | (external ? EXT : 0));
}

// The second exception: the first one's gate cannot be read, or is not present.
enum second { GATE_UNREADABLE, GATE_ABSENT };

static void describe_nested(const struct raised *first, enum second second, uint32_t bitmap)
{
    describe(first, SUBJECT_LONG, bitmap);
    if (second == GATE_UNREADABLE)
        hide_gates_below(first->vector + 1);
    else
        remove_gate(first->vector);
}

static bool makes_double_fault(uint8_t first, uint8_t second)
{
    uint8_t a = exceptions[first].class, b = exceptions[second].class;
    return (a == EXC_CONTRIBUTORY && b == EXC_CONTRIBUTORY) || (a == EXC_PAGE_FAULT && b != EXC_BENIGN);
}

static void second_exits(const char *name, const struct raised *first, enum second second)
{
    uint8_t vector = second == GATE_UNREADABLE ? EXC_PF : EXC_NP;
    section = "Information for VM Exits Due to Vectored Events";
    describe_nested(first, second, 1u << vector);
    if (second == GATE_UNREADABLE && first->vector == EXC_PF) {
        // Only the second one's error code is that of a supervisor read of an absent page at the gate's address.
        vm_set(PAGE_FAULT_ERROR_CODE_MASK, PF_ERROR_W);
        vm_set(PAGE_FAULT_ERROR_CODE_MATCH, 0);
        vm_set(GUEST_RIP, (word_t)code_write);
    }
    const char *why = vm_enter();
    if (why) {
        skipped(name, why);
        return;
    }
    expect_information(name_of("%s-exits", name), event_info(EVENT_HARDWARE_EXCEPTION, vector, true),
                       second == GATE_UNREADABLE ? 0 : gate_error(first->vector, true));
    section = "Information for VM Exits During Event Delivery";
    expect_equal(name_of("%s-vectoring", name), "IDT-vectoring information",
                 event_info(EVENT_HARDWARE_EXCEPTION, first->vector, exceptions[first->vector].error_code),
                 result.vectoring);
    if (exceptions[first->vector].error_code)
        expect_equal(name_of("%s-vectoring-error", name), "IDT-vectoring error code",
                     first->vector == EXC_PF && second == GATE_UNREADABLE ? PF_ERROR_W : first->error_code,
                     result.vectoring_error);
}

static void double_fault(const char *name, const struct raised *first, enum second second)
{
    section = "Information for VM Exits Due to Vectored Events";
    describe_nested(first, second, 1u << EXC_DF);
    vm_enter();
    expect_information(name_of("%s-double-fault", name), event_info(EVENT_HARDWARE_EXCEPTION, EXC_DF, true),
                       0);
    section =
        "Information for VM Exits During Event Delivery"; // a double fault that exits does not count as during delivery
    expect_equal(name_of("%s-double-fault-vectoring", name), "valid", 0, result.vectoring & EVENT_INFO_VALID);
    section = "Other Causes of VM Exits"; // triple fault
    describe_nested(first, second, 0);
    if (second == GATE_ABSENT)
        remove_gate(EXC_DF);
    else
        hide_gates_below(EXC_PF + 1);
    expect_exit(name_of("%s-triple-fault", name), REASON_TRIPLE_FAULT, 0);
    section = "Information for VM Exits During Event Delivery";
    expect_equal(name_of("%s-triple-fault-vectoring", name), "valid", 0, result.vectoring & EVENT_INFO_VALID);
}

static void each_pair(void)
{
    static const uint8_t firsts[] = {EXC_DE, EXC_UD, EXC_NM, EXC_NP, EXC_SS, EXC_GP, EXC_PF};
    for (unsigned n = 0; n < array_size(firsts); n++)
        for (unsigned s = GATE_UNREADABLE; s <= GATE_ABSENT; s++) {
            const struct raised *first = exception_of(firsts[n]);
            uint8_t second = s == GATE_UNREADABLE ? EXC_PF : EXC_NP;
            const char *name = name_of("%s-then-%s", first->name, exception_of(second)->name);
            bool twice_np = s == GATE_ABSENT && firsts[n] == EXC_NP; // either bit is the other's
            if (!twice_np)
                second_exits(name, first, s);
            if (makes_double_fault(firsts[n], second)) {
                double_fault(name, first, s);
            } else {
                section = "Exception Bitmap";
                describe_nested(first, s, 0);
                expect_delivered(name_of("%s-delivered", name), second);
            }
        }
}

// ---- Software events during delivery ----

CODE(code_int, "int $0x30");

static const struct software {
    const char *name, *code;
    uint8_t vector, type, length;
    bool external;
} software[] = {
    {"int-n", code_int,  0x30,   EVENT_SOFTWARE_INTERRUPT,            2, false},
    {"int3",  code_bp,   EXC_BP, EVENT_SOFTWARE_EXCEPTION,            1, false},
    {"int1",  code_int1, EXC_DB, EVENT_PRIVILEGED_SOFTWARE_EXCEPTION, 1, true },
};

static void software_events(void)
{
    for (unsigned n = 0; n < array_size(software); n++)
        for (unsigned second = GATE_UNREADABLE; second <= GATE_ABSENT; second++) {
            const struct software *e = &software[n];
            uint8_t vector = second == GATE_UNREADABLE ? EXC_PF : EXC_NP;
            const char *name = name_of("%s-then-%s", e->name, exception_of(vector)->name);
            struct raised r = {.code = e->code, .prepare = use_nothing, .vector = e->vector};
            describe_nested(&r, second, 1u << vector);
            vm_enter();
            section = "Information for VM Exits Due to Vectored Events";
            expect_information(name_of("%s-exits", name), event_info(EVENT_HARDWARE_EXCEPTION, vector, true),
                               second == GATE_UNREADABLE ? 0 : gate_error(e->vector, e->external));
            section = "Information for VM Exits During Event Delivery";
            expect_equal(name_of("%s-vectoring", name), "IDT-vectoring information",
                         event_info(e->type, e->vector, false), result.vectoring);
            section = "Information for VM Exits Due to Instruction Execution";
            expect_equal(name_of("%s-length", name), "instruction length", e->length, result.length);
            section = "Saving RIP, RSP, RFLAGS, and SSP";
            expect_equal(name_of("%s-rip", name), "RIP", (word_t)e->code, result.rip);
        }
}

// ---- A stack that cannot be used: #TS outside 64-bit mode, #PF and #SS in it ----

enum { RSP0 = 1, SS0 = 2 }; // by doublewords of the TSS

static void expect_stack_fault(const char *name, uint8_t vector, uint16_t error_code)
{
    vm_set(EXCEPTION_BITMAP, 1u << vector);
    const char *why = vm_enter();
    if (why) {
        skipped(name, why);
        return;
    }
    section = "Information for VM Exits Due to Vectored Events";
    expect_information(name_of("%s-exits", name), event_info(EVENT_HARDWARE_EXCEPTION, vector, true),
                       error_code);
    section = "Information for VM Exits During Event Delivery";
    expect_equal(name_of("%s-vectoring", name), "IDT-vectoring information",
                 event_info(EVENT_HARDWARE_EXCEPTION, EXC_UD, false), result.vectoring);
}

static void stack_faults(void)
{
    enum { EXT = 1 };
    const struct raised *ud = exception_of(EXC_UD);
    describe(ud, SUBJECT_CPL3, 0);
    subject_tss[RSP0] = SUBJECT_WINDOW + 0x800;
    expect_stack_fault("stack-absent", EXC_PF, PF_ERROR_W);
    expect_equal("stack-absent-address", "qualification", SUBJECT_WINDOW + 0x800 - 8, result.qualification);
    describe(ud, SUBJECT_CPL3, 0);
    subject_tss[RSP0 + 1] = 0x800000; // not canonical
    expect_stack_fault("stack-noncanonical", EXC_SS, EXT);
    describe(ud, SUBJECT_PAE, 0);
    vm_user();
    subject_tss[SS0] = 0;
    expect_stack_fault("stack-selector-null", EXC_TS, EXT);
    describe(ud, SUBJECT_PAE, 0);
    vm_user();
    subject_tss[SS0] = SUBJECT_CODE32;
    expect_stack_fault("stack-selector-code", EXC_TS, SUBJECT_CODE32 | EXT);
}

// ---- IRET that faults unblocks NMIs all the same ----

CODE(code_iret, "iretq");

static uint64_t frame[5];

static void iret_faults(const char *name, const char *code, uint64_t stack, bool blocked, uint8_t vector,
                        uint16_t error_code, bool unblocked)
{
    struct raised r = {.code = code, .prepare = use_nothing, .vector = vector};
    if (!can(WORD_PIN, PIN_VIRTUAL_NMIS)) {
        skipped(name, "the processor has no virtual NMIs");
        return;
    }
    describe(&r, SUBJECT_LONG, 1u << vector);
    vm_window(0, 0);
    vm_set(GUEST_RSP, stack);
    vm_set(GUEST_INTERRUPTIBILITY_STATE, blocked ? BLOCKING_BY_NMI : 0);
    vm_enter();
    section = "Information for VM Exits Due to Vectored Events";
    expect_information(name,
                       event_info(EVENT_HARDWARE_EXCEPTION, vector, exceptions[vector].error_code) |
                           (unblocked ? EVENT_INFO_NMI_UNBLOCKING : 0),
                       error_code);
    section = "Saving Non-Register State";
    expect_equal(name_of("%s-blocking", name), "blocking by NMI", blocked && !unblocked ? BLOCKING_BY_NMI : 0,
                 result.interruptibility & BLOCKING_BY_NMI);
}

static void nmi_unblocking(void)
{
    memset(frame, 0, sizeof frame);
    frame[1] = SUBJECT_NOT_PRESENT | 3; // as CS: not a code segment
    frame[2] = RFLAGS_FIXED1;
    uint64_t bad_frame = (word_t)frame, absent = SUBJECT_WINDOW;
    iret_faults("iret-pf-blocked", code_iret, absent, true, EXC_PF, 0, true);
    iret_faults("iret-pf-not-blocked", code_iret, absent, false, EXC_PF, 0, false);
    iret_faults("iret-gp-blocked", code_iret, bad_frame, true, EXC_GP, SUBJECT_NOT_PRESENT, true);
    iret_faults("iret-gp-not-blocked", code_iret, bad_frame, false, EXC_GP, SUBJECT_NOT_PRESENT, false);
    iret_faults("ud-blocked", code_ud, bad_frame, true, EXC_UD, 0, false);
}

BUCKET("exceptions")
{
    each_exception();
    side_effects();
    page_fault_filter();
    each_pair();
    software_events();
    stack_faults();
    nmi_unblocking();
}
