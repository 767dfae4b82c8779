// HC_PROBE with what no honest test would pass: each is refused with the error that abi/probe.h and docs/probe.md
// name, and attempts work afterwards as before. cmdline= picks: "denied" for a machine without the right, "loop" and
// "spin" for those that their timeout= ends between and inside attempts, "race" for one whose other vCPU changes what
// a call reads, "endless" where another processor watches this one.
#define GUEST_WITH_SDM // it has the names of registers' bits from there
#include "guests/lib/guest.h"
#include "abi/probe.h"
#include "guests/lib/smp.h"
#include "guests/lib/user.h"
#include "sdm/controls.h"
#include "sdm/exit_reason.h"
#include "sdm/vmcs_fields.h"

enum {
    PAGE = 4096,
    OUTSIDE = 1 << 30,
    FOREIGN = PAGE,
    MSR_FREE = 0xc0000082,
    MSR_FORBIDDEN = 0x1b,
    MSR_HARMLESS = 0x20e, // forbidden, too: base of the last variable MTRR, which is off
    SPIN_TIMER = 1 << 19
};
#define ALL_ONES (~(word_t)0)

static struct probe_field fields[PROBE_FIELDS_MAX];
static struct probe_step steps[PROBE_STEPS_MAX];
static struct probe_attempt attempt;
static uint64_t list[2][PAGE / 8] __attribute__((aligned(4096))); // of MSRs: may be loaded, may not
static uint8_t own[PAGE] __attribute__((aligned(4096)));

extern const char landing[], spin[];
__asm__(".pushsection .text\nlanding: vmcall\nspin: jmp spin\n.popsection");

static sword_t probe(word_t op, word_t first, word_t second)
{
    return hypercall(HC_PROBE, op, first, second, 0, 0);
}

static uint64_t physical(const void *at)
{
    return (uint64_t)probe(PROBE_ADDRESS, (word_t)at, 0);
}

static void check_result(const char *name, sword_t expected, sword_t got)
{
    check(got == expected, name, "expected %ld\ngot %ld", (long)expected, (long)got);
}

// ---- Arguments of the call itself ----

struct call {
    const char *name;
    word_t op, first, second;
    sword_t expected;
};

