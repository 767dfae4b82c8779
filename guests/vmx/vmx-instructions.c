// VMX instructions in root operation: each outcome of each, with all status flags set before, so that an instruction
// that does nothing shows; and the life of a VMCS, from clear to launched, and on another processor.
#include "guests/lib/smp.h"
#include "guests/vmx/lib/vmx.h"

// ---- What a row says ----

// What operands are relative to.
enum base {
    RAW,    // nothing: a field, a type, or no operand
    REGION, // physical address of `region`
    OTHER,  // of `other`
    VMXON,  // of the region of VMXON
};

// How the sequence begins.
enum before {
    NO_VMCS,
    LOADED, // `region` is current
    OFF,    // behind VMXOFF
};

enum due { DUE_ERROR = 0, DUE_SUCCESS = 100, DUE_INVALID, DUE_UD, DUE_GP, DUE_PF_READ, DUE_PF_WRITE };
enum { PF_WRITE = 1 << 1 };

// The flags of a step.
enum {
    UNMAPPED = PROBE_STEP_UNMAPPED,
    NONCANONICAL = PROBE_STEP_NONCANONICAL,
    WITHOUT_VMXE = PROBE_STEP_WITHOUT_VMXE,
    WITHOUT_NE = PROBE_STEP_WITHOUT_NE,
    IN_MEMORY = PROBE_STEP_MEMORY,
};

struct row {
    const char *name;
    enum before before;
    enum probe_instruction instruction;
    enum base base;
    uint64_t operand; // XOR to the base
    uint64_t value, value2;
    uint16_t flags;
    uint16_t due; // enum due, or the number of an error
};

static uint32_t *region, *other; // one page each, with the revision identifier

static uint32_t revision(void)
{
    return vmx_basic_revision(processor.caps.basic);
}

static uint64_t base_of(enum base base)
{
    return base == REGION ? physical(region) : base == OTHER ? physical(other) : 0;
}

static struct probe_step *add(const struct row *r)
{
    uint16_t flags = r->flags | (r->base == VMXON ? PROBE_STEP_VMXON_REGION : 0);
    return step_with(r->instruction, base_of(r->base) ^ r->operand, r->value, r->value2, flags);
}

static void begin(enum before before)
{
    region[0] = other[0] = revision();
    steps_begin();
    if (before == LOADED)
        step(PROBE_DO_VMPTRLD, physical(region));
    if (before == OFF)
        step(PROBE_DO_VMXOFF, 0);
}

static void judge(const char *name, const struct probe_step *s, unsigned due)
{
    switch (due) {
    case DUE_SUCCESS:
        step_succeeds(name, s);
        break;
    case DUE_INVALID:
        step_fails_invalid(name, s);
        break;
    case DUE_UD:
        step_faults(name, s, VECTOR_UD, 0);
        break;
    case DUE_GP:
        step_faults(name, s, VECTOR_GP, 0);
        break;
    case DUE_PF_READ:
        step_faults(name, s, VECTOR_PF, 0);
        break;
    case DUE_PF_WRITE:
        step_faults(name, s, VECTOR_PF, PF_WRITE);
        break;
    default:
        step_fails_valid(name, s, due);
    }
}

static void check_row(const char *name, const struct row *r)
{
    begin(r->before);
    const struct probe_step *s = add(r);
    if (steps_ran(name))
        judge(name, s, r->due);
}

// An instruction that fails by VMfail tells its error where there is a VMCS to tell it in.
static void check_vmfail(const struct row *r)
{
    struct row without = *r;
    without.before = NO_VMCS;
    without.due = DUE_INVALID;
    check_row(r->name, r);
    check_row(name_of("%s-no-vmcs", r->name), &without);
}

static void check_rows(const struct row *rows, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (rows[i].due > DUE_ERROR && rows[i].due < DUE_SUCCESS)
            check_vmfail(&rows[i]);
        else
            check_row(rows[i].name, &rows[i]);
}

// A point for each bit of `bits`, flipped in the operand.
static void check_each_bit(const struct row *r, uint64_t bits)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        if (!(bits >> bit & 1))
            continue;
        struct row one = *r;
        one.operand ^= 1ull << bit;
        check_row(name_of("%s-%u", r->name, bit), &one);
    }
}

enum { UNALIGNED = 0xfff };
static uint64_t beyond_width(void)
{
    return ~0ull << processor.physical_width;
}

// ---- VMXON ----

