// APIC virtualization: TPR shadow, accesses to the APIC-access page with and without APIC-register virtualization,
// x2APIC mode, virtual-interrupt delivery, EOI and self-IPI.
#include "guests/vmx/lib/vmx.h"

CODE(code_read32, "mov (%rbx), %eax");
CODE(code_write32, "mov %eax, (%rbx)");
CODE(code_read8, "mov (%rbx), %al");
CODE(code_read16, "mov (%rbx), %ax");
CODE(code_read64, "mov (%rbx), %rax");
CODE(code_fetch, "jmp *%rbx");
CODE(code_to_cr8, "mov %rax, %cr8");
CODE(code_from_cr8, "mov %cr8, %rax");
CODE(code_rdmsr, "rdmsr");
CODE(code_wrmsr, "wrmsr");
CODE(code_nothing, "nop");
CODE(code_write_spin, "mov %eax, (%rbx); 1: pause; jmp 1b");
CODE(code_wrmsr_spin, "wrmsr; 1: pause; jmp 1b");

// Offsets in the page, and what APIC-register virtualization does with them (SDM, "Virtualizing Memory-Mapped APIC
// Accesses").
enum {
    ID = 0x20,
    TPR = 0x80,
    PPR = 0xa0,
    EOI = 0xb0,
    ISR = 0x100,
    IRR = 0x200,
    ICR_LOW = 0x300,
    ICR_HIGH = 0x310
};
enum { SELF_IPI = 0x3f0, REGISTERS = 64, PAGE = 4096 };
enum { TYPE = 12, TYPE_READ = 0, TYPE_WRITE = 1, TYPE_FETCH = 2 };

static bool reads_virtualized(unsigned offset)
{
    switch (offset) {
    case ID:
    case 0x30:
    case TPR:
    case EOI:
    case 0xd0:
    case 0xe0:
    case 0xf0:
    case 0x280:
    case ICR_LOW:
    case ICR_HIGH:
    case 0x380:
    case 0x3e0:
        return true;
    default:
        return (offset >= ISR && offset < 0x280) || (offset >= 0x320 && offset <= 0x370);
    }
}

static bool writes_virtualized(unsigned offset)
{
    return reads_virtualized(offset) && offset != 0x30 && !(offset >= ISR && offset < 0x280);
}

static uint32_t *page;     // virtual-APIC page
static uint8_t *access_at; // APIC-access page
static uint8_t *bitmap;    // of MSRs: none exits
static uint64_t pointer;   // EPTP

static uint32_t *reg(unsigned offset)
{
    return &page[offset / 4];
}

static void begin(const char *code)
{
    memset(page, 0, PAGE);
    vm_reset();
    vm_mode(MODE_LONG);
    vm_control(WORD_PRIMARY, PRIMARY_TPR_SHADOW, true);
    vm_control(WORD_PRIMARY, PRIMARY_CR8_LOAD_EXITING | PRIMARY_CR8_STORE_EXITING, false);
    vm_set(VIRTUAL_APIC_ADDRESS, physical(page));
    vm_run(code);
}

// `code` accesses the APIC-access page, mapped by 4-KByte pages at both levels. `more`: secondary controls.
static void begin_access(const char *code, unsigned offset, uint64_t more)
{
    begin(code);
    ept_window_map(access_at);
    ept_use(pointer);
    subject_pages[3][0] = ept_window_gpa | 7;
    subject_pages[2][EPT_WINDOW >> 21] = (word_t)subject_pages[3] | 7;
    vm_control(WORD_SECONDARY, SECONDARY_APIC_ACCESSES | more, true);
    vm_set(APIC_ACCESS_ADDRESS, physical(access_at));
    vm_gpr[3] = EPT_WINDOW + offset;
}

// ---- CR8 and the TPR shadow ----