// clang-format off
static const struct call closed[] = { // before PROBE_OPEN
    {"closed-template", PROBE_TEMPLATE, (word_t)fields, 1,  -E_NOT_FOUND},
    {"closed-attempt",  PROBE_ATTEMPT, (word_t)&attempt, 0, -E_NOT_FOUND},
    {"closed-run",      PROBE_RUN, (word_t)steps, 1,        -E_NOT_FOUND},
    {"closed-run-none", PROBE_RUN, (word_t)steps, 0,        -E_NOT_FOUND},
    {"closed-base",     PROBE_BASE, (word_t)fields, 1,      -E_NOT_FOUND},
    {"closed-vmcs",     PROBE_VMCS, 0, 0,                   -E_NOT_FOUND},
    {"open-outside",    PROBE_OPEN, (word_t)landing, OUTSIDE,  -E_BAD_ADDRESS},
    {"open-top",        PROBE_OPEN, (word_t)landing, ALL_ONES, -E_BAD_ADDRESS},
    {"still-closed",    PROBE_VMCS, 0, 0,                   -E_NOT_FOUND},
};
static const struct call calls[] = {
    {"op-next",           PROBE_OP_COUNT, 0, 0,           -E_INVALID},
    {"op-gone",           7,              0, 0,           -E_INVALID},
    {"op-high",           1ull << 32 | PROBE_VMCS, 0, 0,  -E_INVALID},
    {"op-ones",           ALL_ONES, ALL_ONES, ALL_ONES,   -E_INVALID},
    {"template-odd",      PROBE_TEMPLATE, (word_t)fields + 4, 1,                     -E_INVALID},
    {"template-outside",  PROBE_TEMPLATE, OUTSIDE, 1,                                -E_BAD_ADDRESS},
    {"template-wraps",    PROBE_TEMPLATE, ALL_ONES - 7, 1,                           -E_BAD_ADDRESS},
    {"template-too-many", PROBE_TEMPLATE, (word_t)fields, PROBE_FIELDS_MAX + 1,      -E_TOO_BIG},
    {"template-ones",     PROBE_TEMPLATE, (word_t)fields, ALL_ONES,                  -E_TOO_BIG},
    {"base-odd",          PROBE_BASE, (word_t)fields + 1, 1,                         -E_INVALID},
    {"base-outside",      PROBE_BASE, OUTSIDE, 1,                                    -E_BAD_ADDRESS},
    {"base-too-many",     PROBE_BASE, (word_t)fields, PROBE_FIELDS_MAX + 1,          -E_TOO_BIG},
    {"attempt-odd",       PROBE_ATTEMPT, (word_t)&attempt + 4, 0,                    -E_INVALID},
    {"attempt-outside",   PROBE_ATTEMPT, OUTSIDE, 0,                                 -E_BAD_ADDRESS},
    {"attempt-wraps",     PROBE_ATTEMPT, ALL_ONES - 7, 0,                            -E_BAD_ADDRESS},
    {"run-odd",           PROBE_RUN, (word_t)steps + 2, 1,                           -E_INVALID},
    {"run-outside",       PROBE_RUN, OUTSIDE, 1,                                     -E_BAD_ADDRESS},
    {"run-too-many",      PROBE_RUN, (word_t)steps, PROBE_STEPS_MAX + 1,             -E_TOO_BIG},
    {"run-2-to-32",       PROBE_RUN, (word_t)steps, 1ull << 32,                      -E_TOO_BIG},
    {"address-outside",   PROBE_ADDRESS, OUTSIDE, 0,                                 -E_BAD_ADDRESS},
    {"address-ones",      PROBE_ADDRESS, ALL_ONES, 0,                                -E_BAD_ADDRESS},
    {"msr-wide",          PROBE_MSR, 1ull << 32 | MSR_FORBIDDEN, (word_t)fields,     -E_INVALID},
    {"msr-odd",           PROBE_MSR, MSR_FORBIDDEN, (word_t)fields + 1,              -E_INVALID},
    {"msr-outside",       PROBE_MSR, MSR_FORBIDDEN, OUTSIDE,                         -E_BAD_ADDRESS},
    {"cpuid-odd",         PROBE_CPUID, 0, (word_t)fields + 4,                        -E_INVALID},
    {"cpuid-outside",     PROBE_CPUID, 0, OUTSIDE,                                   -E_BAD_ADDRESS},
};

// ---- Attempts ----

enum value { AS_WRITTEN, OWN, LIST_FREE, LIST_FORBIDDEN, EPT_ROOT, SECOND_VMCS };
struct write {
    uint32_t field, flags;
    uint64_t value;
    enum value is; // other than as written: an address that is known when the row runs, XOR `value`
};
enum { WRITES_MAX = 2 };
struct row {
    const char *name;
    sword_t expected;
    uint32_t flags, writes;
    struct write write[WRITES_MAX];
};