static void vmxon(void)
{
    // clang-format off
    static const struct row rows[] = {
        {"vmxon-good",                     OFF,    PROBE_DO_VMXON, REGION, .due = DUE_SUCCESS},
        {"vmxon-without-vmxe",             OFF,    PROBE_DO_VMXON, REGION, .flags = WITHOUT_VMXE, .due = DUE_UD},
        {"vmxon-without-ne",               OFF,    PROBE_DO_VMXON, REGION, .flags = WITHOUT_NE, .due = DUE_GP},
        {"vmxon-operand-unmapped",         OFF,    PROBE_DO_VMXON, REGION, .flags = UNMAPPED, .due = DUE_PF_READ},
        {"vmxon-operand-noncanonical",     OFF,    PROBE_DO_VMXON, REGION, .flags = NONCANONICAL, .due = DUE_GP},
        {"vmxon-without-vmxe-unmapped",    OFF,    PROBE_DO_VMXON, REGION, .flags = WITHOUT_VMXE | UNMAPPED, .due = DUE_UD},
        {"vmxon-without-ne-unmapped",      OFF,    PROBE_DO_VMXON, REGION, .flags = WITHOUT_NE | UNMAPPED, .due = DUE_GP},
        {"vmxon-in-root",                  LOADED, PROBE_DO_VMXON, OTHER,  .due = VM_ERROR_VMXON_IN_ROOT},
        {"vmxon-in-root-same-region",      LOADED, PROBE_DO_VMXON, VMXON,  .due = VM_ERROR_VMXON_IN_ROOT},
        {"vmxon-in-root-unaligned",        LOADED, PROBE_DO_VMXON, OTHER,  .operand = 1, .due = VM_ERROR_VMXON_IN_ROOT},
        {"vmxon-in-root-operand-unmapped", LOADED, PROBE_DO_VMXON, OTHER,  .flags = UNMAPPED, .due = VM_ERROR_VMXON_IN_ROOT},
    };
    // clang-format on
    section = "VMXON";
    check_rows(rows, array_size(rows));
    struct row address = {"vmxon-unaligned", OFF, PROBE_DO_VMXON, REGION, .due = DUE_INVALID};
    check_each_bit(&address, UNALIGNED);
    address.name = "vmxon-beyond-width";
    check_each_bit(&address, beyond_width());
    skipped("vmxon-without-pe", "the hypervisor does not leave protected mode");
    skipped("vmxon-without-pg", "the hypervisor does not turn paging off");
    skipped("vmxon-a20m", "firmware's business: nothing masks address bit 20 any more");
}

static void vmxon_revision(void)
{
    for (unsigned bit = 0; bit < 32; bit++) {
        const char *name = name_of("vmxon-revision-bit-%u", bit);
        begin(OFF);
        region[0] = revision() ^ 1u << bit;
        const struct probe_step *s = step(PROBE_DO_VMXON, physical(region));
        if (steps_ran(name))
            judge(name, s, DUE_INVALID);
    }
}

// VMXON leaves no VMCS current; one that fails does not enter VMX operation.
static void vmxon_effect(void)
{
    begin(LOADED);
    step(PROBE_DO_VMCLEAR, physical(region));
    step(PROBE_DO_VMXOFF, 0);
    step(PROBE_DO_VMXON, physical(other));
    const struct probe_step *current = step(PROBE_DO_VMPTRST, 0);
    const struct probe_step *again = step(PROBE_DO_VMXON, physical(other));
    if (steps_ran("vmxon-no-vmcs-is-current")) {
        expect_equal("vmxon-no-vmcs-is-current", "current-VMCS pointer", ~0ull, current->value);
        judge("vmxon-twice", again, DUE_INVALID);
    }
    begin(OFF);
    step(PROBE_DO_VMXON, physical(region) | 1);
    const struct probe_step *s = step(PROBE_DO_VMPTRST, 0);
    if (steps_ran("vmxon-failed-stays-outside"))
        judge("vmxon-failed-stays-outside", s, DUE_UD);
}

// ---- VMXOFF, and everything outside VMX operation ----

static void vmxoff(void)
{
    // clang-format off
    static const struct row rows[] = {
        {"vmxoff-good",              NO_VMCS, PROBE_DO_VMXOFF,   RAW,    .due = DUE_SUCCESS},
        {"vmxoff-outside",           OFF,     PROBE_DO_VMXOFF,   RAW,    .due = DUE_UD},
        {"vmclear-outside",          OFF,     PROBE_DO_VMCLEAR,  REGION, .due = DUE_UD},
        {"vmptrld-outside",          OFF,     PROBE_DO_VMPTRLD,  REGION, .due = DUE_UD},
        {"vmptrst-outside",          OFF,     PROBE_DO_VMPTRST,  RAW,    .due = DUE_UD},
        {"vmread-outside",           OFF,     PROBE_DO_VMREAD,   RAW,    .operand = GUEST_RIP, .due = DUE_UD},
        {"vmwrite-outside",          OFF,     PROBE_DO_VMWRITE,  RAW,    .operand = GUEST_RIP, .due = DUE_UD},
        {"vmlaunch-outside",         OFF,     PROBE_DO_VMLAUNCH, RAW,    .due = DUE_UD},
        {"vmresume-outside",         OFF,     PROBE_DO_VMRESUME, RAW,    .due = DUE_UD},
        {"invept-outside",           OFF,     PROBE_DO_INVEPT,   RAW,    .operand = 2, .due = DUE_UD},
        {"invvpid-outside",          OFF,     PROBE_DO_INVVPID,  RAW,    .operand = 2, .due = DUE_UD},
        {"vmcall-outside",           OFF,     PROBE_DO_VMCALL,   RAW,    .due = DUE_UD},
        {"vmfunc-outside",           OFF,     PROBE_DO_VMFUNC,   RAW,    .due = DUE_UD},
        {"vmptrst-outside-unmapped", OFF,     PROBE_DO_VMPTRST,  RAW,    .flags = UNMAPPED, .due = DUE_UD},
        {"vmclear-outside-unmapped", OFF,     PROBE_DO_VMCLEAR,  REGION, .flags = UNMAPPED, .due = DUE_UD},
    };
    // clang-format on
    section = "VMX Instruction Reference";
    check_rows(rows, array_size(rows));
}