static void cr8(void)
{
    section = "Changes to Instruction Behavior in VMX Non-Root Operation";
    for (unsigned value = 0; value < 16; value++) {
        begin(code_to_cr8);
        *reg(TPR) = 0xffffff0f;
        vm_gpr[0] = value;
        expect_passed(name_of("cr8-write-%x", value));
        expect_equal(name_of("cr8-write-%x-vtpr", value), "VTPR", value << 4, *reg(TPR));
        begin(code_from_cr8);
        *reg(TPR) = value << 4 | 0xf;
        expect_passed(name_of("cr8-read-%x", value));
        expect_equal(name_of("cr8-read-%x-value", value), "value read", value, vm_gpr[0]);
    }
}

// ---- Accesses to the page, register by register ----

static void expect_access_exit(const char *name, unsigned offset, unsigned type)
{
    expect_exit(name, REASON_APIC_ACCESS, offset | type << TYPE);
}

static void read_registers(const char *mode, uint64_t more, bool (*virtualized)(unsigned offset))
{
    for (unsigned offset = 0; offset < REGISTERS * 16; offset += 16) {
        const char *name = name_of("%s-read-%03x", mode, offset);
        begin_access(code_read32, offset, more);
        *reg(offset) = 0xa5000000 | offset;
        *(uint32_t *)(access_at + offset) = 0;
        if (!virtualized(offset)) {
            expect_access_exit(name, offset, TYPE_READ);
            continue;
        }
        expect_passed(name);
        expect_equal(name_of("%s-value", name), "value read", 0xa5000000 | offset, (uint32_t)vm_gpr[0]);
    }
}

// Writes of 0, which cause no interrupt: what follows, an exit or nothing.
static void write_registers(const char *mode, uint64_t more, bool (*virtualized)(unsigned offset),
                            bool (*silent)(unsigned offset))
{
    for (unsigned offset = 0; offset < REGISTERS * 16; offset += 16) {
        const char *name = name_of("%s-write-%03x", mode, offset);
        begin_access(code_write32, offset, more);
        *reg(offset) = 0xffffffff;
        if (!virtualized(offset)) {
            expect_access_exit(name, offset, TYPE_WRITE);
            continue;
        }
        if (silent(offset))
            expect_passed(name);
        else
            expect_exit(name, REASON_APIC_WRITE, offset);
        expect_equal(name_of("%s-written", name), "register in the virtual-APIC page", 0, *reg(offset));
    }
}

static bool only_tpr(unsigned offset)
{
    return offset == TPR;
}

static bool tpr_and_icr_high(unsigned offset)
{
    return offset == TPR || offset == ICR_HIGH;
}

static bool delivery_writes(unsigned offset)
{
    return offset == TPR || offset == EOI || offset == ICR_LOW;
}

static bool tpr_and_eoi(unsigned offset)
{
    return offset == TPR || offset == EOI;
}

static void accesses(void)
{
    section = "Virtualizing Memory-Mapped APIC Accesses";
    if (!can(WORD_SECONDARY, SECONDARY_APIC_ACCESSES)) {
        skipped("accesses", "the processor does not virtualize APIC accesses");
        return;
    }
    read_registers("tpr-shadow", 0, only_tpr);
    write_registers("tpr-shadow", 0, only_tpr, only_tpr);
    begin_access(code_read32, TPR, 0);
    vm_control(WORD_PRIMARY, PRIMARY_TPR_SHADOW, false);
    vm_control(WORD_PRIMARY, PRIMARY_CR8_LOAD_EXITING | PRIMARY_CR8_STORE_EXITING, true);
    expect_access_exit("no-tpr-shadow-read-080", TPR, TYPE_READ);
    begin_access(code_fetch, 0x40, 0);
    expect_access_exit("fetch", 0x40, TYPE_FETCH);
    if (can(WORD_SECONDARY, SECONDARY_APIC_REGISTERS)) {
        read_registers("registers", SECONDARY_APIC_REGISTERS, reads_virtualized);
        write_registers("registers", SECONDARY_APIC_REGISTERS, writes_virtualized, tpr_and_icr_high);
        begin_access(code_fetch, TPR, SECONDARY_APIC_REGISTERS);
        expect_access_exit("registers-fetch", TPR, TYPE_FETCH);
    } else
        skipped("registers", "no APIC-register virtualization");
    if (can(WORD_SECONDARY, SECONDARY_VIRTUAL_INTERRUPT_DELIVERY)) {
        read_registers("delivery", SECONDARY_VIRTUAL_INTERRUPT_DELIVERY, only_tpr);
        write_registers("delivery", SECONDARY_VIRTUAL_INTERRUPT_DELIVERY, delivery_writes, tpr_and_eoi);
    } else
        skipped("delivery-accesses", "no virtual-interrupt delivery");
}

