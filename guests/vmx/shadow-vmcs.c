// VMCS shadowing: which VMREAD and VMWRITE of the entered code exit, and what the others do to the shadow VMCS.
#include "guests/vmx/lib/vmx.h"

CODE(code_vmread, "vmread %rcx, %rax; pushfq; pop %rdx");
CODE(code_vmread_memory, "vmread %rcx, (%rbx); pushfq; pop %rdx");
CODE(code_vmwrite, "vmwrite %rax, %rcx; pushfq; pop %rdx");
CODE(code_vmwrite_memory, "vmwrite (%rbx), %rcx; pushfq; pop %rdx");

enum { PAGE = 4096 };
#define SHADOW     0x80000000u
#define IN_SHADOW  0x1111222233334444
#define WRITTEN    0x5555666677778888
#define NO_POINTER (~0ull)
enum { STATUS = RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF };

static uint32_t *shadow;
static uint8_t *reads, *writes; // bitmaps
static uint64_t operand;

static void set_bit(uint8_t *bitmap, unsigned encoding, bool value)
{
    bitmap[encoding / 8] =
        (uint8_t)((bitmap[encoding / 8] & ~(1u << encoding % 8)) | (unsigned)value << encoding % 8);
}

static uint64_t width_of(uint64_t value, uint32_t encoding)
{
    static const uint64_t masks[] = {0xffff, ~0ull, 0xffffffff, ~0ull};
    return value & masks[vmcs_width(encoding)];
}

// One field of the shadow VMCS in root operation.
static uint64_t peek(uint32_t encoding)
{
    steps_begin();
    step(PROBE_DO_VMPTRLD, physical(shadow));
    const struct probe_step *s = step(PROBE_DO_VMREAD, encoding);
    return steps_run() ? 0 : s->value;
}

static void poke(uint32_t encoding, uint64_t value)
{
    steps_begin();
    step(PROBE_DO_VMPTRLD, physical(shadow));
    step_with(PROBE_DO_VMWRITE, encoding, value, 0, 0);
    steps_run();
}

// Bitmaps say "exit" for everything but `encoding`, or for that alone.
static void describe(const char *code, uint64_t encoding, bool exits)
{
    memset(reads, exits ? 0 : 0xff, PAGE);
    memset(writes, exits ? 0 : 0xff, PAGE);
    set_bit(reads, encoding & 0x7fff, exits);
    set_bit(writes, encoding & 0x7fff, exits);
    vm_reset();
    vm_run(code);
    vm_control(WORD_SECONDARY, SECONDARY_VMCS_SHADOWING, true);
    vm_set(VMREAD_BITMAP, physical(reads));
    vm_set(VMWRITE_BITMAP, physical(writes));
    vm_set(VMCS_LINK_POINTER, physical(shadow));
    vm_set_bits(GUEST_RFLAGS, STATUS);
    vm_gpr[1] = encoding;
    vm_gpr[0] = WRITTEN;
    vm_gpr[3] = (word_t)&operand;
}

static void status_is(const char *name, uint64_t expected)
{
    expect_equal(name, "status flags", expected, vm_gpr[2] & STATUS);
}

// ---- Each field: by the bitmaps ----

static void field(uint32_t encoding)
{
    const char *name = vmcs_field_name(encoding);
    poke(encoding, IN_SHADOW);
    section = "Changes to Instruction Behavior in VMX Non-Root Operation";
    describe(code_vmread, encoding, true);
    expect_reason(name_of("%s-read-exits", name), REASON_VMREAD);
    describe(code_vmread, encoding, false);
    expect_passed(name_of("%s-read", name));
    expect_equal(name_of("%s-read-value", name), "value read", width_of(IN_SHADOW, encoding), vm_gpr[0]);
    describe(code_vmwrite, encoding, true);
    expect_reason(name_of("%s-write-exits", name), REASON_VMWRITE);
    describe(code_vmwrite, encoding, false);
    expect_passed(name_of("%s-write", name));
    expect_equal(name_of("%s-written", name), "field of the shadow VMCS", width_of(WRITTEN, encoding),
                 peek(encoding));
}

static void fields(void)
{
    // At least one of each width and group; exit information can be written where a shadow VMCS can be.
    static const uint32_t some[] = {
        GUEST_CS_SELECTOR, HOST_CS_SELECTOR, TSC_OFFSET,           GUEST_DEBUGCTL,
        VMCS_LINK_POINTER, EXCEPTION_BITMAP, EXIT_REASON,          GUEST_CS_LIMIT,
        HOST_SYSENTER_CS,  CR0_READ_SHADOW,  EXIT_QUALIFICATION,   GUEST_RIP,
        GUEST_RSP,         HOST_RIP,         GUEST_LINEAR_ADDRESS, VM_INSTRUCTION_ERROR,
    };
    for (unsigned i = 0; i < array_size(some); i++)
        field(some[i]);
}

// ---- Flags, memory operands, upper halves ----