// ---- VMCLEAR ----

static void vmclear(void)
{
    // clang-format off
    static const struct row rows[] = {
        {"vmclear-good",                 NO_VMCS, PROBE_DO_VMCLEAR, REGION, .due = DUE_SUCCESS},
        {"vmclear-current",              LOADED,  PROBE_DO_VMCLEAR, REGION, .due = DUE_SUCCESS},
        {"vmclear-other",                LOADED,  PROBE_DO_VMCLEAR, OTHER,  .due = DUE_SUCCESS},
        {"vmclear-unaligned",            LOADED,  PROBE_DO_VMCLEAR, OTHER,  .operand = 8, .due = VM_ERROR_VMCLEAR_ADDRESS},
        {"vmclear-vmxon-pointer",        LOADED,  PROBE_DO_VMCLEAR, VMXON,  .due = VM_ERROR_VMCLEAR_VMXON_POINTER},
        {"vmclear-vmxon-unaligned",      LOADED,  PROBE_DO_VMCLEAR, VMXON,  .operand = 8, .due = VM_ERROR_VMCLEAR_ADDRESS},
        {"vmclear-operand-unmapped",     LOADED,  PROBE_DO_VMCLEAR, OTHER,  .flags = UNMAPPED, .due = DUE_PF_READ},
        {"vmclear-operand-noncanonical", LOADED,  PROBE_DO_VMCLEAR, OTHER,  .flags = NONCANONICAL, .due = DUE_GP},
    };
    // clang-format on
    section = "VMCLEAR";
    check_rows(rows, array_size(rows));
    struct row address = {"vmclear-unaligned", LOADED, PROBE_DO_VMCLEAR, OTHER,
                          .due = VM_ERROR_VMCLEAR_ADDRESS};
    check_each_bit(&address, UNALIGNED);
    address.name = "vmclear-beyond-width";
    check_each_bit(&address, beyond_width());
    begin(LOADED);
    other[0] = revision() ^ 1;
    const struct probe_step *s = step(PROBE_DO_VMCLEAR, physical(other));
    if (steps_ran("vmclear-any-revision"))
        judge("vmclear-any-revision", s, DUE_SUCCESS);
}

static void current_is(const char *name, const struct probe_step *s, uint64_t expected)
{
    expect_equal(name, "current-VMCS pointer", expected, s->value);
}

static void vmclear_effect(void)
{
    begin(LOADED);
    step(PROBE_DO_VMCLEAR, physical(other));
    const struct probe_step *kept = step(PROBE_DO_VMPTRST, 0);
    step(PROBE_DO_VMCLEAR, physical(region));
    const struct probe_step *none = step(PROBE_DO_VMPTRST, 0);
    if (steps_ran("vmclear-of-another-keeps-current")) {
        current_is("vmclear-of-another-keeps-current", kept, physical(region));
        current_is("vmclear-of-current-leaves-none", none, ~0ull);
    }
}

// ---- VMPTRLD, VMPTRST ----

static void vmptrld(void)
{
    // clang-format off
    static const struct row rows[] = {
        {"vmptrld-good",                 NO_VMCS, PROBE_DO_VMPTRLD, REGION, .due = DUE_SUCCESS},
        {"vmptrld-current",              LOADED,  PROBE_DO_VMPTRLD, REGION, .due = DUE_SUCCESS},
        {"vmptrld-other",                LOADED,  PROBE_DO_VMPTRLD, OTHER,  .due = DUE_SUCCESS},
        {"vmptrld-unaligned",            LOADED,  PROBE_DO_VMPTRLD, OTHER,  .operand = 8, .due = VM_ERROR_VMPTRLD_ADDRESS},
        {"vmptrld-vmxon-pointer",        LOADED,  PROBE_DO_VMPTRLD, VMXON,  .due = VM_ERROR_VMPTRLD_VMXON_POINTER},
        {"vmptrld-vmxon-unaligned",      LOADED,  PROBE_DO_VMPTRLD, VMXON,  .operand = 8, .due = VM_ERROR_VMPTRLD_ADDRESS},
        {"vmptrld-operand-unmapped",     LOADED,  PROBE_DO_VMPTRLD, OTHER,  .flags = UNMAPPED, .due = DUE_PF_READ},
        {"vmptrld-operand-noncanonical", LOADED,  PROBE_DO_VMPTRLD, OTHER,  .flags = NONCANONICAL, .due = DUE_GP},
        {"vmptrst-good",                 LOADED,  PROBE_DO_VMPTRST, RAW,    .due = DUE_SUCCESS},
        {"vmptrst-none",                 NO_VMCS, PROBE_DO_VMPTRST, RAW,    .due = DUE_SUCCESS},
        {"vmptrst-operand-unmapped",     LOADED,  PROBE_DO_VMPTRST, RAW,    .flags = UNMAPPED, .due = DUE_PF_WRITE},
        {"vmptrst-operand-noncanonical", LOADED,  PROBE_DO_VMPTRST, RAW,    .flags = NONCANONICAL, .due = DUE_GP},
    };
    // clang-format on
    section = "VMPTRLD";
    check_rows(rows, array_size(rows));
    struct row address = {"vmptrld-unaligned", LOADED, PROBE_DO_VMPTRLD, OTHER,
                          .due = VM_ERROR_VMPTRLD_ADDRESS};
    check_each_bit(&address, UNALIGNED);
    address.name = "vmptrld-beyond-width";
    check_each_bit(&address, beyond_width());
}

