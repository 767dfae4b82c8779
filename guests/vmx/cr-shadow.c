// Guest/host masks and read shadows of CR0 and CR4, CR3 targets, CR8: which accesses exit, and what is read and
// written.
#include "guests/vmx/lib/vmx.h"

// clang-format off
#define REGISTERS(X) \
    X(0, rax) X(1, rcx) X(2, rdx) X(3, rbx) X(4, rsp) X(5, rbp) X(6, rsi) X(7, rdi) \
    X(8, r8) X(9, r9) X(10, r10) X(11, r11) X(12, r12) X(13, r13) X(14, r14) X(15, r15)
// clang-format on
#define X(n, r)                            \
    CODE(to_cr0_##r, "mov %" #r ", %cr0"); \
    CODE(from_cr0_##r, "mov %cr0, %" #r);  \
    CODE(to_cr3_##r, "mov %" #r ", %cr3"); \
    CODE(from_cr3_##r, "mov %cr3, %" #r);  \
    CODE(to_cr4_##r, "mov %" #r ", %cr4"); \
    CODE(from_cr4_##r, "mov %cr4, %" #r);  \
    CODE(to_cr8_##r, "mov %" #r ", %cr8"); \
    CODE(from_cr8_##r, "mov %cr8, %" #r);
REGISTERS(X)
#undef X
CODE(code_clts, "clts");
CODE(code_lmsw, "lmsw %ax");
CODE(code_lmsw_memory, "lmsw (%rbx)");
CODE(code_smsw, "smsw %rax");

#define X(n, r)                                                         \
    {#r,         to_cr0_##r,   from_cr0_##r, to_cr3_##r,  from_cr3_##r, \
     to_cr4_##r, from_cr4_##r, to_cr8_##r,   from_cr8_##r},
static const struct moves {
    const char *name, *to_cr0, *from_cr0, *to_cr3, *from_cr3, *to_cr4, *from_cr4, *to_cr8, *from_cr8;
} moves[] = {REGISTERS(X)};
#undef X

// Qualification (SDM, "Exit Qualification for Control-Register Accesses").
static uint64_t access_to(unsigned cr, enum cr_access_type type, unsigned gpr)
{
    return cr | (unsigned)type << 4 | gpr << 8;
}

// A control register with what masks it.
static const struct controlled {
    const char *name;
    unsigned cr;
    uint32_t field, mask, shadow;
    const char *to, *from; // MOV by RAX
} cr0 = {"cr0", 0, GUEST_CR0, CR0_GUEST_HOST_MASK, CR0_READ_SHADOW, to_cr0_rax, from_cr0_rax},
  cr4 = {"cr4", 4, GUEST_CR4, CR4_GUEST_HOST_MASK, CR4_READ_SHADOW, to_cr4_rax, from_cr4_rax};

static void describe(const struct controlled *c, const char *code, uint64_t mask, uint64_t shadow)
{
    vm_reset();
    vm_run(code);
    vm_set(c->mask, mask);
    vm_set(c->shadow, shadow);
    vm_set(EXCEPTION_BITMAP, 0xffffffff);
    vm_watch(c->field);
}

// ---- Every bit that can be flipped in 64-bit mode without harm ----

static void owned_by_guest(const struct controlled *c, const char *bit_name_, uint64_t bit)
{
    uint64_t old = vm_template.value[image_at(c->field)], new = old ^ bit;
    describe(c, c->to, 0, 0);
    vm_gpr[0] = new;
    expect_passed(name_of("%s-%s-guest-written", c->name, bit_name_));
    expect_equal(name_of("%s-%s-guest-value", c->name, bit_name_), "register", new, vm_saw(c->field));
    describe(c, c->from, 0, ~0ull);
    expect_passed(name_of("%s-%s-guest-read", c->name, bit_name_));
    expect_equal(name_of("%s-%s-guest-read-value", c->name, bit_name_), "bit", old & bit, vm_gpr[0] & bit);
}

// What is written equals the shadow: no exit, and the bit in the register stays as it is.
static void host_equal(const struct controlled *c, const char *bit_name_, uint64_t bit)
{
    uint64_t old = vm_template.value[image_at(c->field)];
    for (unsigned value = 0; value < 2; value++) {
        uint64_t shown = value ? old | bit : old & ~bit;
        describe(c, c->to, bit, shown);
        vm_gpr[0] = shown;
        expect_passed(name_of("%s-%s-host-equals-%u", c->name, bit_name_, value));
        expect_equal(name_of("%s-%s-host-equals-%u-kept", c->name, bit_name_, value), "register", old,
                     vm_saw(c->field));
        describe(c, c->from, bit, shown);
        expect_passed(name_of("%s-%s-host-read-%u", c->name, bit_name_, value));
        expect_equal(name_of("%s-%s-host-shows-%u", c->name, bit_name_, value), "value read", shown,
                     vm_gpr[0]);
    }
}

static void host_differs(const struct controlled *c, const char *bit_name_, uint64_t bit)
{
    uint64_t old = vm_template.value[image_at(c->field)];
    for (unsigned value = 0; value < 2; value++) {
        uint64_t written = value ? old | bit : old & ~bit;
        describe(c, c->to, bit, written ^ bit);
        vm_gpr[0] = written;
        expect_exit(name_of("%s-%s-host-differs-%u", c->name, bit_name_, value), REASON_CR_ACCESS,
                    access_to(c->cr, CR_MOV_TO, 0));
        expect_equal(name_of("%s-%s-host-differs-%u-kept", c->name, bit_name_, value), "register", old,
                     vm_saw(c->field));
    }
}

// `free`: those of the bits that the guest may flip when they are its own; the others can only be the host's.
static void each_bit(const struct controlled *c, const struct bit_table *table, uint64_t bits, uint64_t free)
{
    for (unsigned i = 0; i < 64; i++) {
        if (!(bits >> i & 1))
            continue;
        const char *bit = bit_name(table, i);
        section = "Guest/Host Masks and Read Shadows for CR0 and CR4";
        if (free >> i & 1)
            owned_by_guest(c, bit, 1ull << i);
        section = "Changes to Instruction Behavior in VMX Non-Root Operation";
        host_equal(c, bit, 1ull << i);
        section = "Instructions That Cause VM Exits Conditionally";
        host_differs(c, bit, 1ull << i);
    }
}

// ---- CLTS, LMSW, SMSW ----

static void task_switched(const char *name, uint64_t real, bool host, uint64_t shadow, bool exits,
                          uint64_t after)
{
    describe(&cr0, code_clts, host ? CR0_TS : 0, shadow);
    vm_set(GUEST_CR0, (vm_get(GUEST_CR0) & ~(uint64_t)CR0_TS) | real);
    if (exits)
        expect_exit(name, REASON_CR_ACCESS, access_to(0, CR_CLTS, 0));
    else
        expect_passed(name);
    expect_equal(name_of("%s-ts", name), "CR0.TS", after, vm_saw(GUEST_CR0) & CR0_TS);
}

static void clts(void)
{
    section = "Changes to Instruction Behavior in VMX Non-Root Operation";
    task_switched("clts-guest", CR0_TS, false, 0, false, 0);
    task_switched("clts-guest-shadow-set", CR0_TS, false, CR0_TS, false, 0);
    task_switched("clts-host-shadow-clear", CR0_TS, true, 0, false, CR0_TS);
    task_switched("clts-host-shadow-set", CR0_TS, true, CR0_TS, true, CR0_TS);
    task_switched("clts-host-both-clear", 0, true, 0, false, 0);
    task_switched("clts-host-real-clear-shadow-set", 0, true, CR0_TS, true, 0);
}

static void lmsw_one(const char *name, const char *code, uint64_t mask, uint64_t shadow, uint16_t source,
                     bool exits)
{
    static uint16_t word;
    word = source;
    bool memory = code == code_lmsw_memory;
    describe(&cr0, code, mask, shadow);
    vm_gpr[0] = memory ? 0 : source;
    vm_gpr[3] = (word_t)&word;
    if (!exits) {
        expect_passed(name);
        return;
    }
    expect_exit(name, REASON_CR_ACCESS,
                access_to(0, CR_LMSW, 0) | (uint64_t)memory << 6 | (uint64_t)source << 16);
    if (memory)
        expect_equal(name_of("%s-linear", name), "linear address", (word_t)&word, result.linear);
}

static void lmsw(void)
{
    enum { PE = CR0_PE, TS = CR0_TS, MP = CR0_MP, EM = CR0_EM };
    static const struct {
        const char *name;
        uint64_t bit;
    } bits[] = {
        {"mp", MP},
        {"em", EM},
        {"ts", TS},
    };
    section = "Instructions That Cause VM Exits Conditionally";
    for (unsigned memory = 0; memory < 2; memory++) {
        const char *code = memory ? code_lmsw_memory : code_lmsw, *form = memory ? "memory" : "register";
        for (unsigned i = 0; i < array_size(bits); i++) {
            uint16_t set = (uint16_t)(PE | bits[i].bit);
            lmsw_one(name_of("lmsw-%s-%s-guest", form, bits[i].name), code, 0, 0, set, false);
            lmsw_one(name_of("lmsw-%s-%s-host-equal", form, bits[i].name), code, bits[i].bit, bits[i].bit,
                     set, false);
            lmsw_one(name_of("lmsw-%s-%s-host-sets", form, bits[i].name), code, bits[i].bit, 0, set, true);
            lmsw_one(name_of("lmsw-%s-%s-host-clears", form, bits[i].name), code, bits[i].bit, bits[i].bit,
                     PE, true);
        }
        // LMSW can set PE and not clear it.
        lmsw_one(name_of("lmsw-%s-pe-host-sets", form), code, PE, 0, PE, true);
        lmsw_one(name_of("lmsw-%s-pe-host-cannot-clear", form), code, PE, PE, 0, false);
    }
}

static void smsw(void)
{
    section = "Changes to Instruction Behavior in VMX Non-Root Operation";
    uint64_t old = vm_template.value[AT_GUEST_CR0];
    describe(&cr0, code_smsw, CR0_TS | CR0_MP, CR0_TS);
    expect_passed("smsw-host");
    expect_equal("smsw-host-value", "value read", (old & ~(uint64_t)CR0_MP) | CR0_TS, vm_gpr[0]);
    describe(&cr0, code_smsw, 0, ~0ull);
    expect_passed("smsw-guest");
    expect_equal("smsw-guest-value", "value read", old, vm_gpr[0]);
}

// ---- CR3 ----

static void cr3_load(const char *name, unsigned targets, unsigned matching, bool exits)
{
    vm_reset();
    vm_run(to_cr3_rax);
    vm_control(WORD_PRIMARY, PRIMARY_CR3_LOAD_EXITING, true);
    vm_gpr[0] = vm_get(GUEST_CR3);
    vm_set(CR3_TARGET_COUNT, targets);
    for (unsigned i = 0; i < 4; i++)
        vm_set(CR3_TARGET_VALUE_0 + 2 * i, i == matching ? vm_get(GUEST_CR3) : 0xdead000 + i * 0x1000);
    if (exits)
        expect_exit(name, REASON_CR_ACCESS, access_to(3, CR_MOV_TO, 0));
    else
        expect_passed(name);
}

static void cr3(void)
{
    enum { NONE = 99 };
    section = "CR3-Target Controls";
    unsigned most = vmx_misc_cr3_targets(processor.caps.misc);
    for (unsigned n = 0; n <= 4 && n <= most; n++) {
        cr3_load(name_of("cr3-%u-targets-none-matches", n), n, NONE, true);
        for (unsigned i = 0; i < 4; i++)
            cr3_load(name_of("cr3-%u-targets-%u-matches", n, i), n, i, i >= n);
    }
    section = "Primary Processor-Based VM-Execution Controls";
    vm_reset();
    vm_run(to_cr3_rax);
    vm_gpr[0] = vm_get(GUEST_CR3);
    vm_control(WORD_PRIMARY, PRIMARY_CR3_LOAD_EXITING, false);
    if (must(WORD_PRIMARY, PRIMARY_CR3_LOAD_EXITING))
        skipped("cr3-load-without-exiting", "CR3-load exiting cannot be 0 here");
    else
        expect_passed("cr3-load-without-exiting");
    vm_reset();
    vm_run(from_cr3_rax);
    vm_control(WORD_PRIMARY, PRIMARY_CR3_STORE_EXITING, false);
    if (must(WORD_PRIMARY, PRIMARY_CR3_STORE_EXITING))
        skipped("cr3-store-without-exiting", "CR3-store exiting cannot be 0 here");
    else {
        expect_passed("cr3-store-without-exiting");
        expect_equal("cr3-store-value", "CR3", vm_get(GUEST_CR3), vm_gpr[0]);
    }
}

// ---- The register in the qualification ----

static void exits_by(const char *what, const char *code, uint64_t control, unsigned cr,
                     enum cr_access_type type, unsigned gpr)
{
    vm_reset();
    vm_run(code);
    if (control)
        vm_control(WORD_PRIMARY, control, true);
    vm_set(CR0_GUEST_HOST_MASK, ~0ull);
    vm_set(CR4_GUEST_HOST_MASK, ~0ull);
    vm_set(CR0_READ_SHADOW, ~0ull); // RAX to R15 are 0
    vm_set(CR4_READ_SHADOW, ~0ull);
    expect_exit(name_of("%s-%s", what, moves[gpr].name), REASON_CR_ACCESS, access_to(cr, type, gpr));
}

static void each_register(void)
{
    section = "Exit Qualification for Control-Register Accesses";
    for (unsigned i = 0; i < 16; i++) {
        exits_by("mov-to-cr0", moves[i].to_cr0, 0, 0, CR_MOV_TO, i);
        exits_by("mov-to-cr4", moves[i].to_cr4, 0, 4, CR_MOV_TO, i);
        exits_by("mov-to-cr3", moves[i].to_cr3, PRIMARY_CR3_LOAD_EXITING, 3, CR_MOV_TO, i);
        exits_by("mov-from-cr3", moves[i].from_cr3, PRIMARY_CR3_STORE_EXITING, 3, CR_MOV_FROM, i);
        exits_by("mov-to-cr8", moves[i].to_cr8, PRIMARY_CR8_LOAD_EXITING, 8, CR_MOV_TO, i);
        exits_by("mov-from-cr8", moves[i].from_cr8, PRIMARY_CR8_STORE_EXITING, 8, CR_MOV_FROM, i);
    }
}

// ---- Values that the processor refuses stay refused: #GP, whatever the masks ----

static void refused(void)
{
    section = "Changes to Instruction Behavior in VMX Non-Root Operation";
    describe(&cr0, to_cr0_rax, 0, 0);
    vm_gpr[0] = vm_get(GUEST_CR0) | 1ull << 32;
    expect_exception("cr0-upper-half", VECTOR_GP, 0);
    describe(&cr0, to_cr0_rax, 0, 0);
    vm_gpr[0] = vm_get(GUEST_CR0) & ~(uint64_t)CR0_PE;
    expect_exception("cr0-pg-without-pe", VECTOR_GP, 0);
    describe(&cr0, to_cr0_rax, 0, 0);
    vm_gpr[0] = (vm_get(GUEST_CR0) | CR0_NW) & ~(uint64_t)CR0_CD;
    expect_exception("cr0-nw-without-cd", VECTOR_GP, 0);
    describe(&cr0, to_cr0_rax, 0, 0);
    vm_gpr[0] = vm_get(GUEST_CR0) & ~(uint64_t)CR0_NE;
    expect_exception("cr0-ne-fixed", VECTOR_GP, 0);
    describe(&cr4, to_cr4_rax, 0, 0);
    vm_gpr[0] = vm_get(GUEST_CR4) & ~(uint64_t)CR4_PAE;
    expect_exception("cr4-pae-in-long-mode", VECTOR_GP, 0);
    describe(&cr4, to_cr4_rax, 0, 0);
    vm_gpr[0] = vm_get(GUEST_CR4) & ~(uint64_t)CR4_VMXE;
    expect_exception("cr4-vmxe-fixed", VECTOR_GP, 0);
    describe(&cr4, to_cr4_rax, 0, 0);
    vm_gpr[0] = vm_get(GUEST_CR4) | 1ull << 31;
    expect_exception("cr4-reserved", VECTOR_GP, 0);
}

BUCKET("masks and shadows of control registers")
{
    const uint64_t plain4 = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_MCE | CR4_PGE | CR4_PCE |
                            CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_UMIP | CR4_FSGSBASE | CR4_PCIDE | CR4_OSXSAVE |
                            CR4_SMEP | CR4_SMAP;
    const uint64_t plain0 = CR0_MP | CR0_EM | CR0_TS | CR0_WP | CR0_AM;
    const uint64_t all0 = plain0 | CR0_PE | CR0_NE | CR0_NW | CR0_CD | CR0_PG;
    const uint64_t all4 = plain4 | CR4_PAE | CR4_LA57 | CR4_VMXE | CR4_SMXE | CR4_PKE;
    each_bit(&cr0, &cr0_bits, all0, plain0);
    each_bit(&cr4, &cr4_bits, all4, plain4 & processor.caps.cr4_fixed1);
    clts();
    lmsw();
    smsw();
    cr3();
    each_register();
    refused();
}