// ---- TPR threshold: at the entry, and by a write to the page ----

static void begin_threshold(unsigned threshold, unsigned vtpr)
{
    begin_access(code_nothing, TPR, 0);
    *reg(TPR) = vtpr;
    vm_set(TPR_THRESHOLD, threshold);
}

static void below_at_once(const char *name)
{
    expect_exit(name, REASON_TPR_BELOW_THRESHOLD, 0);
    expect_equal(name_of("%s-rip", name), "RIP", (word_t)code_nothing, result.rip);
}

static void thresholds(void)
{
    section = "VM Exits Induced by the TPR Threshold";
    if (!can(WORD_SECONDARY, SECONDARY_APIC_ACCESSES)) {
        skipped("threshold", "the processor does not virtualize APIC accesses");
        return;
    }
    begin_threshold(3, 0x2f);
    below_at_once("threshold-above");
    begin_threshold(3, 0x30);
    expect_passed("threshold-equal");
    begin_threshold(0, 0);
    expect_passed("threshold-0");
    begin_threshold(15, 0xe0);
    vm_set_bits(GUEST_RFLAGS, RFLAGS_IF);
    vm_set(GUEST_INTERRUPTIBILITY_STATE, BLOCKING_BY_STI);
    below_at_once("threshold-above-sti");
    begin_threshold(15, 0xe0);
    vm_set(GUEST_INTERRUPTIBILITY_STATE, BLOCKING_BY_MOV_SS);
    below_at_once("threshold-above-mov-ss");
    begin_threshold(15, 0);
    vm_set(PREEMPTION_TIMER_VALUE, 0);
    below_at_once("threshold-before-timer");
    begin_threshold(1, 0);
    vm_tables();
    vm_set(VM_ENTRY_INTERRUPTION_INFO, event_info(EVENT_HARDWARE_EXCEPTION, VECTOR_UD, false));
    expect_exit("threshold-behind-injection", REASON_TPR_BELOW_THRESHOLD, 0);
    expect_equal("threshold-behind-injection-vector", "vector", VECTOR_UD, (uint64_t)vector_at(result.rip));
    if (processor.caps.misc & VMX_MISC_ACTIVITY_HLT) {
        begin_threshold(1, 0);
        vm_set(GUEST_ACTIVITY_STATE, ACTIVITY_HLT);
        below_at_once("threshold-wakes-hlt");
    }
    if (processor.caps.misc & VMX_MISC_ACTIVITY_SHUTDOWN) {
        begin_threshold(1, 0);
        vm_set(GUEST_ACTIVITY_STATE, ACTIVITY_SHUTDOWN);
        expect_reason("threshold-leaves-shutdown", REASON_PREEMPTION_TIMER);
    }
    section = "TPR Virtualization";
    for (unsigned below = 0; below < 2; below++) {
        begin_access(code_write32, TPR, 0);
        *reg(TPR) = 0x50;
        vm_set(TPR_THRESHOLD, 5);
        vm_gpr[0] = below ? 0x4f : 0x50;
        if (!below) {
            expect_passed("threshold-write-equal");
            continue;
        }
        expect_exit("threshold-write-below", REASON_TPR_BELOW_THRESHOLD, 0); // like a trap
        expect_equal("threshold-write-below-rip", "RIP", (word_t)code_write32_end, result.rip);
        expect_equal("threshold-write-below-vtpr", "VTPR", 0x4f, *reg(TPR));
    }
}