// Bit 31 makes a shadow VMCS, where there are such.
static void vmptrld_revision(void)
{
    bool shadows = can(WORD_SECONDARY, SECONDARY_VMCS_SHADOWING);
    for (unsigned bit = 0; bit < 32; bit++) {
        const char *name = name_of("vmptrld-revision-bit-%u", bit);
        begin(LOADED);
        other[0] = revision() ^ 1u << bit;
        const struct probe_step *s = step(PROBE_DO_VMPTRLD, physical(other));
        if (steps_ran(name))
            judge(name, s, bit == 31 && shadows ? DUE_SUCCESS : VM_ERROR_VMPTRLD_REVISION);
    }
}

static void vmptrld_effect(void)
{
    begin(LOADED);
    const struct probe_step *first = step(PROBE_DO_VMPTRST, 0);
    step(PROBE_DO_VMPTRLD, physical(other));
    const struct probe_step *second = step(PROBE_DO_VMPTRST, 0);
    step(PROBE_DO_VMPTRLD, physical(region) | 1);
    const struct probe_step *kept = step(PROBE_DO_VMPTRST, 0);
    const struct probe_step *error = step(PROBE_DO_VMREAD, VM_INSTRUCTION_ERROR);
    step(PROBE_DO_VMPTRST, 0);
    if (steps_ran("vmptrst-first")) {
        current_is("vmptrst-first", first, physical(region));
        current_is("vmptrst-second", second, physical(other));
        current_is("vmptrld-failed-keeps-current", kept, physical(other));
        expect_equal("error-is-in-the-current-vmcs", "VM-instruction error", VM_ERROR_VMPTRLD_ADDRESS,
                     error->value);
    }
}

// A success does not change the error of an earlier failure.
static void error_stays(void)
{
    begin(LOADED);
    step(PROBE_DO_VMPTRLD, physical(other) | 1);
    step(PROBE_DO_VMPTRST, 0);
    const struct probe_step *error = step(PROBE_DO_VMREAD, VM_INSTRUCTION_ERROR);
    if (steps_ran("error-stays-over-success"))
        expect_equal("error-stays-over-success", "VM-instruction error", VM_ERROR_VMPTRLD_ADDRESS,
                     error->value);
}

// ---- VMREAD, VMWRITE: what does not depend on the field ----

static void vmread_vmwrite(void)
{
    enum { MISSING = 0x1ffe }; // bit 12 of an encoding is 0
    // clang-format off
    static const struct row rows[] = {
        {"vmread-no-vmcs",                 NO_VMCS, PROBE_DO_VMREAD,  RAW, .operand = GUEST_RIP, .due = DUE_INVALID},
        {"vmread-memory-no-vmcs",          NO_VMCS, PROBE_DO_VMREAD,  RAW, .operand = GUEST_RIP, .flags = IN_MEMORY, .due = DUE_INVALID},
        {"vmread-no-vmcs-missing-field",   NO_VMCS, PROBE_DO_VMREAD,  RAW, .operand = MISSING, .due = DUE_INVALID},
        {"vmread-no-vmcs-unmapped",        NO_VMCS, PROBE_DO_VMREAD,  RAW, .operand = GUEST_RIP, .flags = UNMAPPED, .due = DUE_INVALID},
        {"vmread-missing-field-unmapped",  LOADED,  PROBE_DO_VMREAD,  RAW, .operand = MISSING, .flags = UNMAPPED, .due = VM_ERROR_UNSUPPORTED_FIELD},
        {"vmread-unmapped",                LOADED,  PROBE_DO_VMREAD,  RAW, .operand = GUEST_RIP, .flags = UNMAPPED, .due = DUE_PF_WRITE},
        {"vmread-noncanonical",            LOADED,  PROBE_DO_VMREAD,  RAW, .operand = GUEST_RIP, .flags = NONCANONICAL, .due = DUE_GP},
        {"vmread-good",                    LOADED,  PROBE_DO_VMREAD,  RAW, .operand = GUEST_RIP, .due = DUE_SUCCESS},
        {"vmread-memory-good",             LOADED,  PROBE_DO_VMREAD,  RAW, .operand = GUEST_RIP, .flags = IN_MEMORY, .due = DUE_SUCCESS},
        {"vmwrite-no-vmcs",                NO_VMCS, PROBE_DO_VMWRITE, RAW, .operand = GUEST_RIP, .due = DUE_INVALID},
        {"vmwrite-memory-no-vmcs",         NO_VMCS, PROBE_DO_VMWRITE, RAW, .operand = GUEST_RIP, .flags = IN_MEMORY, .due = DUE_INVALID},
        {"vmwrite-no-vmcs-missing-field",  NO_VMCS, PROBE_DO_VMWRITE, RAW, .operand = MISSING, .due = DUE_INVALID},
        {"vmwrite-no-vmcs-unmapped",       NO_VMCS, PROBE_DO_VMWRITE, RAW, .operand = GUEST_RIP, .flags = UNMAPPED, .due = DUE_INVALID},
        {"vmwrite-unmapped",               LOADED,  PROBE_DO_VMWRITE, RAW, .operand = GUEST_RIP, .flags = UNMAPPED, .due = DUE_PF_READ},
        {"vmwrite-missing-field-unmapped", LOADED,  PROBE_DO_VMWRITE, RAW, .operand = MISSING, .flags = UNMAPPED, .due = DUE_PF_READ},
        {"vmwrite-noncanonical",           LOADED,  PROBE_DO_VMWRITE, RAW, .operand = GUEST_RIP, .flags = NONCANONICAL, .due = DUE_GP},
        {"vmwrite-good",                   LOADED,  PROBE_DO_VMWRITE, RAW, .operand = GUEST_RIP, .due = DUE_SUCCESS},
        {"vmwrite-memory-good",            LOADED,  PROBE_DO_VMWRITE, RAW, .operand = GUEST_RIP, .flags = IN_MEMORY, .due = DUE_SUCCESS},
    };
    // clang-format on
    section = "VMREAD and VMWRITE";
    check_rows(rows, array_size(rows));
}

