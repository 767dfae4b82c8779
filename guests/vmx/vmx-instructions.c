// VMX instructions in root operation: each outcome of each, with all status flags set before, so that an instruction
// that does nothing shows. VMLAUNCH and VMRESUME have a bucket of their own, launch-state.
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
    static const struct {
        uint8_t vector, error_code;
    } faults[] = {
        [DUE_UD - DUE_UD] = {VECTOR_UD, 0       },
        [DUE_GP - DUE_UD] = {VECTOR_GP, 0       },
        [DUE_PF_READ - DUE_UD] = {VECTOR_PF, 0       },
        [DUE_PF_WRITE - DUE_UD] = {VECTOR_PF, PF_WRITE},
    };
    if (due == DUE_SUCCESS)
        step_succeeds(name, s);
    else if (due == DUE_INVALID)
        step_fails_invalid(name, s);
    else if (due >= DUE_UD)
        step_faults(name, s, faults[due - DUE_UD].vector, faults[due - DUE_UD].error_code);
    else
        step_fails_valid(name, s, due);
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

// ---- At CPL 3 and in compatibility mode ----

// clang-format off
static const struct {
    const char *name;
    enum probe_instruction instruction;
    enum base base;
    uint64_t operand;
    unsigned at_cpl3; // enum due, in VMX root operation; elsewhere it is #UD
} privileged[] = {
    {"vmxon",    PROBE_DO_VMXON,    OTHER,  0,         DUE_GP},
    {"vmxoff",   PROBE_DO_VMXOFF,   RAW,    0,         DUE_GP},
    {"vmclear",  PROBE_DO_VMCLEAR,  OTHER,  0,         DUE_GP},
    {"vmptrld",  PROBE_DO_VMPTRLD,  OTHER,  0,         DUE_GP},
    {"vmptrst",  PROBE_DO_VMPTRST,  RAW,    0,         DUE_GP},
    {"vmread",   PROBE_DO_VMREAD,   RAW,    GUEST_RIP, DUE_GP},
    {"vmwrite",  PROBE_DO_VMWRITE,  RAW,    GUEST_RIP, DUE_GP},
    {"vmlaunch", PROBE_DO_VMLAUNCH, RAW,    0,         DUE_GP},
    {"vmresume", PROBE_DO_VMRESUME, RAW,    0,         DUE_GP},
    {"invept",   PROBE_DO_INVEPT,   RAW,    2,         DUE_GP},
    {"invvpid",  PROBE_DO_INVVPID,  RAW,    2,         DUE_GP},
    {"vmcall",   PROBE_DO_VMCALL,   RAW,    0,         DUE_GP},
    {"vmfunc",   PROBE_DO_VMFUNC,   RAW,    0,         DUE_UD},
};
// clang-format on

// VMLAUNCH and VMRESUME only without a current VMCS, for which the probe asks.
static void elsewhere(unsigned n, bool on)
{
    struct row r = {.before = on ? NO_VMCS : OFF,
                    .instruction = privileged[n].instruction,
                    .base = privileged[n].base,
                    .operand = privileged[n].operand};
    const char *where = on ? "" : "-outside";
    r.flags = PROBE_STEP_CPL3;
    r.due = (uint16_t)(on ? privileged[n].at_cpl3 : r.instruction == PROBE_DO_VMXON ? DUE_GP : DUE_UD);
    check_row(name_of("%s%s-cpl3", privileged[n].name, where), &r);
    r.flags = PROBE_STEP_COMPATIBILITY;
    r.due = DUE_UD;
    check_row(name_of("%s%s-compatibility", privileged[n].name, where), &r);
}