// Only within the low four bytes of a register.
static void widths(void)
{
    static const struct {
        const char *name, *code;
        unsigned offset;
        bool virtualized;
    } rows[] = {
        {"width-8-at-080",  code_read8,  TPR,     true },
        {"width-8-at-083",  code_read8,  TPR + 3, true },
        {"width-8-at-084",  code_read8,  TPR + 4, false},
        {"width-16-at-080", code_read16, TPR,     true },
        {"width-16-at-082", code_read16, TPR + 2, true },
        {"width-16-at-083", code_read16, TPR + 3, false},
        {"width-32-at-080", code_read32, TPR,     true },
        {"width-32-at-082", code_read32, TPR + 2, false},
        {"width-64-at-080", code_read64, TPR,     false},
    };
    section = "Virtualizing Reads from the APIC-Access Page";
    for (unsigned i = 0; i < array_size(rows); i++)
        if (!can(WORD_SECONDARY, SECONDARY_APIC_REGISTERS))
            skipped(rows[i].name, "no APIC-register virtualization");
        else {
            begin_access(rows[i].code, rows[i].offset, SECONDARY_APIC_REGISTERS);
            if (rows[i].virtualized)
                expect_passed(rows[i].name);
            else
                expect_access_exit(rows[i].name, rows[i].offset, TYPE_READ);
        }
}

// ---- x2APIC mode ----

static void begin_msr(const char *code, uint32_t msr, uint64_t value, uint64_t more)
{
    begin(code);
    vm_control(WORD_PRIMARY, PRIMARY_MSR_BITMAPS, true);
    vm_set(MSR_BITMAP, physical(bitmap));
    vm_control(WORD_SECONDARY, SECONDARY_X2APIC_MODE | more, true);
    vm_set(EXCEPTION_BITMAP, 1u << VECTOR_GP);
    vm_gpr[1] = msr;
    vm_gpr[0] = (uint32_t)value;
    vm_gpr[2] = value >> 32;
}

enum { X2APIC = 0x800, X2APIC_TPR = 0x808, X2APIC_EOI = 0x80b, X2APIC_SELF = 0x83f };

static void x2apic_read(uint32_t msr, uint64_t more, const char *mode)
{
    const char *name = name_of("%s-rdmsr-%03x", mode, msr);
    begin_msr(code_rdmsr, msr, 0, more);
    unsigned offset = (msr & 0xff) << 4;
    *reg(offset) = 0x5a000000 | msr;
    *reg(offset + 4) = 0xc3000000 | msr;
    expect_passed(name);
    expect_equal(name_of("%s-value", name), "EDX:EAX", (uint64_t)(0xc3000000 | msr) << 32 | 0x5a000000 | msr,
                 vm_gpr[2] << 32 | (uint32_t)vm_gpr[0]);
}

static void x2apic_gp(const char *name, uint32_t msr, uint64_t value, uint64_t more)
{
    begin_msr(code_wrmsr, msr, value, more);
    expect_exception(name, VECTOR_GP, 0);
}

static void x2apic(void)
{
    section = "Virtualizing MSR-Based APIC Accesses";
    if (!can(WORD_SECONDARY, SECONDARY_X2APIC_MODE)) {
        skipped("x2apic", "no virtualized x2APIC mode");
        return;
    }
    x2apic_read(X2APIC_TPR, 0, "x2apic");
    begin_msr(code_wrmsr, X2APIC_TPR, 0x50, 0);
    expect_passed("x2apic-wrmsr-tpr");
    expect_equal("x2apic-wrmsr-tpr-value", "VTPR", 0x50, *reg(TPR));
    x2apic_gp("x2apic-wrmsr-tpr-bit-8", X2APIC_TPR, 0x100, 0);
    x2apic_gp("x2apic-wrmsr-tpr-bit-31", X2APIC_TPR, 1u << 31, 0);
    x2apic_gp("x2apic-wrmsr-tpr-bit-32", X2APIC_TPR, 1ull << 32, 0);
    begin_msr(code_wrmsr, X2APIC_TPR, 0x20, 0);
    vm_set(TPR_THRESHOLD, 3);
    *reg(TPR) = 0x30;
    expect_reason("x2apic-wrmsr-tpr-below-threshold", REASON_TPR_BELOW_THRESHOLD);
    if (can(WORD_SECONDARY, SECONDARY_APIC_REGISTERS))
        for (unsigned i = 0; i <= REGISTERS + 1; i++)
            x2apic_read(X2APIC + (i > REGISTERS ? 0xff : i), SECONDARY_APIC_REGISTERS, "x2apic-registers");
    else
        skipped("x2apic-registers", "no APIC-register virtualization");
    if (!can(WORD_SECONDARY, SECONDARY_VIRTUAL_INTERRUPT_DELIVERY))
        return;
    x2apic_gp("x2apic-wrmsr-eoi-1", X2APIC_EOI, 1, SECONDARY_VIRTUAL_INTERRUPT_DELIVERY);
    x2apic_gp("x2apic-wrmsr-eoi-bit-32", X2APIC_EOI, 1ull << 32, SECONDARY_VIRTUAL_INTERRUPT_DELIVERY);
    x2apic_gp("x2apic-wrmsr-self-bit-8", X2APIC_SELF, 0x141, SECONDARY_VIRTUAL_INTERRUPT_DELIVERY);
    begin_msr(code_wrmsr, X2APIC_SELF, 0x0f, SECONDARY_VIRTUAL_INTERRUPT_DELIVERY);
    expect_exit("x2apic-wrmsr-self-vector-15", REASON_APIC_WRITE, SELF_IPI);
}

