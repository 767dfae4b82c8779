// Single-steps over every instruction that the hypervisor emulates: whoever emulates an instruction must
// also deliver the single-step trap that the processor would have raised behind it, once.
//
// What the processor does by itself (SDM "Single-Step Exception Condition", "Masking Exceptions and
// Interrupts When Switching Stacks", STI in volume 2):
//   plain   one trap behind the instruction
//   sti     STI holds back interrupts but not traps: one behind STI, one behind the instruction
//   movss   the trap behind MOV SS is lost; one behind the instruction
//   quiet   behind MOV SS with TF clear: none at all
// An instruction that faults raises no trap; the handler here steps over it, and the next trap is the NOP's.
#include "guests/lib/guest.h"

enum { DR6_INIT = 0xffff0ff0, DR6_BS = 1 << 14, DR6_B0_TO_B3 = 15, TRAPS_MAX = 8, CODE_BYTES = 32 };
enum { MSR_APIC_BASE = 0x1b, MSR_PAT = 0x277, MSR_NOBODYS = 0x1234 };
#define MSR_EFER 0xc0000080

struct registers {
    uint64_t ax, cx, dx, di;
};

void step_run(const struct registers *r, const void *code, uint64_t set_flags);

// How a row's registers are made when it runs.
enum operand { FIXED, READ_MSR_FIRST, CURRENT_XCR0, CR0_TOGGLED, CR4_TOGGLED, FRESH_PAGE };

struct row {
    const char *name;
    const char *bytes;
    uint8_t length;
    enum operand operand;
    uint64_t ax, cx, dx; // for *_TOGGLED: AX holds the bits to toggle
    bool faults;
};

#define CODE(text) .bytes = (text), .length = sizeof(text) - 1

// clang-format off
static const struct row rows[] = {
    {"nop",             CODE("\x90")},
    {"cpuid",           CODE("\x0f\xa2")},
    {"cpuid-hypervisor",CODE("\x0f\xa2"), .ax = CPUID_HYPERVISOR},
    {"rdmsr",           CODE("\x0f\x32"), .cx = MSR_APIC_BASE},
    {"rdmsr-unknown",   CODE("\x0f\x32"), .cx = MSR_NOBODYS, .faults = true},
    {"wrmsr-unknown",   CODE("\x0f\x30"), .cx = MSR_NOBODYS, .faults = true},
    {"wrmsr-pat",       CODE("\x0f\x30"), .operand = READ_MSR_FIRST, .cx = MSR_PAT},
    {"wrmsr-efer",      CODE("\x0f\x30"), .operand = READ_MSR_FIRST, .cx = MSR_EFER},
    {"in-unclaimed",    CODE("\xec"), .dx = 0x2222},
    {"in-32",           CODE("\xed"), .dx = 0xcfc},
    {"in-imm",          CODE("\xe4\x61")},
    {"in-uart",         CODE("\xec"), .dx = 0x3fd},
    {"out-unclaimed",   CODE("\xee"), .dx = 0x2222},
    {"out-imm",         CODE("\xe6\x80")},
    {"out-32",          CODE("\xef"), .dx = 0xcf8},
    {"xsetbv",          CODE("\x0f\x01\xd1"), .operand = CURRENT_XCR0},
    {"vmcall-version",  CODE("\x0f\x01\xc1"), .ax = HC_VERSION},
    {"vmcall-unknown",  CODE("\x0f\x01\xc1"), .ax = 0x7fff},
    {"vmcall-yield",    CODE("\x0f\x01\xc1"), .ax = HC_YIELD},
    {"cr0-ne",          CODE("\x0f\x22\xc0"), .operand = CR0_TOGGLED, .ax = CR0_NE},
    {"cr0-cd",          CODE("\x0f\x22\xc0"), .operand = CR0_TOGGLED, .ax = CR0_CD},
    {"cr4-tsd",         CODE("\x0f\x22\xe0"), .operand = CR4_TOGGLED, .ax = CR4_TSD},
    {"cr4-osxsave",     CODE("\x0f\x22\xe0"), .operand = CR4_TOGGLED, .ax = CR4_OSXSAVE},
    {"invd",            CODE("\x0f\x08")},
    {"wbinvd",          CODE("\x0f\x09")},
    {"vmxoff",          CODE("\x0f\x01\xc4"), .faults = true},
    {"getsec",          CODE("\x0f\x37"), .faults = true},
    {"touch-read",      CODE("\x48\x8b\x07"), .operand = FRESH_PAGE},
    {"touch-write",     CODE("\x48\x89\x07"), .operand = FRESH_PAGE},
};

enum variant { PLAIN, STI, MOVSS, QUIET, VARIANTS };

static const struct {
    const char *name, *bytes; // what stands before the instruction
    uint8_t length, traps_behind_prefix;
    bool stepped;
} variants[VARIANTS] = {
    [PLAIN] = {"plain", CODE(""), .stepped = true},
    [STI]   = {"sti",   CODE("\xfb"), .traps_behind_prefix = 1, .stepped = true},
    [MOVSS] = {"movss", CODE("\x41\x8e\xd1"), .stepped = true}, // mov ss, r9d
    [QUIET] = {"quiet", CODE("\x41\x8e\xd1")},
};
// clang-format on

// A run: where its code is, and what its exceptions told.
static struct {
    word_t start, behind, end; // of the code; behind: the instruction under test
    struct {
        word_t offset, dr6;
    } traps[TRAPS_MAX];
    unsigned trap_count;
    uint8_t fault;
} run;

static uint8_t code[CODE_BYTES];
static word_t fresh_page;