static const struct row rows[] = {
    {"flag-unknown",      -E_INVALID, PROBE_FLAGS + 1, 0, {{0}}},
    {"flags-ones",        -E_INVALID, ~0u, 0, {{0}}},
    {"two-signals",       -E_INVALID, PROBE_SEND_NMI | PROBE_SEND_INIT, 0, {{0}}},
    {"three-signals",     -E_INVALID, PROBE_SIGNALS, 0, {{0}}},
    {"field-unknown",     -E_NOT_FOUND, 0, 1, {{0xfffe, 0, 0, 0}}},
    {"field-ones",        -E_NOT_FOUND, 0, 1, {{~0u, 0, 0, 0}}},
    {"field-high-half",   -E_NOT_FOUND, 0, 1, {{IO_BITMAP_A + 1, 0, 0, 0}}},
    {"field-flag",        -E_INVALID, 0, 1, {{GUEST_RIP, PROBE_ABSENT, 0, 0}}},
    {"field-flags-ones",  -E_INVALID, 0, 1, {{GUEST_RIP, ~0u, 0, 0}}},
    {"field-read-only",   -E_INVALID, 0, 1, {{EXIT_REASON, 0, 0, 0}}},
    {"bitmap-foreign",    -E_DENIED, 0, 1, {{IO_BITMAP_A, 0, FOREIGN, 0}}},
    {"bitmap-beyond-ram", -E_DENIED, 0, 1, {{IO_BITMAP_A, 0, 1ull << 38, 0}}},
    {"bitmap-own",        0, 0, 1, {{IO_BITMAP_A, 0, 0, OWN}}},
    {"bitmap-own-odd",    0, 0, 1, {{IO_BITMAP_A, 0, 1, OWN}}},
    {"bitmap-ept-root",   -E_DENIED, 0, 1, {{IO_BITMAP_A, 0, 0, EPT_ROOT}}},
    {"bitmap-vmcs",       -E_DENIED, 0, 1, {{IO_BITMAP_A, 0, 0, SECOND_VMCS}}},
    {"store-ept-root",    -E_DENIED, 0, 2, {{VM_EXIT_MSR_STORE_ADDRESS, 0, 0, EPT_ROOT}, {VM_EXIT_MSR_STORE_COUNT, 0, 1, 0}}},
    {"store-vmcs",        -E_DENIED, 0, 2, {{VM_EXIT_MSR_STORE_ADDRESS, 0, 0, SECOND_VMCS}, {VM_EXIT_MSR_STORE_COUNT, 0, 1, 0}}},
    {"no-ept-root",       -E_DENIED, 0, 2, {{SECONDARY_CONTROLS, 0, 0, 0}, {GUEST_CR3, 0, 0, EPT_ROOT}}},
    {"ept-vmcs",          -E_DENIED, 0, 1, {{EPT_POINTER, 0, 0x1e, SECOND_VMCS}}},
    {"ept-root-odd",      0, 0, 1, {{EPT_POINTER, PROBE_XOR, 1, 0}}},
    {"link-vmcs",         0, 0, 1, {{VMCS_LINK_POINTER, 0, 0, SECOND_VMCS}}},
    {"link-foreign",      -E_DENIED, 0, 1, {{VMCS_LINK_POINTER, 0, FOREIGN, 0}}},
    {"ept-foreign",       -E_DENIED, 0, 1, {{EPT_POINTER, 0, FOREIGN | 0x1e, 0}}},
    {"host-rip",          -E_DENIED, 0, 1, {{HOST_RIP, PROBE_XOR, 1, 0}}},
    {"host-cr3",          -E_DENIED, 0, 1, {{HOST_CR3, PROBE_XOR, PAGE, 0}}},
    {"no-ept-cr3",        -E_DENIED, 0, 2, {{SECONDARY_CONTROLS, 0, 0, 0}, {GUEST_CR3, 0, FOREIGN, 0}}},
    {"no-ept-injection",  -E_DENIED, 0, 2, {{SECONDARY_CONTROLS, 0, 0, 0}, {VM_ENTRY_INTERRUPTION_INFO, 0, 0x80000306, 0}}},
    {"wait-for-sipi",     -E_UNSUPPORTED, 0, 1, {{GUEST_ACTIVITY_STATE, 0, ACTIVITY_WAIT_FOR_SIPI, 0}}},
    {"sipi-by-another",   -E_UNSUPPORTED, PROBE_SEND_INIT, 1, {{GUEST_ACTIVITY_STATE, 0, ACTIVITY_WAIT_FOR_SIPI, 0}}},
    {"hlt-no-timer",      -E_UNSUPPORTED, 0, 2, {{GUEST_ACTIVITY_STATE, 0, ACTIVITY_HLT, 0}, {PIN_BASED_CONTROLS, PROBE_XOR, PIN_PREEMPTION_TIMER, 0}}},
    {"no-end",            -E_UNSUPPORTED, 0, 1, {{PIN_BASED_CONTROLS, PROBE_XOR, PIN_PREEMPTION_TIMER | PIN_EXTERNAL_INTERRUPT_EXITING, 0}}},
    {"list-free",         0, 0, 2, {{VM_ENTRY_MSR_LOAD_ADDRESS, 0, 0, LIST_FREE}, {VM_ENTRY_MSR_LOAD_COUNT, 0, 1, 0}}},
    {"list-forbidden",    -E_DENIED, 0, 2, {{VM_ENTRY_MSR_LOAD_ADDRESS, 0, 0, LIST_FORBIDDEN}, {VM_ENTRY_MSR_LOAD_COUNT, 0, 1, 0}}},
    {"list-second",       -E_DENIED, 0, 2, {{VM_ENTRY_MSR_LOAD_ADDRESS, 0, 16, LIST_FORBIDDEN}, {VM_ENTRY_MSR_LOAD_COUNT, 0, 2, 0}}},
    {"exit-forbidden",    -E_DENIED, 0, 2, {{VM_EXIT_MSR_LOAD_ADDRESS, 0, 0, LIST_FORBIDDEN}, {VM_EXIT_MSR_LOAD_COUNT, 0, 1, 0}}},
    {"list-foreign",      -E_DENIED, 0, 2, {{VM_ENTRY_MSR_LOAD_ADDRESS, 0, FOREIGN, 0}, {VM_ENTRY_MSR_LOAD_COUNT, 0, 1, 0}}},
    {"store-foreign",     -E_DENIED, 0, 2, {{VM_EXIT_MSR_STORE_ADDRESS, 0, FOREIGN, 0}, {VM_EXIT_MSR_STORE_COUNT, 0, 1, 0}}},
    {"list-too-long",     -E_TOO_BIG, 0, 2, {{VM_ENTRY_MSR_LOAD_ADDRESS, 0, 0, LIST_FREE}, {VM_ENTRY_MSR_LOAD_COUNT, 0, PROBE_MSRS_MAX + 1, 0}}},
    {"list-at-ones",      -E_DENIED, 0, 2, {{VM_ENTRY_MSR_LOAD_ADDRESS, 0, ALL_ONES, 0}, {VM_ENTRY_MSR_LOAD_COUNT, 0, 1, 0}}},
    {"list-wraps",        -E_DENIED, 0, 2, {{VM_ENTRY_MSR_LOAD_ADDRESS, 0, ALL_ONES - 15, 0}, {VM_ENTRY_MSR_LOAD_COUNT, 0, 2, 0}}},
    {"list-longest",      -E_TOO_BIG, 0, 2, {{VM_ENTRY_MSR_LOAD_ADDRESS, 0, 0, LIST_FREE}, {VM_ENTRY_MSR_LOAD_COUNT, 0, PROBE_MSRS_MAX, 0}}},
    {"list-ones",         -E_TOO_BIG, 0, 2, {{VM_EXIT_MSR_STORE_ADDRESS, 0, 0, OWN}, {VM_EXIT_MSR_STORE_COUNT, 0, ~0u, 0}}},
    {"keep-after-refusal", -E_INVALID, PROBE_KEEP, 0, {{0}}},
    {"resume-cleared",    0, PROBE_RESUME | PROBE_MOV_SS, 0, {{0}}},
    {"keep-no-vmcs",      0, PROBE_KEEP | PROBE_NO_VMCS | PROBE_CACHED | PROBE_RESUME, 0, {{0}}},
    {"everything-at-once", 0, PROBE_FLAGS & ~PROBE_SIGNALS, 0, {{0}}},
    {"keep-exit-forbidden", -E_DENIED, PROBE_KEEP, 2, {{VM_EXIT_MSR_LOAD_ADDRESS, 0, 0, LIST_FORBIDDEN}, {VM_EXIT_MSR_LOAD_COUNT, 0, 1, 0}}},
};