// ---- Virtual-interrupt delivery ----

static void set_vector(unsigned base, unsigned vector)
{
    *reg(base + vector / 32 * 16) |= 1u << vector % 32;
}

static bool vector_set(unsigned base, unsigned vector)
{
    return *reg(base + vector / 32 * 16) >> vector % 32 & 1;
}

// What the description needs besides; RVI and SVI with their bits in the page. 0: none.
static void deliverable(unsigned rvi, unsigned svi, unsigned tpr)
{
    vm_tables();
    vm_control(WORD_SECONDARY, SECONDARY_VIRTUAL_INTERRUPT_DELIVERY, true);
    vm_set(GUEST_RFLAGS, RFLAGS_FIXED1 | RFLAGS_IF);
    vm_set(GUEST_INTERRUPT_STATUS, svi << 8 | rvi);
    vm_watch(GUEST_INTERRUPT_STATUS);
    if (rvi)
        set_vector(IRR, rvi);
    if (svi)
        set_vector(ISR, svi);
    *reg(TPR) = tpr;
}

static void status_is(const char *name, unsigned rvi, unsigned svi)
{
    expect_equal(name, "SVI and RVI", svi << 8 | rvi, vm_saw(GUEST_INTERRUPT_STATUS));
}

static void at_entry(void)
{
    static const struct {
        const char *name;
        uint8_t rvi, svi, tpr;
        bool delivered;
    } rows[] = {
        {"delivery-41",                 0x41, 0,    0,    true },
        {"delivery-ff",                 0xff, 0,    0,    true },
        {"delivery-20",                 0x20, 0,    0,    true },
        {"delivery-above-tpr",          0x41, 0,    0x30, true },
        {"delivery-above-tpr-sub",      0x41, 0,    0x3f, true },
        {"delivery-equal-tpr-class",    0x41, 0,    0x40, false},
        {"delivery-below-tpr",          0x41, 0,    0x50, false},
        {"delivery-above-service",      0x51, 0x41, 0,    true },
        {"delivery-equal-service",      0x4f, 0x41, 0,    false},
        {"delivery-below-service",      0x31, 0x41, 0,    false},
        {"delivery-service-tpr-higher", 0x51, 0x41, 0x60, false},
    };
    section = "Virtual-Interrupt Delivery";
    for (unsigned i = 0; i < array_size(rows); i++) {
        const char *name = rows[i].name;
        begin(code_nothing);
        deliverable(rows[i].rvi, rows[i].svi, rows[i].tpr);
        if (!rows[i].delivered) {
            expect_passed(name);
            status_is(name_of("%s-status", name), rows[i].rvi, rows[i].svi);
            continue;
        }
        expect_delivered(name, rows[i].rvi);
        status_is(name_of("%s-status", name), 0, rows[i].rvi);
        expect_true(name_of("%s-in-service", name), vector_set(ISR, rows[i].rvi),
                    "expected its bit in VISR\ngot 0");
        expect_true(name_of("%s-not-requested", name), !vector_set(IRR, rows[i].rvi),
                    "expected no bit in VIRR\ngot 1");
        expect_equal(name_of("%s-ppr", name), "VPPR", rows[i].rvi & 0xf0, *reg(PPR));
    }
}