static void outcomes(void)
{
    section = "VMREAD and VMWRITE";
    describe(code_vmread, GUEST_RIP, false);
    expect_passed("read-flags");
    status_is("read-flags-clear", 0);
    describe(code_vmwrite, GUEST_RIP, false);
    expect_passed("write-flags");
    status_is("write-flags-clear", 0);
    poke(GUEST_RIP, IN_SHADOW);
    operand = 0;
    describe(code_vmread_memory, GUEST_RIP, false);
    expect_passed("read-memory");
    expect_equal("read-memory-value", "value in memory", IN_SHADOW, operand);
    operand = WRITTEN + 1;
    describe(code_vmwrite_memory, GUEST_RIP, false);
    expect_passed("write-memory");
    expect_equal("write-memory-value", "field of the shadow VMCS", WRITTEN + 1, peek(GUEST_RIP));
    poke(TSC_OFFSET, IN_SHADOW);
    describe(code_vmread, vmcs_high(TSC_OFFSET), false);
    expect_passed("read-high");
    expect_equal("read-high-value", "value read", IN_SHADOW >> 32, vm_gpr[0]);
    describe(code_vmread, vmcs_high(TSC_OFFSET), true);
    expect_reason("read-high-exits", REASON_VMREAD);
}

// A field that does not exist, and no shadow VMCS.
static void failures(void)
{
    enum { MISSING = 0x6bfe };
    section = "VMREAD and VMWRITE";
    describe(code_vmread, MISSING, false);
    expect_passed("read-missing-field");
    status_is("read-missing-field-flags", RFLAGS_ZF);
    describe(code_vmwrite, MISSING, false);
    expect_passed("write-missing-field");
    status_is("write-missing-field-flags", RFLAGS_ZF);
    describe(code_vmread, GUEST_RIP, false);
    vm_set(VMCS_LINK_POINTER, NO_POINTER);
    expect_passed("read-no-shadow");
    status_is("read-no-shadow-flags", RFLAGS_CF);
    describe(code_vmwrite, GUEST_RIP, false);
    vm_set(VMCS_LINK_POINTER, NO_POINTER);
    expect_passed("write-no-shadow");
    status_is("write-no-shadow-flags", RFLAGS_CF);
}

// Encodings beyond the bitmaps exit always, and so does everything without the control.
static void always(void)
{
    section = "VMCS Shadowing Bitmap Addresses";
    for (unsigned bit = 15; bit < 64; bit++) {
        describe(code_vmread, GUEST_RIP | 1ull << bit, false);
        memset(reads, 0, PAGE);
        expect_reason(name_of("read-bit-%u-exits", bit), REASON_VMREAD);
        describe(code_vmwrite, GUEST_RIP | 1ull << bit, false);
        memset(writes, 0, PAGE);
        expect_reason(name_of("write-bit-%u-exits", bit), REASON_VMWRITE);
    }
    describe(code_vmread, GUEST_RIP, false);
    vm_set(VMCS_LINK_POINTER, NO_POINTER);
    vm_control(WORD_SECONDARY, SECONDARY_VMCS_SHADOWING, false);
    expect_reason("read-without-control", REASON_VMREAD);
    describe(code_vmwrite, GUEST_RIP, false);
    vm_set(VMCS_LINK_POINTER, NO_POINTER);
    vm_control(WORD_SECONDARY, SECONDARY_VMCS_SHADOWING, false);
    expect_reason("write-without-control", REASON_VMWRITE);
    section = "VMREAD";
    describe(code_vmread, GUEST_RIP, false);
    vm_mode(MODE_LONG);
    vm_user();
    vm_run(code_vmread);
    vm_set(EXCEPTION_BITMAP, 1u << VECTOR_GP);
    expect_exception("read-cpl3", VECTOR_GP, 0);
    describe(code_vmread, GUEST_RIP, true);
    vm_mode(MODE_LONG);
    vm_user();
    vm_run(code_vmread);
    vm_set(EXCEPTION_BITMAP, 1u << VECTOR_GP);
    expect_reason("read-cpl3-exits", REASON_VMREAD);
}

// The link pointer has to lead to a shadow VMCS (SDM, "Checks on Guest Non-Register State").
static void link_pointer(void)
{
    section = "Checks on Guest Non-Register State";
    describe(code_vmread, GUEST_RIP, false);
    shadow[0] &= ~SHADOW;
    expect_failed_entry("link-not-a-shadow", REASON_INVALID_GUEST_STATE, 4);
    shadow[0] |= SHADOW;
    describe(code_vmread, GUEST_RIP, false);
    expect_passed("link-shadow");
    describe(code_vmread, GUEST_RIP, false);
    vm_control(WORD_SECONDARY, SECONDARY_VMCS_SHADOWING, false);
    expect_failed_entry("link-shadow-without-control", REASON_INVALID_GUEST_STATE, 4);
}

BUCKET("VMCS shadowing")
{
    section = "VMCS Shadowing Bitmap Addresses";
    if (!can(WORD_SECONDARY, SECONDARY_VMCS_SHADOWING)) {
        vm_reset();
        vm_control(WORD_SECONDARY, SECONDARY_VMCS_SHADOWING, true);
        expect_fail_valid("control-refused", VM_ERROR_ENTRY_CONTROLS);
        skipped("shadowing", "no VMCS shadowing");
        return;
    }
    shadow = page_take();
    reads = page_take();
    writes = page_take();
    shadow[0] = vmx_basic_revision(processor.caps.basic) | SHADOW;
    steps_begin();
    step(PROBE_DO_VMCLEAR, physical(shadow));
    steps_run();
    fields();
    outcomes();
    failures();
    always();
    link_pointer();
}