static void places(void)
{
    section = "VMX Instruction Reference";
    for (unsigned n = 0; n < array_size(privileged); n++) {
        elsewhere(n, true);
        elsewhere(n, false);
    }
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

// `flip`: what the descriptor differs from a good EPTP in. Types 1 and 2 have to be offered for a success.
static const struct invept_row {
    const char *name;
    uint64_t type, flip;
    uint64_t offered; // bit of IA32_VMX_EPT_VPID_CAP that makes it succeed; 0: nothing does
} invept_rows[] = {
    {"invept-type-0",               0,                       0,       0                    },
    {"invept-single",               INVEPT_SINGLE,           0,       EPT_CAP_INVEPT_SINGLE},
    {"invept-all",                  INVEPT_ALL,              0,       EPT_CAP_INVEPT_ALL   },
    {"invept-all-any-pointer",      INVEPT_ALL,              ~0ull,   EPT_CAP_INVEPT_ALL   },
    {"invept-type-3",               3,                       0,       0                    },
    {"invept-type-4",               4,                       0,       0                    },
    {"invept-type-bit-32",          INVEPT_ALL | 1ull << 32, 0,       0                    },
    {"invept-type-bit-63",          INVEPT_ALL | 1ull << 63, 0,       0                    },
    {"invept-single-memory-type-2", INVEPT_SINGLE,           2 ^ 6,   0                    },
    {"invept-single-memory-type-7", INVEPT_SINGLE,           7 ^ 6,   0                    },
    {"invept-single-walk-length-1", INVEPT_SINGLE,           3 << 3,  0                    },
    {"invept-single-walk-length-2", INVEPT_SINGLE,           2 << 3,  0                    },
    {"invept-single-walk-length-7", INVEPT_SINGLE,           5 << 3,  0                    },
    {"invept-single-bit-8",         INVEPT_SINGLE,           1 << 8,  0                    },
    {"invept-single-bit-11",        INVEPT_SINGLE,           1 << 11, 0                    },
};

static void invept_row(const char *name, const struct invept_row *i, uint64_t flip)
{
    struct row r = {.name = name,
                    .before = LOADED,
                    .instruction = PROBE_DO_INVEPT,
                    .operand = i->type,
                    .value = vm_template.value[AT_EPT_POINTER] ^ flip,
                    .due = processor.caps.ept_vpid & i->offered ? DUE_SUCCESS : VM_ERROR_INVALIDATE_OPERAND};
    check_rows(&r, 1);
}

static void invept(void)
{
    // clang-format off
    static const struct row operands[] = {
        {"invept-operand-unmapped",     LOADED, PROBE_DO_INVEPT, RAW, .operand = INVEPT_ALL, .flags = UNMAPPED, .due = DUE_PF_READ},
        {"invept-operand-noncanonical", LOADED, PROBE_DO_INVEPT, RAW, .operand = INVEPT_ALL, .flags = NONCANONICAL, .due = DUE_GP},
        {"invept-bad-type-unmapped",    LOADED, PROBE_DO_INVEPT, RAW, .operand = 0, .flags = UNMAPPED, .due = VM_ERROR_INVALIDATE_OPERAND},
    };
    static const struct row not_there = {"invept-not-there", LOADED, PROBE_DO_INVEPT, RAW, .operand = INVEPT_ALL, .due = DUE_UD};
    // clang-format on
    static const struct invept_row single = {.type = INVEPT_SINGLE};
    section = "INVEPT";
    if (!(processor.caps.ept_vpid & EPT_CAP_INVEPT)) {
        check_row(not_there.name, &not_there);
        return;
    }
    for (unsigned n = 0; n < array_size(invept_rows); n++)
        invept_row(invept_rows[n].name, &invept_rows[n], invept_rows[n].flip);
    for (uint64_t bits = beyond_width(); bits; bits &= bits - 1)
        invept_row(name_of("invept-single-beyond-width-%d", __builtin_ctzll(bits)), &single, bits & -bits);
    check_rows(operands, array_size(operands));
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

BUCKET("VMX instructions")
{
    region = page_take();
    other = page_take();
    vmxon();
    vmxon_revision();
    vmxon_effect();
    vmxoff();
    places();
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
}