static void not_delivered(void)
{
    section = "Evaluation of Pending Virtual Interrupts";
    begin(code_nothing);
    deliverable(0x41, 0, 0);
    vm_set(GUEST_RFLAGS, RFLAGS_FIXED1);
    expect_passed("pending-if-0");
    status_is("pending-if-0-status", 0x41, 0);
    begin(code_nothing);
    deliverable(0x41, 0, 0);
    vm_control(WORD_PRIMARY, PRIMARY_INTERRUPT_WINDOW_EXITING, true);
    expect_reason("pending-interrupt-window", REASON_INTERRUPT_WINDOW);
    status_is("pending-interrupt-window-status", 0x41, 0);
    begin(code_nothing);
    deliverable(0x41, 0, 0);
    vm_set(GUEST_INTERRUPTIBILITY_STATE, BLOCKING_BY_STI);
    expect_delivered("pending-behind-sti", 0x41);
    begin(code_nothing);
    deliverable(0x41, 0, 0);
    set_vector(IRR, 0x31);
    expect_delivered("pending-two", 0x41);
    status_is("pending-two-next", 0x31, 0x41);
    begin(code_nothing);
    deliverable(0x41, 0, 0);
    vm_set(GUEST_ACTIVITY_STATE, ACTIVITY_HLT);
    expect_delivered("pending-wakes-hlt", 0x41);
    section = "PPR Virtualization";
    begin(code_nothing);
    deliverable(0, 0x41, 0x35);
    expect_passed("ppr-by-service");
    expect_equal("ppr-by-service-value", "VPPR", 0x40, *reg(PPR));
    begin(code_nothing);
    deliverable(0, 0x41, 0x45);
    expect_passed("ppr-by-tpr");
    expect_equal("ppr-by-tpr-value", "VPPR", 0x45, *reg(PPR));
}

// ---- EOI ----

static void eoi(const char *name, bool by_msr, bool exits)
{
    if (by_msr)
        begin_msr(code_wrmsr, X2APIC_EOI, 0, 0);
    else
        begin_access(code_write32, EOI, 0);
    vm_gpr[0] = 0;
    deliverable(0, 0x51, 0);
    set_vector(ISR, 0x41);
    if (exits)
        vm_set(EOI_EXIT_BITMAP_1, 1ull << (0x51 - 0x40));
    if (exits)
        expect_exit(name, REASON_VIRTUALIZED_EOI, 0x51);
    else
        expect_passed(name);
    status_is(name_of("%s-status", name), 0, 0x41);
    expect_true(name_of("%s-out-of-service", name), !vector_set(ISR, 0x51) && vector_set(ISR, 0x41),
                "expected VISR with 41H alone\ngot another");
    expect_equal(name_of("%s-ppr", name), "VPPR", 0x40, *reg(PPR));
}

// An EOI that lets the next one through.
static void eoi_delivers(void)
{
    begin_access(code_write_spin, EOI, 0);
    deliverable(0x41, 0x51, 0);
    vm_gpr[0] = 0;
    expect_delivered("eoi-delivers-next", 0x41);
    begin_access(code_write_spin, TPR, 0);
    deliverable(0x41, 0, 0x50);
    vm_gpr[0] = 0;
    expect_delivered("tpr-delivers-next", 0x41);
    begin(code_to_cr8);
    deliverable(0x41, 0, 0x50);
    vm_gpr[0] = 0;
    expect_delivered("cr8-delivers-next", 0x41);
}

// ---- Self-IPI ----

