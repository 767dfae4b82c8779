// EPT violations that become virtualization exceptions, and those that meet the delivery of an event or an IRET.
#include "guests/vmx/lib/ept.h"

// ---- #VE ----

static uint32_t *ve_page;
enum { VE = 20, VE_BUSY = 1 }; // index of its second word, which must be 0 for a #VE

// The word is written by the code itself: an attempt that is made once more, because an interrupt of the box ended it
// behind the #VE, finds it as the first one did.
#define SET_WORD "mov %ecx, (%rdx); "
CODE(code_ve_read, SET_WORD "mov (%rbx), %rax");
CODE(code_ve_write, SET_WORD "mov %rax, (%rbx)");
CODE(code_ve_fetch, SET_WORD "jmp *%rbx");

static const char *const ve_codes[EPT_ACCESSES] = {
    [EPT_TO_READ] = code_ve_read, [EPT_TO_WRITE] = code_ve_write, [EPT_TO_FETCH] = code_ve_fetch};

static void use_ve(void)
{
    memset(ve_page, 0, EPT_PAGE);
    vm_tables();
    vm_control(WORD_SECONDARY, SECONDARY_EPT_VIOLATION_VE, true);
    vm_set(VE_INFORMATION_ADDRESS, physical(ve_page));
    vm_set(EPTP_INDEX, 0x1234);
}

static void describe_ve(const char *code, uint64_t pte, uint32_t busy)
{
    ept_window_map(ept_target);
    *ept_window[1] = pte;
    ept_describe(code, EPT_OFFSET);
    use_ve();
    vm_gpr[1] = busy;
    vm_gpr[2] = (word_t)&ve_page[VE_BUSY];
}

static uint64_t ve_at(unsigned byte)
{
    return ve_page[byte / 4] | (uint64_t)ve_page[byte / 4 + 1] << 32;
}

static void information(const char *name, unsigned bit)
{
    section = "Virtualization-Exception Information";
    expect_equal(name_of("%s-reason", name), "exit reason in memory", REASON_EPT_VIOLATION, ve_page[0]);
    expect_equal(name_of("%s-busy", name), "word at offset 4", 0xffffffff, ve_page[VE_BUSY]);
    expect_equal(name_of("%s-qualification", name), "qualification in memory", bit | Q_LINEAR | Q_FINAL,
                 ve_at(8) & Q_DEFINED);
    expect_equal(name_of("%s-linear", name), "linear address in memory", EPT_WINDOW + EPT_OFFSET, ve_at(16));
    expect_equal(name_of("%s-physical", name), "physical address in memory", ept_window_gpa + EPT_OFFSET,
                 ve_at(24));
    expect_equal(name_of("%s-index", name), "EPTP index in memory", 0x1234, ve_page[8] & 0xffff);
}

static void convertible(unsigned access)
{
    const char *name = name_of("ve-%s", ept_accesses[access].name), *code = ve_codes[access];
    uint64_t violation = ept_accesses[access].bit | Q_LINEAR | Q_FINAL;
    section = "Convertible EPT Violations";
    describe_ve(code, 0, 0);
    expect_delivered(name, VE);
    information(name, ept_accesses[access].bit);
    section = "Convertible EPT Violations";
    describe_ve(code, EPT_SUPPRESS_VE, 0);
    expect_violation(name_of("%s-suppressed", name), violation);
    describe_ve(code, 0, 1);
    expect_violation(name_of("%s-while-busy", name), violation);
    describe_ve(code, 0, 1u << 31);
    expect_violation(name_of("%s-while-busy-31", name), violation);
    describe_ve(code, EPT_WRITE, 0);
    expect_reason(name_of("%s-misconfiguration", name), REASON_EPT_MISCONFIGURATION);
    section = "Delivery of Virtualization Exceptions";
    describe_ve(code, 0, 0);
    vm_set(EXCEPTION_BITMAP, 1u << VE);
    expect_exception(name_of("%s-in-bitmap", name), VE, -1);
}