// ---- INVEPT, INVVPID ----

enum { INVEPT_SINGLE = 1, INVEPT_ALL = 2 };

static void invept_type(uint64_t type, const char *name, uint64_t eptp, bool offered)
{
    struct row r = {name,
                    LOADED,
                    PROBE_DO_INVEPT,
                    RAW,
                    .operand = type,
                    .value = eptp,
                    .due = offered ? DUE_SUCCESS : VM_ERROR_INVALIDATE_OPERAND};
    check_rows(&r, 1);
}

static void invept_pointers(uint64_t eptp)
{
    static const struct {
        const char *name;
        uint64_t flip;
    } bad[] = {
        {"invept-single-memory-type-2", 2 ^ 6  },
        {"invept-single-memory-type-7", 7 ^ 6  },
        {"invept-single-walk-length-1", 3 << 3 },
        {"invept-single-walk-length-2", 2 << 3 },
        {"invept-single-walk-length-7", 5 << 3 },
        {"invept-single-bit-8",         1 << 8 },
        {"invept-single-bit-11",        1 << 11},
    };
    for (unsigned i = 0; i < array_size(bad); i++)
        invept_type(INVEPT_SINGLE, bad[i].name, eptp ^ bad[i].flip, false);
    for (uint64_t bits = beyond_width(); bits; bits &= bits - 1)
        invept_type(INVEPT_SINGLE, name_of("invept-single-beyond-width-%d", __builtin_ctzll(bits)),
                    eptp | (bits & -bits), false);
}

static void invept(void)
{
    uint64_t eptp = vm_template.value[AT_EPT_POINTER], caps = processor.caps.ept_vpid;
    section = "INVEPT";
    if (!(caps & EPT_CAP_INVEPT)) {
        struct row r = {"invept-not-there",    LOADED,       PROBE_DO_INVEPT, RAW,
                        .operand = INVEPT_ALL, .due = DUE_UD};
        check_row(r.name, &r);
        return;
    }
    invept_type(0, "invept-type-0", eptp, false);
    invept_type(INVEPT_SINGLE, "invept-single", eptp, caps & EPT_CAP_INVEPT_SINGLE);
    invept_type(INVEPT_ALL, "invept-all", eptp, caps & EPT_CAP_INVEPT_ALL);
    invept_type(INVEPT_ALL, "invept-all-any-pointer", ~0ull, caps & EPT_CAP_INVEPT_ALL);
    invept_type(3, "invept-type-3", eptp, false);
    invept_type(4, "invept-type-4", eptp, false);
    invept_type(INVEPT_ALL | 1ull << 32, "invept-type-bit-32", eptp, false);
    invept_type(INVEPT_ALL | 1ull << 63, "invept-type-bit-63", eptp, false);
    if (caps & EPT_CAP_INVEPT_SINGLE)
        invept_pointers(eptp);
    // clang-format off
    static const struct row rows[] = {
        {"invept-operand-unmapped",     LOADED, PROBE_DO_INVEPT, RAW, .operand = INVEPT_ALL, .flags = UNMAPPED, .due = DUE_PF_READ},
        {"invept-operand-noncanonical", LOADED, PROBE_DO_INVEPT, RAW, .operand = INVEPT_ALL, .flags = NONCANONICAL, .due = DUE_GP},
        {"invept-bad-type-unmapped",    LOADED, PROBE_DO_INVEPT, RAW, .operand = 0, .flags = UNMAPPED, .due = VM_ERROR_INVALIDATE_OPERAND},
    };
    // clang-format on
    check_rows(rows, array_size(rows));
}