// ---- Steps ----

struct step_row {
    const char *name;
    sword_t expected;
    uint16_t instruction, flags;
    uint64_t operand, value;
    enum value is;
};
static const struct step_row step_rows[] = {
    {"step-next",            -E_INVALID, PROBE_DO_COUNT, 0, 0, 0, 0},
    {"step-ones",            -E_INVALID, 0xffff, 0, 0, 0, 0},
    {"step-flag",            -E_INVALID, PROBE_DO_VMPTRST, PROBE_STEP_FLAGS + 1, 0, 0, 0},
    {"two-places",           -E_INVALID, PROBE_DO_VMPTRST, PROBE_STEP_CPL3 | PROBE_STEP_COMPATIBILITY, 0, 0, 0},
    {"place-and-unmapped",   -E_INVALID, PROBE_DO_VMPTRST, PROBE_STEP_CPL3 | PROBE_STEP_UNMAPPED, 0, 0, 0},
    {"place-of-wrmsr",       -E_INVALID, PROBE_DO_WRMSR, PROBE_STEP_CPL3, 0x480, 1, 0},
    {"place-foreign",        -E_DENIED, PROBE_DO_VMXON, PROBE_STEP_CPL3, FOREIGN, 0, 0},
    {"vmxon-foreign",        -E_DENIED, PROBE_DO_VMXON, 0, FOREIGN, 0, 0},
    {"vmclear-foreign",      -E_DENIED, PROBE_DO_VMCLEAR, 0, FOREIGN, 0, 0},
    {"vmptrld-foreign",      -E_DENIED, PROBE_DO_VMPTRLD, 0, FOREIGN, 0, 0},
    {"vmxon-ept-root",       -E_DENIED, PROBE_DO_VMXON, 0, 0, 0, EPT_ROOT},
    {"vmclear-ept-root",     -E_DENIED, PROBE_DO_VMCLEAR, 0, 0, 0, EPT_ROOT},
    {"vmptrld-vmcs",         -E_DENIED, PROBE_DO_VMPTRLD, 0, 0, 0, SECOND_VMCS},
    {"vmclear-beyond-ram",   -E_DENIED, PROBE_DO_VMCLEAR, 0, 1ull << 38, 0, 0},
    {"vmclear-behind-region", -E_DENIED, PROBE_DO_VMCLEAR, PROBE_STEP_VMXON_REGION, 1ull << 30, 0, 0},
    {"without-vmxe-inside",  -E_DENIED, PROBE_DO_VMPTRST, PROBE_STEP_WITHOUT_VMXE, 0, 0, 0},
    {"without-ne-inside",    -E_DENIED, PROBE_DO_VMPTRST, PROBE_STEP_WITHOUT_NE, 0, 0, 0},
    {"wrmsr-free",           -E_DENIED, PROBE_DO_WRMSR, 0, MSR_FREE, 1, 0},
    {"wrmsr-wide",           -E_DENIED, PROBE_DO_WRMSR, 0, 1ull << 32 | 0x480, 1, 0},
    {"mov-cr0-nothing",      -E_DENIED, PROBE_DO_MOV_CR0, 0, 0, 0, 0},
    {"mov-cr0-pg",           0, PROBE_DO_MOV_CR0, 0, 1ull << 32, 0, 0},
    {"mov-cr4-nothing",      -E_DENIED, PROBE_DO_MOV_CR4, 0, 0, 0, 0},
    {"vmread-nowhere",       0, PROBE_DO_VMREAD, PROBE_STEP_UNMAPPED | PROBE_STEP_NONCANONICAL | PROBE_STEP_MEMORY | PROBE_STEP_VMXON_REGION, ALL_ONES, ALL_ONES, 0},
    {"vmlaunch-no-vmcs",     0, PROBE_DO_VMLAUNCH, 0, 0, 0, 0},
};
// clang-format on

