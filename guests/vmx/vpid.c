// Cached translations: what INVVPID, INVEPT, VM entries and the entered code's own instructions name is gone
// afterwards. That they spare the rest is only told: a processor may cache less than it could.
#include "guests/vmx/lib/vmx.h"

CODE(code_read, "mov (%rbx), %rax");
CODE(code_invlpg, "mov (%rbx), %rax; mov %rsi, (%rdi); invlpg (%rbx); mov (%rbx), %rax");
CODE(code_mov_cr3, "mov (%rbx), %rax; mov %rsi, (%rdi); mov %cr3, %rcx; mov %rcx, %cr3; mov (%rbx), %rax");

enum { FIRST = 1, SECOND = 2, GLOBAL = 1 << 8 };

static uint64_t *first, *second; // two pages, which hold FIRST and SECOND
static uint64_t *entry;          // of the entered code's tables, for the window
static uint64_t pointer;         // EPTP

static uint64_t guest_entry(const uint64_t *page, uint64_t more)
{
    return (word_t)page | 7 | 1 << 5 | 1 << 6 | more; // accessed and dirty
}

// The linear window leads to `first` by a 4-KByte page of the entered code's tables.
static void describe(const char *code, uint16_t vpid, uint64_t more)
{
    vm_reset();
    vm_mode(MODE_LONG);
    vm_set_bits(GUEST_CR4, CR4_PGE);
    subject_pages[2][EPT_WINDOW >> 21] = (word_t)subject_pages[3] | 7;
    entry = &subject_pages[3][0];
    *entry = guest_entry(first, more);
    vm_control(WORD_SECONDARY, SECONDARY_VPID, vpid != 0);
    vm_set(VIRTUAL_PROCESSOR_ID, vpid);
    vm_run(code);
    vm_gpr[3] = EPT_WINDOW;
}

// Another entry of the same code, which finds what was cached before.
static void again(const char *name, uint16_t vpid, uint64_t more, uint64_t expected)
{
    uint64_t now = *entry;
    describe(code_read, vpid, more);
    *entry = now;
    vm_flags = PROBE_CACHED;
    expect_passed(name);
    expect_equal(name_of("%s-value", name), "page read", expected, vm_gpr[0]);
}

// ---- INVVPID ----

static const struct type {
    const char *name;
    uint64_t type, offered;
    bool global; // also global translations
} types[] = {
    {"address",        0, EPT_CAP_INVVPID_ADDRESS,           true },
    {"single",         1, EPT_CAP_INVVPID_SINGLE,            true },
    {"all",            2, EPT_CAP_INVVPID_ALL,               true },
    {"single-globals", 3, EPT_CAP_INVVPID_SINGLE_NOT_GLOBAL, false},
};

static uint16_t own_vpid(void)
{
    return (uint16_t)vm_template.value[AT_VIRTUAL_PROCESSOR_ID];
}

static void flush(enum probe_instruction i, uint64_t type, uint64_t first_word, uint64_t second_word)
{
    steps_begin();
    step_with(i, type, first_word, second_word, 0);
    steps_run();
}

static void invvpid(const struct type *t, uint64_t more)
{
    const char *name = name_of("invvpid-%s%s", t->name, more ? "-global-page" : "");
    describe(code_read, own_vpid(), more);
    const char *why = vm_enter();
    if (why || vm_gpr[0] != FIRST) {
        skipped(name, why ? why : result_words());
        return;
    }
    *entry = guest_entry(second, more);
    flush(PROBE_DO_INVVPID, t->type, t->type == 2 ? 0 : own_vpid(), EPT_WINDOW);
    again(name, own_vpid(), more, SECOND);
}

static void each_invvpid(void)
{
    section = "Operations that Invalidate Cached Mappings";
    for (unsigned i = 0; i < array_size(types); i++)
        if (!(processor.caps.ept_vpid & types[i].offered))
            skipped(name_of("invvpid-%s", types[i].name), "the processor does not have this type");
        else {
            invvpid(&types[i], 0);
            if (types[i].global)
                invvpid(&types[i], GLOBAL);
        }
}

// INVVPID of another VPID, and none at all: both answers are right.
static void spared(void)
{
    describe(code_read, own_vpid(), 0);
    const char *why = vm_enter();
    *entry = guest_entry(second, 0);
    uint64_t now = *entry;
    describe(code_read, own_vpid(), 0);
    *entry = now;
    vm_flags = PROBE_CACHED;
    if (!why)
        why = vm_enter();
    if (!why)
        info("without any invalidation a VM entry with a VPID %s",
             vm_gpr[0] == FIRST ? "keeps translations" : "finds no old translation");
}