// clang-format off
static const struct invvpid_type {
    const char *name;
    uint64_t type;
    bool needs_vpid, needs_address; // other than 0; canonical
    uint64_t offered;               // bit of IA32_VMX_EPT_VPID_CAP
} invvpid_types[] = {
    {"invvpid-address",        0, true,  true,  EPT_CAP_INVVPID_ADDRESS },
    {"invvpid-single",         1, true,  false, EPT_CAP_INVVPID_SINGLE },
    {"invvpid-all",            2, false, false, EPT_CAP_INVVPID_ALL },
    {"invvpid-single-globals", 3, true,  false, EPT_CAP_INVVPID_SINGLE_NOT_GLOBAL },
    {"invvpid-type-4",         4, false, false, 0 },
    {"invvpid-type-bit-32",    2 | 1ull << 32, false, false, 0 },
    {"invvpid-type-bit-63",    2 | 1ull << 63, false, false, 0 },
};
// clang-format on

static void invvpid_row(const char *name, uint64_t type, uint64_t vpid, uint64_t address, bool good)
{
    struct row r = {name,
                    LOADED,
                    PROBE_DO_INVVPID,
                    RAW,
                    .operand = type,
                    .value = vpid,
                    .value2 = address,
                    .due = good ? DUE_SUCCESS : VM_ERROR_INVALIDATE_OPERAND};
    check_rows(&r, 1);
}

static void invvpid_type(const struct invvpid_type *t)
{
    uint64_t vpid = vm_template.value[AT_VIRTUAL_PROCESSOR_ID], edge = 1ull << (processor.linear_width - 1);
    bool offered = processor.caps.ept_vpid & t->offered;
    invvpid_row(t->name, t->type, vpid, 0, offered);
    if (!offered)
        return;
    invvpid_row(name_of("%s-vpid-0", t->name), t->type, 0, 0, !t->needs_vpid);
    invvpid_row(name_of("%s-vpid-ffff", t->name), t->type, 0xffff, 0, true);
    invvpid_row(name_of("%s-reserved-16", t->name), t->type, vpid | 1 << 16, 0, false);
    invvpid_row(name_of("%s-reserved-63", t->name), t->type, vpid | 1ull << 63, 0, false);
    invvpid_row(name_of("%s-last-canonical", t->name), t->type, vpid, edge - 1, true);
    invvpid_row(name_of("%s-first-noncanonical", t->name), t->type, vpid, edge, !t->needs_address);
    invvpid_row(name_of("%s-high-canonical", t->name), t->type, vpid, -edge, true);
    invvpid_row(name_of("%s-below-high", t->name), t->type, vpid, -edge - 1, !t->needs_address);
}

static void invvpid(void)
{
    // clang-format off
    static const struct row rows[] = {
        {"invvpid-operand-unmapped",     LOADED, PROBE_DO_INVVPID, RAW, .operand = 2, .flags = UNMAPPED, .due = DUE_PF_READ},
        {"invvpid-operand-noncanonical", LOADED, PROBE_DO_INVVPID, RAW, .operand = 2, .flags = NONCANONICAL, .due = DUE_GP},
        {"invvpid-bad-type-unmapped",    LOADED, PROBE_DO_INVVPID, RAW, .operand = 4, .flags = UNMAPPED, .due = VM_ERROR_INVALIDATE_OPERAND},
    };
    // clang-format on
    section = "INVVPID";
    if (!(processor.caps.ept_vpid & EPT_CAP_INVVPID)) {
        struct row r = {"invvpid-not-there", LOADED, PROBE_DO_INVVPID, RAW, .operand = 2, .due = DUE_UD};
        check_row(r.name, &r);
        return;
    }
    for (unsigned i = 0; i < array_size(invvpid_types); i++)
        invvpid_type(&invvpid_types[i]);
    check_rows(rows, array_size(rows));
}

// ---- VMCALL, VMFUNC ----

static void vmcall_vmfunc(void)
{
    // clang-format off
    static const struct row rows[] = {
        {"vmcall-in-root",         LOADED,  PROBE_DO_VMCALL, RAW, .due = VM_ERROR_VMCALL_IN_ROOT},
        {"vmfunc-in-root",         LOADED,  PROBE_DO_VMFUNC, RAW, .due = DUE_UD},
        {"vmfunc-in-root-no-vmcs", NO_VMCS, PROBE_DO_VMFUNC, RAW, .due = DUE_UD},
    };
    // clang-format on
    section = "VMCALL and VMFUNC";
    check_rows(rows, array_size(rows));
}

// ---- VMLAUNCH, VMRESUME, and the launch state ----

static const struct {
    const char *name;
    uint32_t flag;
} entries[] = {
    {"vmlaunch", 0           },
    {"vmresume", PROBE_RESUME},
};

// `state`: the VMCS is launched. The attempt is the next, and each point an attempt of its own.
static void enter_once(void)
{
    vm_reset();
    vm_enter();
}