static void try_calls(const struct call *c, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        check_result(c[i].name, c[i].expected, probe(c[i].op, c[i].first, c[i].second));
}

// What the hypervisor keeps for the machine is not its own.
static uint64_t ept_root(void)
{
    static struct probe_field f = {EPT_POINTER, 0, 0};
    probe(PROBE_TEMPLATE, (word_t)&f, 1);
    return f.value & ~(uint64_t)(PAGE - 1);
}

static uint64_t base_of(enum value is)
{
    switch (is) {
    case AS_WRITTEN:
        return 0;
    case OWN:
        return physical(own);
    case LIST_FREE:
        return physical(list[0]);
    case LIST_FORBIDDEN:
        return physical(list[1]);
    case EPT_ROOT:
        return ept_root();
    case SECOND_VMCS:
        return (uint64_t)probe(PROBE_VMCS, 0, 0);
    }
    return 0;
}

static sword_t try(uint32_t flags, const struct write *w, unsigned writes)
{
    for (unsigned i = 0; i < writes; i++)
        fields[i] = (struct probe_field){w[i].field, w[i].flags, base_of(w[i].is) ^ w[i].value};
    attempt = (struct probe_attempt){.flags = flags, .writes = writes, .fields = (word_t)fields};
    return probe(PROBE_ATTEMPT, (word_t)&attempt, 0);
}

static void try_rows(void)
{
    for (unsigned i = 0; i < array_size(rows); i++)
        check_result(rows[i].name, rows[i].expected, try(rows[i].flags, rows[i].write, rows[i].writes));
}

static void try_steps(void)
{
    for (unsigned i = 0; i < array_size(step_rows); i++) {
        const struct step_row *r = &step_rows[i];
        steps[0] = (struct probe_step){.instruction = r->instruction,
                                       .flags = r->flags,
                                       .operand = base_of(r->is) ^ r->operand,
                                       .value = r->value};
        check_result(r->name, r->expected, probe(PROBE_RUN, (word_t)steps, 1));
    }
}