// ---- Entries without VPID ----

static void without_vpid(void)
{
    section = "Operations that Invalidate Cached Mappings";
    describe(code_read, 0, 0);
    expect_passed("entry-without-vpid");
    *entry = guest_entry(second, 0);
    again("entry-without-vpid-flushes", 0, 0, SECOND);
    describe(code_read, 0, GLOBAL);
    expect_passed("entry-without-vpid-global");
    *entry = guest_entry(second, GLOBAL);
    again("entry-without-vpid-flushes-global", 0, GLOBAL, SECOND);
}

static void vpid_zero(void)
{
    section = "VM-Execution Control Fields";
    describe(code_read, 1, 0);
    vm_set(VIRTUAL_PROCESSOR_ID, 0);
    expect_fail_valid("vpid-0", VM_ERROR_ENTRY_CONTROLS);
    describe(code_read, 1, 0);
    expect_passed("vpid-1");
    describe(code_read, 0xffff, 0);
    expect_passed("vpid-ffff");
}

// ---- What the entered code does itself, with and without VPID ----

static void own_instructions(void)
{
    static const struct {
        const char *name, *code;
    } rows[] = {
        {"invlpg",  code_invlpg },
        {"mov-cr3", code_mov_cr3},
    };
    section = "Operations that Invalidate TLBs and Paging-Structure Caches";
    for (unsigned i = 0; i < array_size(rows); i++)
        for (unsigned with = 0; with < 2; with++) {
            describe(rows[i].code, with ? own_vpid() : 0, 0);
            vm_control(WORD_PRIMARY,
                       PRIMARY_CR3_LOAD_EXITING | PRIMARY_CR3_STORE_EXITING | PRIMARY_INVLPG_EXITING, false);
            vm_gpr[6] = guest_entry(second, 0);
            vm_gpr[7] = (word_t)entry;
            const char *name = name_of("%s-with%s-vpid", rows[i].name, with ? "" : "out");
            expect_passed(name);
            expect_equal(name_of("%s-value", name), "page read", SECOND, vm_gpr[0]);
        }
}

// ---- INVEPT ----

static void describe_ept(void)
{
    vm_reset();
    vm_mode(MODE_LONG);
    ept_use(pointer);
    vm_run(code_read);
    vm_gpr[3] = EPT_WINDOW;
}

static void again_ept(const char *name, uint64_t expected)
{
    describe_ept();
    vm_flags = PROBE_CACHED;
    expect_passed(name);
    expect_equal(name_of("%s-value", name), "page read", expected, vm_gpr[0]);
}

static void invept(const char *name, uint64_t type, uint64_t offered)
{
    if (!(processor.caps.ept_vpid & offered)) {
        skipped(name, "the processor does not have this type");
        return;
    }
    ept_window_map(first);
    describe_ept();
    vm_enter();
    ept_window_map(second);
    flush(PROBE_DO_INVEPT, type, type == 1 ? pointer : 0, 0);
    again_ept(name, SECOND);
}

// An EPT violation drops what is cached of the address it is about: putting the entry right is enough.
static void after_violation(void)
{
    section = "Operations that Invalidate Cached Mappings";
    ept_window_map(first);
    *ept_window[1] = 0;
    describe_ept();
    expect_reason("violation", REASON_EPT_VIOLATION);
    ept_window_map(second);
    again_ept("violation-then-mapped", SECOND);
    ept_window_map(first);
    *ept_window[1] = (*ept_window[1] & ~(uint64_t)EPT_RWX) | EPT_WRITE;
    describe_ept();
    expect_reason("misconfiguration", REASON_EPT_MISCONFIGURATION);
    ept_window_map(second);
    again_ept("misconfiguration-then-mapped", SECOND);
}

BUCKET("VPID and invalidation")
{
    first = page_take();
    second = page_take();
    *first = FIRST;
    *second = SECOND;
    pointer = ept_build();
    if (can(WORD_SECONDARY, SECONDARY_VPID)) {
        vpid_zero();
        each_invvpid();
        without_vpid();
        own_instructions();
        spared();
    } else
        skipped("vpid", "the processor has no VPID");
    section = "Operations that Invalidate Cached Mappings";
    invept("invept-single", 1, EPT_CAP_INVEPT_SINGLE);
    invept("invept-all", 2, EPT_CAP_INVEPT_ALL);
    after_violation();
}