static bool status_is(const char *name, uint64_t expected)
{
    enum { STATUS = RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF };
    return expect_equal(name, "status flags", expected, result.instruction_flags & STATUS);
}

static void entries_that_fail(void)
{
    section = "VMLAUNCH and VMRESUME";
    for (unsigned i = 0; i < array_size(entries); i++) {
        const char *name = entries[i].name;
        bool resume = entries[i].flag;
        vm_reset();
        vm_flags = entries[i].flag | PROBE_NO_VMCS;
        expect_fail_invalid(name_of("%s-no-vmcs", name));
        status_is(name_of("%s-no-vmcs-flags", name), RFLAGS_CF);
        vm_reset();
        vm_flags = entries[i].flag | PROBE_NO_VMCS | PROBE_MOV_SS;
        expect_fail_invalid(name_of("%s-no-vmcs-mov-ss", name));
        vm_reset();
        vm_flags = entries[i].flag | PROBE_MOV_SS;
        expect_fail_valid(name_of("%s-clear-mov-ss", name), VM_ERROR_ENTRY_MOV_SS);
        status_is(name_of("%s-clear-mov-ss-flags", name), RFLAGS_ZF);
        enter_once();
        vm_flags = entries[i].flag | PROBE_MOV_SS | PROBE_KEEP;
        expect_fail_valid(name_of("%s-launched-mov-ss", name), VM_ERROR_ENTRY_MOV_SS);
        vm_reset();
        vm_flags = entries[i].flag;
        if (resume)
            expect_fail_valid("vmresume-clear", VM_ERROR_VMRESUME_NOT_LAUNCHED);
        else
            expect_entered("vmlaunch-clear");
        enter_once();
        vm_flags = entries[i].flag | PROBE_KEEP;
        if (resume)
            expect_entered("vmresume-launched");
        else
            expect_fail_valid("vmlaunch-launched", VM_ERROR_VMLAUNCH_NOT_CLEAR);
    }
}

// The launch state is checked before the fields are (SDM, "Basic VM-Entry Checks").
static void launch_state_first(void)
{
    enter_once();
    vm_set(CR3_TARGET_COUNT, ~0u);
    vm_flags = PROBE_KEEP;
    expect_fail_valid("launch-state-before-controls", VM_ERROR_VMLAUNCH_NOT_CLEAR);
    vm_reset();
    vm_set(CR3_TARGET_COUNT, ~0u);
    vm_flags = PROBE_MOV_SS;
    expect_fail_valid("mov-ss-before-controls", VM_ERROR_ENTRY_MOV_SS);
}

// Only an entry that ends in an exit makes a VMCS launched: an error does not, a failed entry does not.
static void failed_entries_do_not_launch(void)
{
    section = "VM-Entry Failures During or After Loading Guest State";
    static const struct {
        const char *name;
        uint32_t field;
        uint64_t value;
    } causes[] = {
        {"controls",    CR3_TARGET_COUNT, ~0u},
        {"host-state",  HOST_CR4,         0  },
        {"guest-state", GUEST_RFLAGS,     0  },
    };
    for (unsigned i = 0; i < array_size(causes); i++) {
        vm_reset();
        vm_set(causes[i].field, causes[i].value);
        const char *why = vm_enter();
        vm_set(causes[i].field,
               vm_get(causes[i].field) ^ causes[i].value ^ vm_template.value[image_at(causes[i].field)]);
        vm_flags = PROBE_RESUME;
        if (!why)
            why = vm_again();
        expect_true(name_of("%s-fail-stays-clear", causes[i].name),
                    !why && result.outcome == PROBE_FAIL_VALID &&
                        result.error == VM_ERROR_VMRESUME_NOT_LAUNCHED,
                    "expected VM-instruction error 5 of VMRESUME\ngot %s", result_words());
        vm_flags = 0;
        why = vm_again();
        expect_true(name_of("%s-fail-then-launches", causes[i].name), !why && result.outcome == PROBE_ENTERED,
                    "expected an entry by VMLAUNCH\ngot %s", result_words());
    }
}

// ---- Contents: each VMCS its own, kept over VMCLEAR ----

static void two_regions(void)
{
    section = "Software Use of Virtual-Machine Control Structures";
    begin(LOADED);
    step_with(PROBE_DO_VMWRITE, GUEST_RIP, 0x1111, 0, 0);
    step(PROBE_DO_VMPTRLD, physical(other));
    step_with(PROBE_DO_VMWRITE, GUEST_RIP, 0x2222, 0, 0);
    step(PROBE_DO_VMPTRLD, physical(region));
    const struct probe_step *first = step(PROBE_DO_VMREAD, GUEST_RIP);
    step(PROBE_DO_VMCLEAR, physical(region));
    step(PROBE_DO_VMPTRLD, physical(region));
    const struct probe_step *cleared = step(PROBE_DO_VMREAD, GUEST_RIP);
    step(PROBE_DO_VMPTRLD, physical(other));
    const struct probe_step *second = step(PROBE_DO_VMREAD, GUEST_RIP);
    if (!steps_ran("contents-apart"))
        return;
    expect_equal("contents-apart", "GUEST_RIP of the first", 0x1111, first->value);
    expect_equal("contents-apart-second", "GUEST_RIP of the second", 0x2222, second->value);
    expect_equal("contents-kept-over-vmclear", "GUEST_RIP", 0x1111, cleared->value);
}