// Counts and buffers that an attempt itself names.
static void try_attempt(const char *name, sword_t expected, uint32_t writes, uint32_t reads, word_t at)
{
    attempt = (struct probe_attempt){.writes = writes, .reads = reads, .fields = at};
    check_result(name, expected, probe(PROBE_ATTEMPT, (word_t)&attempt, 0));
}

// A region of one's own may be loaded, not launched: its host state could be anything.
static void try_launch(void)
{
    uint64_t revision = 0;
    probe(PROBE_MSR, 0x480, (word_t)&revision);
    *(uint32_t *)own = (uint32_t)revision & 0x7fffffff;
    steps[0] = (struct probe_step){.instruction = PROBE_DO_VMPTRLD, .operand = physical(own)};
    steps[1] = (struct probe_step){.instruction = PROBE_DO_VMLAUNCH};
    check_result("launch-own", -E_DENIED, probe(PROBE_RUN, (word_t)steps, 2));
    steps[0].operand = physical(own);
    check_result("load-own", 0, probe(PROBE_RUN, (word_t)steps, 1));
    check_bits("loaded", RFLAGS_CF | RFLAGS_ZF, 0, steps[0].rflags);
    memset(own, 0, sizeof(own));
}

static void check_alive(const char *name)
{
    sword_t got = try(0, NULL, 0);
    check(got == 0 && attempt.outcome == PROBE_ENTERED, name, "expected 0, outcome %u\ngot %ld, outcome %u",
          PROBE_ENTERED, (long)got, attempt.outcome);
}

// The box ends what would not end, by an interrupt. There are processors that with IF=0 are interrupted by an NMI only
// (docs/deviations.md).
static void try_endless(const char *name, word_t flags, enum exit_reason by)
{
    const struct write endless[] = {
        {PIN_BASED_CONTROLS, PROBE_XOR, PIN_PREEMPTION_TIMER,  AS_WRITTEN},
        {GUEST_RIP,          PROBE_SET, (word_t)spin,          AS_WRITTEN},
        {GUEST_RFLAGS,       PROBE_SET, RFLAGS_FIXED1 | flags, AS_WRITTEN},
    };
    sword_t got = try(0, endless, array_size(endless));
    bool ended = attempt.reason == REASON_EXTERNAL_INTERRUPT || attempt.reason == by;
    check(got == 0 && attempt.outcome == PROBE_ENTERED && ended, name,
          "expected 0, outcome %u, exit reason %u or %u\ngot %ld, outcome %u, exit reason %u", PROBE_ENTERED,
          REASON_EXTERNAL_INTERRUPT, by, (long)got, attempt.outcome, (unsigned)attempt.reason);
}

static int endless(void)
{
    tap_plan(2);
    check_result("open", 0, probe(PROBE_OPEN, (word_t)landing, (word_t)own));
    try_endless("endless-if-0", 0, REASON_EXCEPTION_OR_NMI);
    return tap_end();
}

// From CPL 3 and from compatibility mode everything is refused, whatever it is.
static void try_modes(void)
{
    enum { VMCALL_0 = 10, RET = 13 }; // MOV EAX; MOV EDI; VMCALL; INT3 or far RET
    static uint8_t code[] = {0xb8, HC_PROBE, 0, 0, 0, 0xbf, PROBE_VMCS, 0, 0, 0, 0x0f, 0x01, 0xc1, 0};
    user_prepare();
    code[RET] = 0xcc;
    struct user_end end = user_run(code);
    check(end.vector == VECTOR_BP && (sword_t)end.ax == -E_DENIED, "from-cpl-3",
          "expected #BP, %ld\ngot vector %u, %ld", -(long)E_DENIED, end.vector, (long)end.ax);
    code[RET] = 0xcb;
    check_result("from-compatibility-mode", -E_DENIED, (int32_t)compatibility_run(code));
}