// Bit 63 counts in the entry that is not present or maps the page, and in no other.
static void suppressed_by_entry(void)
{
    static const char *const levels[] = {NULL, "pte", "pde", "pdpte", "pml4e"};
    section = "Convertible EPT Violations";
    for (unsigned level = 4; level >= 1; level--) {
        if (!ept_window[level]) {
            skipped(name_of("ve-suppressed-in-%s", levels[level]),
                    "physical addresses are too narrow for a second PML4 entry");
            continue;
        }
        describe_ve(code_ve_read, 0, 0);
        *ept_window[level] = EPT_SUPPRESS_VE; // not present
        expect_violation(name_of("ve-suppressed-in-%s", levels[level]), Q_READ | Q_LINEAR | Q_FINAL);
        describe_ve(code_ve_read, EPT_SUPPRESS_VE, 0);
        *ept_window[level] = 0;
        expect_delivered(name_of("ve-not-present-%s", levels[level]), VE);
        if (level == 1)
            continue;
        describe_ve(code_ve_read, 0, 0);
        *ept_window[level] |= EPT_SUPPRESS_VE; // leads further: the bit means nothing
        expect_delivered(name_of("ve-ignored-in-%s", levels[level]), VE);
    }
}

// Beyond the machine's memory there is no EPT entry. The same bytes read from there with 16-bit and 32-bit addresses.
CODE(code_low_read, ".byte 0x8a, 0x07"); // MOV AL, [BX] or [EDI]
enum { NOWHERE = 512 << 20 };

static void by_mode(const char *name, unsigned mode)
{
    vm_reset();
    const char *why = subject_modes[mode].enter();
    if (why) {
        skipped(name, why);
        return;
    }
    vm_set(EPT_POINTER, ept_pointer);
    use_ve();
    vm_run(code_low_read);
    vm_set(GUEST_DS_BASE, NOWHERE);
    if (mode == SUBJECT_REAL)
        expect_violation(name, Q_READ | Q_LINEAR | Q_FINAL);
    else
        expect_delivered(name, VE);
}

static void ve(void)
{
    section = "Convertible EPT Violations";
    if (!can(WORD_SECONDARY, SECONDARY_EPT_VIOLATION_VE)) {
        skipped("ve", "no EPT-violation #VE");
        return;
    }
    for (unsigned access = 0; access < EPT_ACCESSES; access++)
        convertible(access);
    describe_ve(code_ve_read, 0, 0);
    vm_control(WORD_SECONDARY, SECONDARY_EPT_VIOLATION_VE, false);
    expect_violation("ve-off", Q_READ | Q_LINEAR | Q_FINAL);
    suppressed_by_entry();
    by_mode("ve-protected", SUBJECT_PROTECTED);
    by_mode("ve-not-in-real-mode", SUBJECT_REAL);
}

// ---- While an event is delivered: the IDT is in the window ----

CODE(code_int, "int $0x30");
CODE(code_int3, "int3");
CODE(code_ud, "ud2");
CODE(code_gp, "mov (%rdi), %al"); // RDI is not canonical
CODE(code_pf, "mov (%rsi), %al");
CODE(code_nothing, "");

static const struct delivery {
    const char *name, *code;
    uint8_t type, vector;
    bool injected;
    int error_code; // -1: none
} deliveries[] = {
    {"int-n",              code_int,     EVENT_SOFTWARE_INTERRUPT, 0x30,    false, -1   },
    {"int3",               code_int3,    EVENT_SOFTWARE_EXCEPTION, EXC_BP,  false, -1   },
    {"ud",                 code_ud,      EVENT_HARDWARE_EXCEPTION, EXC_UD,  false, -1   },
    {"gp",                 code_gp,      EVENT_HARDWARE_EXCEPTION, EXC_GP,  false, 0    },
    {"pf",                 code_pf,      EVENT_HARDWARE_EXCEPTION, EXC_PF,  false, 0    },
    {"injected-interrupt", code_nothing, EVENT_EXTERNAL_INTERRUPT, 0x40,    true,  -1   },
    {"injected-nmi",       code_nothing, EVENT_NMI,                EXC_NMI, true,  -1   },
    {"injected-ud",        code_nothing, EVENT_HARDWARE_EXCEPTION, EXC_UD,  true,  -1   },
    {"injected-gp",        code_nothing, EVENT_HARDWARE_EXCEPTION, EXC_GP,  true,  0xa58},
};

static uint32_t information_of(const struct delivery *d)
{
    return event_info((enum event_type)d->type, d->vector, d->error_code >= 0);
}