// After VMXOFF and VMXON, what was cleared before is still there.
static void over_vmxoff(void)
{
    begin(LOADED);
    step_with(PROBE_DO_VMWRITE, GUEST_RIP, 0x3333, 0, 0);
    step(PROBE_DO_VMCLEAR, physical(region));
    step(PROBE_DO_VMXOFF, 0);
    step(PROBE_DO_VMXON, physical(other));
    step(PROBE_DO_VMPTRLD, physical(region));
    const struct probe_step *s = step(PROBE_DO_VMREAD, GUEST_RIP);
    if (steps_ran("contents-kept-over-vmxoff"))
        expect_equal("contents-kept-over-vmxoff", "GUEST_RIP", 0x3333, s->value);
}

// ---- To another processor ----

enum { THERE = 4 };
static struct probe_step there[THERE];
static volatile sword_t opened, executed;
static volatile unsigned there_on;
static volatile bool done;
static char stack[CPU_STACK_BYTES] __attribute__((aligned(16)));
CODE(landing_there, "");

static void on_the_other(unsigned id)
{
    (void)id;
    there_on = (unsigned)hypercall(HC_PROBE, PROBE_PROCESSOR, 0, 0, 0, 0);
    opened = hypercall(HC_PROBE, PROBE_OPEN, (word_t)landing_there, (word_t)scratch_page, 0, 0);
    executed = hypercall(HC_PROBE, PROBE_RUN, (word_t)there, array_size(there), 0, 0);
    done = true;
}

static const char *start_the_other(void)
{
    enum { PATIENCE = 100000 };
    if (cpu_count() < 2)
        return "this machine has one vCPU";
    apic_map();
    apic_enable(true);
    if (!cpu_start(1, on_the_other, stack + sizeof stack))
        return "the second vCPU did not start";
    for (unsigned i = 0; !done && i < PATIENCE; i++)
        yield();
    if (!done || opened < 0 || executed < 0)
        return "the second vCPU could not use the probe";
    if (there_on == (unsigned)hypercall(HC_PROBE, PROBE_PROCESSOR, 0, 0, 0, 0))
        return "both vCPUs of this machine run on the same processor";
    return NULL;
}

// A field that this processor does not have; 0: it has all.
static uint32_t absent_field(void)
{
    for (unsigned i = 0; i < VMCS_FIELD_COUNT; i++)
        if (!field_exists(vmcs_fields[i].encoding))
            return vmcs_fields[i].encoding;
    return 0;
}

// Written and cleared here; loaded, read and written there; then cleared there and read here.
static void to_another_processor(void)
{
    section = "Software Use of Virtual-Machine Control Structures";
    there[0] = (struct probe_step){.instruction = PROBE_DO_VMPTRLD, .operand = physical(region)};
    there[1] = (struct probe_step){.instruction = PROBE_DO_VMREAD, .operand = GUEST_RIP};
    there[2] = (struct probe_step){.instruction = PROBE_DO_VMWRITE, .operand = GUEST_RSP, .value = 0x5555};
    there[3] = (struct probe_step){.instruction = PROBE_DO_VMREAD, .operand = absent_field()};
    begin(LOADED);
    step_with(PROBE_DO_VMWRITE, GUEST_RIP, 0x4444, 0, 0);
    step(PROBE_DO_VMCLEAR, physical(region));
    const char *why = steps_run();
    if (!why)
        why = start_the_other();
    if (why) {
        skipped("another-processor-loads", why);
        skipped("another-processor-reads", why);
        skipped("another-processor-writes", why);
        skipped("another-processor-absent-field", why);
        return;
    }
    judge("another-processor-loads", &there[0], DUE_SUCCESS);
    expect_equal("another-processor-reads", "GUEST_RIP", 0x4444, there[1].value);
    if (absent_field())
        judge("another-processor-absent-field", &there[3], VM_ERROR_UNSUPPORTED_FIELD);
    else
        skipped("another-processor-absent-field", "the processor has every field");
    begin(LOADED);
    const struct probe_step *s = step(PROBE_DO_VMREAD, GUEST_RSP);
    if (steps_ran("another-processor-writes"))
        expect_equal("another-processor-writes", "GUEST_RSP", 0x5555, s->value);
}

BUCKET("VMX instructions")
{
    region = page_take();
    other = page_take();
    vmxon();
    vmxon_revision();
    vmxon_effect();
    vmxoff();
    vmclear();
    vmclear_effect();
    vmptrld();
    vmptrld_revision();
    vmptrld_effect();
    error_stays();
    vmread_vmwrite();
    invept();
    invvpid();
    vmcall_vmfunc();
    entries_that_fail();
    launch_state_first();
    failed_entries_do_not_launch();
    two_regions();
    over_vmxoff();
    to_another_processor();
}