static void self_ipi(void)
{
    enum { SELF = 1 << 18, FIXED_41 = 0x41 };
    static const struct {
        const char *name;
        uint32_t icr;
        bool virtualized; // SDM, "APIC-Write Emulation"
    } rows[] = {
        {"icr-self",           SELF | FIXED_41,            true },
        {"icr-self-logical",   SELF | 1 << 11 | FIXED_41,  true },
        {"icr-self-assert",    SELF | 1 << 14 | FIXED_41,  true },
        {"icr-self-bit-13",    SELF | 1 << 13 | FIXED_41,  false},
        {"icr-self-bit-16",    SELF | 1 << 16 | FIXED_41,  false},
        {"icr-self-bit-17",    SELF | 1 << 17 | FIXED_41,  false},
        {"icr-self-bit-20",    SELF | 1 << 20 | FIXED_41,  false},
        {"icr-self-bit-31",    SELF | 1u << 31 | FIXED_41, false},
        {"icr-no-shorthand",   FIXED_41,                   false},
        {"icr-all",            2 << 18 | FIXED_41,         false},
        {"icr-others",         3 << 18 | FIXED_41,         false},
        {"icr-self-lowest",    SELF | 1 << 8 | FIXED_41,   false},
        {"icr-self-nmi",       SELF | 4 << 8,              false},
        {"icr-self-level",     SELF | 1 << 15 | FIXED_41,  false},
        {"icr-self-pending",   SELF | 1 << 12 | FIXED_41,  false},
        {"icr-self-vector-15", SELF | 0x0f,                false},
        {"icr-self-vector-16", SELF | 0x10,                true },
    };
    section = "Self-IPI Virtualization";
    for (unsigned i = 0; i < array_size(rows); i++) {
        begin_access(code_write32, ICR_LOW, 0);
        deliverable(0, 0, 0);
        vm_set(GUEST_RFLAGS, RFLAGS_FIXED1);
        vm_gpr[0] = rows[i].icr;
        if (!rows[i].virtualized) {
            expect_exit(rows[i].name, REASON_APIC_WRITE, ICR_LOW);
            continue;
        }
        expect_passed(rows[i].name);
        status_is(name_of("%s-status", rows[i].name), rows[i].icr & 0xff, 0);
        expect_true(name_of("%s-requested", rows[i].name), vector_set(IRR, rows[i].icr & 0xff),
                    "expected its bit in VIRR\ngot 0");
    }
    begin_access(code_write_spin, ICR_LOW, 0);
    deliverable(0, 0, 0);
    vm_gpr[0] = SELF | FIXED_41;
    expect_delivered("icr-self-delivered", 0x41);
    if (!can(WORD_SECONDARY, SECONDARY_X2APIC_MODE)) {
        skipped("x2apic-self", "no virtualized x2APIC mode");
        return;
    }
    begin_msr(code_wrmsr_spin, X2APIC_SELF, FIXED_41, 0);
    deliverable(0, 0, 0);
    expect_delivered("x2apic-self-delivered", 0x41);
    status_is("x2apic-self-delivered-status", 0, 0x41);
}

static void delivery(void)
{
    section = "Virtual-Interrupt Delivery";
    if (!can(WORD_SECONDARY, SECONDARY_VIRTUAL_INTERRUPT_DELIVERY)) {
        skipped("delivery", "no virtual-interrupt delivery");
        return;
    }
    at_entry();
    not_delivered();
    section = "EOI Virtualization";
    eoi("eoi", false, false);
    eoi("eoi-exits", false, true);
    if (can(WORD_SECONDARY, SECONDARY_X2APIC_MODE)) {
        eoi("x2apic-eoi", true, false);
        eoi("x2apic-eoi-exits", true, true);
    } else
        skipped("x2apic-eoi", "no virtualized x2APIC mode");
    eoi_delivers();
    self_ipi();
}

BUCKET("APIC virtualization")
{
    if (!can(WORD_PRIMARY, PRIMARY_TPR_SHADOW)) {
        skipped("apicv", "the processor has no TPR shadow");
        return;
    }
    page = page_take();
    access_at = page_take();
    bitmap = page_take();
    pointer = ept_build();
    cr8();
    accesses();
    thresholds();
    widths();
    x2apic();
    delivery();
}