static void describe_delivery(const struct delivery *d, uint64_t rights, bool ve)
{
    ept_window_map(subject_idt);
    *ept_window[1] = (*ept_window[1] & ~(uint64_t)EPT_RWX) | rights;
    ept_describe(d->code, 0);
    vm_gpr[7] = 1ull << 62;
    vm_gpr[6] = 1 << 30; // nothing is mapped there
    if (ve)
        use_ve();
    else
        vm_tables();
    vm_set(GUEST_IDTR_BASE, EPT_WINDOW);
    if (!d->injected)
        return;
    vm_set_bits(GUEST_RFLAGS, RFLAGS_IF);
    vm_set(VM_ENTRY_INTERRUPTION_INFO, information_of(d));
    vm_set(VM_ENTRY_EXCEPTION_ERROR_CODE, d->error_code >= 0 ? (uint32_t)d->error_code : 0);
}

static void expect_vectoring(const char *name, const struct delivery *d)
{
    section = "Information for VM Exits During Event Delivery";
    expect_equal(name_of("%s-vectoring", name), "IDT-vectoring information", information_of(d),
                 result.vectoring);
    if (d->error_code >= 0)
        expect_equal(name_of("%s-vectoring-error", name), "IDT-vectoring error code", (uint32_t)d->error_code,
                     result.vectoring_error);
}

// A gate has 16 bytes, of which any may be read first.
static void delivery_violates(const char *name, const struct delivery *d)
{
    enum { GATE = 16 };
    section = "EPT Violations";
    expect_reason(name, REASON_EPT_VIOLATION);
    expect_vectoring(name, d);
    section = "Basic VM-Exit Information";
    uint64_t gate = EPT_WINDOW + d->vector * (uint64_t)GATE;
    expect_true(name_of("%s-linear", name), result.linear - gate < GATE,
                "expected a guest-linear address of %#llx to %#llx\ngot %#llx", (unsigned long long)gate,
                (unsigned long long)gate + GATE - 1, (unsigned long long)result.linear);
    section = "Architectural State Before a VM Exit"; // CS, RIP, SS, RSP, RFLAGS
    expect_equal(name_of("%s-rip", name), "RIP", (word_t)d->code, result.rip);
}

static void during_delivery(void)
{
    for (unsigned n = 0; n < array_size(deliveries); n++) {
        const struct delivery *d = &deliveries[n];
        const char *name = name_of("delivery-%s", d->name);
        section = "EPT Violations";
        describe_delivery(d, EPT_RWX, false);
        expect_delivered(name_of("%s-good", name), d->vector);
        describe_delivery(d, 0, false);
        delivery_violates(name_of("%s-violates", name), d);
        section = "EPT Misconfigurations";
        describe_delivery(d, EPT_WRITE, false);
        expect_reason(name_of("%s-misconfigured", name), REASON_EPT_MISCONFIGURATION);
        expect_vectoring(name_of("%s-misconfigured", name), d);
        if (!can(WORD_SECONDARY, SECONDARY_EPT_VIOLATION_VE)) {
            skipped(name_of("%s-no-ve", name), "no EPT-violation #VE");
            continue;
        }
        section = "Convertible EPT Violations"; // not while an event is delivered
        describe_delivery(d, 0, true);
        expect_reason(name_of("%s-no-ve", name), REASON_EPT_VIOLATION);
        expect_equal(name_of("%s-no-ve-information", name), "word at offset 4", 0, ve_page[VE_BUSY]);
    }
}

// ---- IRET whose frame is in the window ends blocking of NMIs all the same, and the qualification tells ----

CODE(code_iret, "iretq");

static void iret(const char *name, bool blocked)
{
    if (!can(WORD_PIN, PIN_VIRTUAL_NMIS)) {
        skipped(name, "the processor has no virtual NMIs");
        return;
    }
    ept_window_map(ept_target);
    *ept_window[1] = 0;
    ept_describe(code_iret, 0);
    vm_set(GUEST_RSP, EPT_WINDOW);
    vm_set(GUEST_INTERRUPTIBILITY_STATE, blocked ? BLOCKING_BY_NMI : 0);
    section = "Exit Qualification for EPT Violations";
    expect_violation(name, Q_READ | Q_LINEAR | Q_FINAL | (blocked ? Q_NMI_UNBLOCKING : 0));
    section = "Architectural State Before a VM Exit";
    expect_equal(name_of("%s-unblocks", name), "blocking by NMI", 0,
                 result.interruptibility & BLOCKING_BY_NMI);
}

BUCKET("virtualization exceptions, and EPT violations during event delivery")
{
    ept_begin();
    ve_page = page_take();
    ve();
    during_delivery();
    iret("iret-nmis-blocked", true);
    iret("iret-nmis-not-blocked", false);
}