static int abuse(void)
{
    enum { OTHERS = 14 };
    tap_plan(array_size(closed) + array_size(calls) + array_size(rows) + array_size(step_rows) + OTHERS);
    list[0][0] = list[1][2] = list[1][4] = MSR_FREE;
    list[1][0] = list[1][4] = MSR_FORBIDDEN;
    try_calls(closed, array_size(closed));
    check_result("open", 0, probe(PROBE_OPEN, (word_t)landing, (word_t)own));
    try_calls(calls, array_size(calls));
    check_alive("alive-after-calls");
    try_attempt("writes-too-many", -E_TOO_BIG, PROBE_FIELDS_MAX + 1, 0, (word_t)fields);
    try_attempt("reads-too-many", -E_TOO_BIG, 1, PROBE_FIELDS_MAX, (word_t)fields);
    try_attempt("sum-wraps", -E_TOO_BIG, 1, ~0u, (word_t)fields);
    try_attempt("fields-odd", -E_INVALID, 1, 0, (word_t)fields + 4);
    try_attempt("fields-outside", -E_BAD_ADDRESS, 1, 0, OUTSIDE);
    try_rows();
    try_steps();
    try_launch();
    try_endless("endless", RFLAGS_IF, REASON_EXTERNAL_INTERRUPT);
    try_modes();
    check_alive("alive");
    return tap_end();
}

static int denied(void)
{
    static const struct op {
        const char *name;
        enum probe_op op;
    } ops[] = {
  // clang-format off
#define X(name, number) {#name, PROBE_##name},
        PROBE_OPS(X)
#undef X
        {"unknown", PROBE_OP_COUNT}
  // clang-format on
    };
    tap_plan(array_size(ops));
    for (unsigned i = 0; i < array_size(ops); i++)
        check_result(ops[i].name, -E_DENIED, probe(ops[i].op, (word_t)fields, 0));
    return tap_end();
}

// Until timeout=. `spins`: the subject loops for longer than that, so that the machine's end comes while it is in.
static int attempts(bool spins)
{
    static const struct write endless[] = {
        {PREEMPTION_TIMER_VALUE, PROBE_SET, SPIN_TIMER,   AS_WRITTEN},
        {GUEST_RIP,              PROBE_SET, (word_t)spin, AS_WRITTEN}
    };
    if (probe(PROBE_OPEN, (word_t)landing, (word_t)own))
        return 1;
    if (spins) {
        try(0, endless, array_size(endless));
        return 1; // it has outlived its attempt
    }
    while (!try(0, NULL, 0))
        ;
    return 1;
}

// ---- Two vCPUs: one changes the list of MSRs that the other's attempts load ----

static char second_stack[CPU_STACK_BYTES] __attribute__((aligned(16)));
static volatile bool stop;

static void change_list(unsigned id)
{
    (void)id;
    volatile uint64_t *entry = list[0];
    while (!stop) {
        entry[0] = MSR_HARMLESS;
        entry[0] = MSR_FREE;
    }
}

static int race(void)
{
    enum { RACES = 3000 };
    static const struct write load[] = {
        {VM_ENTRY_MSR_LOAD_ADDRESS, PROBE_SET, 0, LIST_FREE },
        {VM_ENTRY_MSR_LOAD_COUNT,   PROBE_SET, 1, AS_WRITTEN},
    };
    static uint64_t before, after;
    unsigned entered = 0, refused = 0;
    tap_plan(2);
    apic_map();
    apic_enable(true);
    probe(PROBE_OPEN, (word_t)landing, (word_t)own);
    probe(PROBE_MSR, MSR_HARMLESS, (word_t)&before);
    list[0][0] = MSR_FREE;
    list[0][1] = before ^ PAGE; // canonical, and no base that is there
    if (!cpu_start(1, change_list, second_stack + CPU_STACK_BYTES))
        return 1;
    for (unsigned i = 0; i < RACES; i++) {
        sword_t got = try(0, load, array_size(load));
        entered += got == 0 && attempt.outcome == PROBE_ENTERED;
        refused += got == -E_DENIED;
    }
    stop = true;
    probe(PROBE_MSR, MSR_HARMLESS, (word_t)&after);
    check(entered + refused == RACES && entered, "loads-or-is-refused", "expected %u in all\ngot %u and %u",
          RACES, entered, refused);
    check_bits("what-was-checked-is-loaded", ~0ull, before, after);
    print("%u entered, %u refused\n", entered, refused);
    return tap_end();
}

int main(const struct start_info *start)
{
    const char *what = command_line(start);
    if (!strcmp(what, "denied"))
        return denied();
    if (!strcmp(what, "race"))
        return race();
    if (!strcmp(what, "endless"))
        return endless();
    bool spins = !strcmp(what, "spin");
    return spins || !strcmp(what, "loop") ? attempts(spins) : abuse();
}