// Records traps from the first instruction to the last and stops stepping at the end, or at once when control
// is anywhere it should not be.
static bool on_debug(struct frame *f)
{
    word_t dr6 = read_dr6();
    write_dr6(DR6_INIT);
    if (f->ip >= run.start && f->ip <= run.end && run.trap_count < TRAPS_MAX) {
        run.traps[run.trap_count].offset = f->ip - run.start;
        run.traps[run.trap_count++].dr6 = dr6;
    }
    if (f->ip < run.start || f->ip >= run.end || run.trap_count == TRAPS_MAX)
        f->flags &= ~(word_t)RFLAGS_TF;
    return true;
}

static bool on_fault(struct frame *f)
{
    if (f->ip < run.start || f->ip >= run.behind)
        return false;
    run.fault = (uint8_t)f->vector;
    f->ip = run.behind;
    return true;
}

static struct registers make_registers(const struct row *row)
{
    struct registers r = {row->ax, row->cx, row->dx, 0};
    if (row->operand == READ_MSR_FIRST) {
        uint64_t value = rdmsr((uint32_t)row->cx);
        r.ax = (uint32_t)value;
        r.dx = value >> 32;
    } else if (row->operand == CURRENT_XCR0) {
        r.ax = xgetbv(0);
    } else if (row->operand == CR0_TOGGLED) {
        r.ax = read_cr0() ^ row->ax;
    } else if (row->operand == CR4_TOGGLED) {
        r.ax = read_cr4() ^ row->ax;
    } else if (row->operand == FRESH_PAGE) {
        r.di = fresh_page;
        fresh_page += 4096;
    }
    return r;
}

static void run_row(const struct row *row, enum variant v)
{
    size_t prefix = variants[v].length;
    memcpy(code, variants[v].bytes, prefix);
    memcpy(code + prefix, row->bytes, row->length);
    memcpy(code + prefix + row->length, "\x90\xc3", 2); // nop; ret
    memset(&run, 0, sizeof run);
    run.start = (word_t)code;
    run.behind = run.start + prefix + row->length;
    run.end = run.behind + 1;
    run.fault = VECTOR_NONE;

    word_t cr0 = read_cr0(), cr4 = read_cr4();
    struct registers r = make_registers(row);
    write_dr6(DR6_INIT);
    step_run(&r, code, variants[v].stepped ? RFLAGS_TF : 0);
    write_cr0(cr0);
    write_cr4(cr4);
}

// The offsets at which the processor would trap, at most four. The first is behind the CALL that leads there:
// a second one at the same place would be the trap of an instruction that has not completed.
static unsigned expected_traps(const struct row *row, enum variant v, word_t offsets[4])
{
    unsigned n = 0;
    if (!variants[v].stepped)
        return 0;
    offsets[n++] = 0;
    if (variants[v].traps_behind_prefix)
        offsets[n++] = variants[v].length;
    if (!row->faults)
        offsets[n++] = run.behind - run.start;
    offsets[n++] = run.end - run.start;
    return n;
}

static bool traps_match(const word_t *offsets, unsigned n)
{
    if (run.trap_count != n)
        return false;
    for (unsigned i = 0; i < n; i++) {
        if (run.traps[i].offset != offsets[i] || (run.traps[i].dr6 & (DR6_BS | DR6_B0_TO_B3)) != DR6_BS)
            return false;
    }
    return true;
}

static void describe(char *to, size_t size, const word_t *offsets, unsigned n)
{
    size_t at = format_text(to, size, "expected");
    for (unsigned i = 0; i < n; i++)
        at += format_text(to + at, size - at, " +%lu BS", (unsigned long)offsets[i]);
    at += format_text(to + at, size - at, "\ngot");
    for (unsigned i = 0; i < run.trap_count; i++)
        at += format_text(to + at, size - at, " +%lu DR6 %#lx", (unsigned long)run.traps[i].offset,
                          (unsigned long)run.traps[i].dr6);
    format_text(to + at, size - at, ", %s", fault_name(run.fault));
}

static bool needs_xsave(const struct row *row)
{
    return row->operand == CURRENT_XCR0 || (row->operand == CR4_TOGGLED && row->ax == CR4_OSXSAVE);
}

static void test(const struct row *row, enum variant v, bool has_xsave)
{
    char name[TAP_NAME_MAX], detail[TAP_DETAIL_MAX];
    word_t offsets[4];
    format_text(name, sizeof name, "%s.%s", row->name, variants[v].name);
    if (needs_xsave(row) && !has_xsave) {
        skip(name, "no XSAVE");
        return;
    }
    run_row(row, v);
    unsigned n = expected_traps(row, v, offsets);
    describe(detail, sizeof detail, offsets, n);
    check(traps_match(offsets, n) && (run.fault != VECTOR_NONE) == row->faults, name, "%s", detail);
}

// What a fault under MOV SS does to a single-step trap is left to the model.
static bool applies(const struct row *row, enum variant v)
{
    return !row->faults || v == PLAIN || v == STI;
}

static unsigned count_points(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < array_size(rows) * VARIANTS; i++)
        n += applies(&rows[i / VARIANTS], i % VARIANTS);
    return n;
}

int main(const struct start_info *start)
{
    tap_plan(count_points());
    exception_handle(VECTOR_DB, on_debug);
    exception_handle(VECTOR_GP, on_fault);
    exception_handle(VECTOR_UD, on_fault);
    fresh_page = start->mem_bytes / 2; // nobody has been there
    bool xsave = cpuid(1, 0).ecx >> 26 & 1;
    if (xsave)
        write_cr4(read_cr4() | CR4_OSXSAVE);
    for (unsigned i = 0; i < array_size(rows) * VARIANTS; i++) {
        if (applies(&rows[i / VARIANTS], i % VARIANTS))
            test(&rows[i / VARIANTS], i % VARIANTS, xsave);
    }
    return tap_end();
}
