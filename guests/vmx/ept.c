// EPT: permissions, misconfigurations, page sizes, memory types, accessed and dirty flags, what violations say; PML,
// EPTP switching, #VE.
#include "guests/vmx/lib/vmx.h"

CODE(code_read, "mov (%rbx), %rax");
CODE(code_write, "mov %rax, (%rbx)");
CODE(code_fetch, "jmp *%rbx");
CODE(code_update, "lock incq (%rbx)");
CODE(code_load_pdptes, ".code32; mov %ebx, %cr3");

enum { PAGE = 4096, OFFSET = 0x800 };
#define VALUE 0x1122334455667788
enum { Q_READ = 1, Q_WRITE = 2, Q_FETCH = 4, Q_ALLOWED = 3, Q_LINEAR = 1 << 7, Q_FINAL = 1 << 8 };
// Of the qualification, what every processor tells (SDM, "Exit Qualification for EPT Violations").
enum { Q_DEFINED = 0x3f | Q_LINEAR | Q_FINAL | 1 << 12 };

static uint64_t pointer; // EPTP
static uint8_t *target;  // the page in the window: VMCALL in its middle, VALUE behind it

static const struct access {
    const char *name, *code;
    unsigned bit;
} accesses[] = {
    {"read",  code_read,  Q_READ },
    {"write", code_write, Q_WRITE},
    {"fetch", code_fetch, Q_FETCH},
};

static const char *const levels[] = {NULL, "pte", "pde", "pdpte", "pml4e"};

// The description in which `code` accesses the window at `offset` from its beginning.
static void describe(const char *code, uint64_t offset)
{
    memcpy(target + OFFSET, "\x0f\x01\xc1", 3);
    vm_reset();
    vm_mode(MODE_LONG);
    ept_use(pointer);
    vm_run(code);
    vm_gpr[3] = EPT_WINDOW + offset;
    vm_gpr[0] = VALUE;
}

static bool level_there(unsigned level)
{
    return ept_window[level] != NULL;
}

// A point about reason and qualification.
static void expect_violation(const char *name, uint64_t qualification)
{
    if (stepped_over(name))
        return;
    const char *why = vm_enter();
    bool ok = !why && result.outcome == PROBE_ENTERED && result.reason == REASON_EPT_VIOLATION;
    expect_true(name, ok && (result.qualification & Q_DEFINED) == qualification,
                "expected an EPT violation, qualification %#llx\ngot %s", (unsigned long long)qualification,
                why ? why : result_words());
}

// ---- Permissions: each entry, each combination, each access ----

static bool misconfigured(unsigned rights)
{
    bool write_only = (rights & EPT_WRITE) && !(rights & EPT_READ);
    return write_only || (rights == EPT_EXECUTE && !(processor.caps.ept_vpid & EPT_CAP_EXECUTE_ONLY));
}

static void permission(unsigned level, unsigned rights, const struct access *a)
{
    static const char *const combinations[] = {"none", "r", "w", "rw", "x", "rx", "wx", "rwx"};
    const char *name = name_of("%s-%s-%s", levels[level], combinations[rights], a->name);
    if (!level_there(level)) {
        skipped(name, "physical addresses are too narrow for a second PML4 entry");
        return;
    }
    ept_window_map(target);
    *ept_window[level] = (*ept_window[level] & ~(uint64_t)EPT_RWX) | rights;
    describe(a->code, OFFSET);
    if (misconfigured(rights))
        expect_reason(name, REASON_EPT_MISCONFIGURATION);
    else if (rights & a->bit)
        expect_passed(name);
    else
        expect_violation(name, a->bit | rights << Q_ALLOWED | Q_LINEAR | Q_FINAL);
}

static void permissions(void)
{
    section = "EPT Violations";
    for (unsigned level = 4; level >= 1; level--)
        for (unsigned rights = 0; rights <= EPT_RWX; rights++)
            for (unsigned i = 0; i < array_size(accesses); i++)
                permission(level, rights, &accesses[i]);
}

// Rights of all entries together, and no entry's alone.
static void combined(void)
{
    section = "Exit Qualification for EPT Violations";
    ept_window_map(target);
    *ept_window[1] &= ~(uint64_t)EPT_WRITE;
    *ept_window[2] &= ~(uint64_t)EPT_EXECUTE;
    describe(code_write, OFFSET);
    expect_violation("rights-of-two-levels-write", Q_WRITE | EPT_READ << Q_ALLOWED | Q_LINEAR | Q_FINAL);
    describe(code_fetch, OFFSET);
    expect_violation("rights-of-two-levels-fetch", Q_FETCH | EPT_READ << Q_ALLOWED | Q_LINEAR | Q_FINAL);
    describe(code_read, OFFSET);
    expect_passed("rights-of-two-levels-read");
    ept_window_map(target);
    *ept_window[1] &= ~(uint64_t)EPT_WRITE;
    describe(code_update, OFFSET);
    const char *why = vm_enter(); // bit 0 as well: as the processor likes
    expect_true("update-is-a-write",
                !why && result.reason == REASON_EPT_VIOLATION && result.qualification & Q_WRITE,
                "expected an EPT violation with bit 1\ngot %s", result_words());
}

// ---- Where: linear and physical address ----

static void addresses(void)
{
    static const uint64_t offsets[] = {0, 8, 0x123, PAGE - 8};
    section = "Information for VM Exits Due to Other Causes";
    for (unsigned i = 0; i < array_size(offsets); i++)
        for (unsigned k = 0; k < array_size(accesses); k++) {
            ept_window_map(target);
            *ept_window[1] = 0;
            describe(accesses[k].code, offsets[i]);
            const char *name = name_of("address-%03x-%s", (unsigned)offsets[i], accesses[k].name);
            expect_reason(name, REASON_EPT_VIOLATION);
            expect_equal(name_of("%s-linear", name), "guest-linear address", EPT_WINDOW + offsets[i],
                         result.linear);
            expect_equal(name_of("%s-physical", name), "guest-physical address", ept_window_gpa + offsets[i],
                         result.physical);
            expect_equal(name_of("%s-rip", name), "RIP",
                         accesses[k].bit == Q_FETCH ? EPT_WINDOW + offsets[i] : (word_t)accesses[k].code,
                         result.rip);
        }
}

static void misconfiguration_address(void)
{
    section = "EPT Misconfigurations";
    for (unsigned level = 4; level >= 1; level--) {
        const char *name = name_of("misconfigured-%s-physical", levels[level]);
        if (!level_there(level)) {
            skipped(name, "physical addresses are too narrow for a second PML4 entry");
            continue;
        }
        ept_window_map(target);
        *ept_window[level] = (*ept_window[level] & ~(uint64_t)EPT_RWX) | EPT_WRITE;
        describe(code_read, OFFSET);
        const char *why = vm_enter();
        expect_true(name,
                    !why && result.reason == REASON_EPT_MISCONFIGURATION &&
                        result.physical == ept_window_gpa + OFFSET,
                    "expected an EPT misconfiguration at %#llx\ngot %s, at %#llx",
                    (unsigned long long)ept_window_gpa + OFFSET, result_words(),
                    (unsigned long long)result.physical);
    }
}

// ---- Page sizes: a large page's base is what its size leaves of the target's address ----

static bool size_there(unsigned level)
{
    uint64_t caps = processor.caps.ept_vpid;
    return level == 1 || (level == 2 && caps & EPT_CAP_PAGE_2M) || (level == 3 && caps & EPT_CAP_PAGE_1G);
}

static uint64_t size_mask(unsigned level)
{
    return (1ull << (12 + 9 * (level - 1))) - 1;
}

// Maps the target by a page of this level. Returns the offset of the target from the linear window's beginning.
static uint64_t map_size(unsigned level, uint64_t bits)
{
    uint64_t at = physical(target);
    ept_window_map(target);
    *ept_window[level] = (at & ~size_mask(level)) | (level > 1 ? EPT_LARGE : 0) | bits;
    return level == 1 ? 0 : at & size_mask(2);
}

// Behind describe(): the linear window leads to that part of the page in which the target is.
static void aim(unsigned level)
{
    uint64_t inside = physical(target) & size_mask(level) & ~size_mask(2);
    if (level == 3)
        subject_pages[2][EPT_WINDOW >> 21] += inside;
}

static void describe_size(unsigned level, const char *code, uint64_t bits)
{
    uint64_t at = map_size(level, bits);
    describe(code, at + OFFSET);
    aim(level);
}

static void sizes(void)
{
    static const char *const names[] = {NULL, "4k", "2m", "1g"};
    for (unsigned level = 1; level <= 3; level++) {
        section = "EPT Translation Mechanism";
        if (!size_there(level)) {
            describe_size(level, code_read, EPT_RWX | EPT_WB);
            expect_reason(name_of("size-%s-refused", names[level]), REASON_EPT_MISCONFIGURATION);
            skipped(name_of("size-%s", names[level]), "the processor has no EPT pages of this size");
            continue;
        }
        memcpy(target + OFFSET, "\x0f\x01\xc1\0\0\0\0\1", 8);
        uint64_t expected = *(uint64_t *)(target + OFFSET);
        describe_size(level, code_read, EPT_RWX | EPT_WB);
        expect_passed(name_of("size-%s-read", names[level]));
        expect_equal(name_of("size-%s-value", names[level]), "value read", expected, vm_gpr[0]);
        describe_size(level, code_fetch, EPT_RWX | EPT_WB);
        expect_passed(name_of("size-%s-fetch", names[level]));
        describe_size(level, code_write, EPT_RWX | EPT_WB);
        expect_passed(name_of("size-%s-write", names[level]));
        expect_equal(name_of("size-%s-written", names[level]), "value in memory", VALUE,
                     *(uint64_t *)(target + OFFSET));
        for (unsigned i = 0; i < array_size(accesses); i++) {
            unsigned rights = accesses[i].bit == Q_READ ? 0 : EPT_READ;
            describe_size(level, accesses[i].code, rights | EPT_WB);
            expect_violation(name_of("size-%s-%s-violates", names[level], accesses[i].name),
                             accesses[i].bit | rights << Q_ALLOWED | Q_LINEAR | Q_FINAL);
        }
    }
}

// ---- Memory types of pages ----

static void memory_types(void)
{
    static const char *const names[] = {NULL, "4k", "2m", "1g"};
    section = "EPT and Memory Typing";
    for (unsigned level = 1; level <= 3; level++)
        for (unsigned type = 0; type < 8; type++)
            for (unsigned ignore_pat = 0; ignore_pat < 2; ignore_pat++) {
                const char *name =
                    name_of("type-%u-%s%s", type, names[level], ignore_pat ? "-ignore-pat" : "");
                if (!size_there(level)) {
                    skipped(name, "the processor has no EPT pages of this size");
                    continue;
                }
                describe_size(level, code_read, EPT_RWX | type << EPT_TYPE | ignore_pat << 6);
                if (type == 2 || type == 3 || type == 7)
                    expect_reason(name, REASON_EPT_MISCONFIGURATION);
                else
                    expect_passed(name);
            }
}

// ---- Reserved bits, and those that are ignored ----

static void bits_of(unsigned level, bool leaf, uint64_t bits, bool reserved)
{
    for (; bits; bits &= bits - 1) {
        unsigned bit = (unsigned)__builtin_ctzll(bits);
        const char *name = name_of("%s-%s%s-bit-%u", reserved ? "reserved" : "ignored", levels[level],
                                   leaf && level > 1 ? "-leaf" : "", bit);
        if (!level_there(level) || (leaf && !size_there(level))) {
            skipped(name, leaf ? "the processor has no EPT pages of this size"
                               : "physical addresses are too narrow for a second PML4 entry");
            continue;
        }
        if (leaf)
            describe_size(level, code_read, EPT_RWX | EPT_WB);
        else {
            ept_window_map(target);
            describe(code_read, OFFSET);
        }
        *ept_window[level] |= 1ull << bit;
        if (reserved)
            expect_reason(name, REASON_EPT_MISCONFIGURATION);
        else
            expect_passed(name);
    }
}

// Bits above the physical-address width up to 51.
static uint64_t beyond_width(void)
{
    return ((1ull << 52) - 1) & ~((1ull << processor.physical_width) - 1);
}

static void reserved_bits(void)
{
    enum { IGNORED = 0xf00 }; // accessed and dirty flags are off, user execution has no right of its own
    const uint64_t upper = 0x1full << 52 | EPT_SUPPRESS_VE;
    section = "EPT Misconfigurations";
    bits_of(4, false, 0xf8 | beyond_width(), true);
    bits_of(3, false, 0x78 | beyond_width(), true);
    bits_of(2, false, 0x78 | beyond_width(), true);
    bits_of(3, true, (size_mask(3) & ~0xfffull) | beyond_width(), true);
    bits_of(2, true, (size_mask(2) & ~0xfffull) | beyond_width(), true);
    bits_of(1, true, beyond_width(), true);
    section = "EPT Translation Mechanism";
    bits_of(4, false, IGNORED | upper, false);
    bits_of(3, false, IGNORED | upper, false);
    bits_of(2, false, IGNORED | upper, false);
    bits_of(2, true, IGNORED | upper, false);
    bits_of(1, true, IGNORED | EPT_LARGE | upper, false);
}

// An entry that is not present is not looked at any further.
static void not_present(void)
{
    section = "EPT Misconfigurations";
    for (unsigned level = 4; level >= 1; level--) {
        const char *name = name_of("not-present-%s-all-other-bits", levels[level]);
        if (!level_there(level)) {
            skipped(name, "physical addresses are too narrow for a second PML4 entry");
            continue;
        }
        ept_window_map(target);
        *ept_window[level] = ~(uint64_t)EPT_RWX;
        describe(code_read, OFFSET);
        expect_violation(name, Q_READ | Q_LINEAR | Q_FINAL);
    }
}

// ---- Guest paging structures are accesses, too ----

static uint64_t *guest_table; // a page directory of the entered code that lies in the window

// The window's page is the page directory through which EPT_WINDOW + 1 GByte is translated.
static void describe_walk(uint64_t flags)
{
    enum { LARGE_OPEN_ACCESSED = 1 << 7 | 7 | 1 << 5 | 1 << 6 };
    memset(guest_table, 0, PAGE);
    ept_window_map(guest_table);
    guest_table[0] = LARGE_OPEN_ACCESSED & ~(flags & 1 ? 1u << 5 : 0); // 2 MBytes at 0
    describe(code_read, 0);
    subject_pages[1][1] = ept_window_gpa | 7;
    vm_gpr[3] = (1ull << 30) + (word_t)target;
    subject_pages[1][1] |= 1 << 5;
}

static void guest_walks(void)
{
    section = "EPT Violations";
    describe_walk(0);
    expect_passed("walk-good");
    describe_walk(0);
    *ept_window[1] &= ~(uint64_t)EPT_RWX;
    expect_violation("walk-not-readable", Q_READ | Q_LINEAR);
    expect_equal("walk-not-readable-physical", "guest-physical address", ept_window_gpa, result.physical);
    expect_equal("walk-not-readable-linear", "guest-linear address", (1ull << 30) + (word_t)target,
                 result.linear);
    describe_walk(0);
    *ept_window[1] &= ~(uint64_t)(EPT_WRITE | EPT_EXECUTE);
    expect_passed("walk-read-only");
    describe_walk(1); // the accessed flag has to be set
    *ept_window[1] &= ~(uint64_t)EPT_WRITE;
    const char *why = vm_enter();
    expect_true("walk-sets-accessed-read-only",
                !why && result.reason == REASON_EPT_VIOLATION &&
                    (result.qualification & (Q_WRITE | Q_FINAL)) == Q_WRITE,
                "expected an EPT violation by a write to a paging structure\ngot %s", result_words());
    describe_walk(1);
    expect_passed("walk-sets-accessed");
    expect_equal("walk-sets-accessed-flag", "accessed flag of the guest's entry", 1 << 5,
                 guest_table[0] & 1 << 5);
}

// MOV to CR3 loads PDPTEs: no linear address belongs to that.
static void pdptes(void)
{
    section = "Exit Qualification for EPT Violations";
    vm_reset();
    vm_mode(MODE_PAE);
    vm_set(EPT_POINTER, pointer);
    vm_run(code_load_pdptes);
    vm_gpr[3] = 3u << 30; // nothing is mapped there
    expect_violation("pdptes-not-mapped", Q_READ);
    expect_equal("pdptes-not-mapped-physical", "guest-physical address", 3u << 30, result.physical);
}

// ---- Accessed and dirty flags ----

static uint64_t flags_of(unsigned level)
{
    return *ept_window[level] & (EPT_ACCESSED | EPT_DIRTY);
}

static void flags_after(const char *size, unsigned leaf, const struct access *a)
{
    describe_size(leaf, a->code, EPT_RWX | EPT_WB);
    ept_use(pointer | EPTP_ACCESSED_DIRTY);
    aim(leaf);
    expect_passed(name_of("flags-%s-%s", size, a->name));
    for (unsigned level = 4; level >= leaf; level--) {
        const char *name = name_of("flags-%s-%s-%s", size, a->name, levels[level]);
        bool dirty = level == leaf && a->bit == Q_WRITE;
        if (level_there(level))
            expect_equal(name, "accessed and dirty flags", EPT_ACCESSED | (dirty ? EPT_DIRTY : 0),
                         flags_of(level));
        else
            skipped(name, "physical addresses are too narrow for a second PML4 entry");
    }
}

static void accessed_dirty(void)
{
    static const char *const names[] = {NULL, "4k", "2m", "1g"};
    section = "Accessed and Dirty Flags for EPT";
    for (unsigned i = 0; i < array_size(accesses); i++) {
        ept_window_map(target);
        describe(accesses[i].code, OFFSET);
        expect_passed(name_of("flags-off-%s", accesses[i].name));
        expect_equal(name_of("flags-off-%s-pte", accesses[i].name), "accessed and dirty flags", 0,
                     flags_of(1));
    }
    if (!(processor.caps.ept_vpid & EPT_CAP_ACCESSED_DIRTY)) {
        skipped("flags", "the processor has no accessed and dirty flags for EPT");
        return;
    }
    for (unsigned leaf = 1; leaf <= 3; leaf++)
        for (unsigned i = 0; i < array_size(accesses); i++)
            if (size_there(leaf))
                flags_after(names[leaf], leaf, &accesses[i]);
            else
                skipped(name_of("flags-%s-%s", names[leaf], accesses[i].name),
                        "the processor has no EPT pages of this size");
    ept_window_map(target);
    *ept_window[1] &= ~(uint64_t)EPT_WRITE;
    describe(code_write, OFFSET);
    ept_use(pointer | EPTP_ACCESSED_DIRTY);
    expect_reason("flags-violation", REASON_EPT_VIOLATION);
    expect_equal("flags-violation-not-dirty", "dirty flag", 0, flags_of(1) & EPT_DIRTY);
}

// With the flags on, every access to a guest paging structure counts as a write.
static void walks_are_writes(void)
{
    if (!(processor.caps.ept_vpid & EPT_CAP_ACCESSED_DIRTY))
        return;
    section = "Accessed and Dirty Flags for EPT";
    describe_walk(0);
    vm_set(EPT_POINTER, pointer | EPTP_ACCESSED_DIRTY);
    expect_passed("flags-walk");
    expect_equal("flags-walk-dirty", "accessed and dirty flags", EPT_ACCESSED | EPT_DIRTY, flags_of(1));
    describe_walk(0);
    vm_set(EPT_POINTER, pointer | EPTP_ACCESSED_DIRTY);
    *ept_window[1] &= ~(uint64_t)EPT_WRITE;
    expect_violation("flags-walk-read-only",
                     Q_READ | Q_WRITE | (EPT_READ | EPT_EXECUTE) << Q_ALLOWED | Q_LINEAR);
}

// ---- Page-modification logging ----

static uint64_t *log_page;

static void describe_pml(const char *code, unsigned index)
{
    memset(log_page, 0xff, PAGE);
    ept_window_map(target);
    describe(code, OFFSET);
    ept_use(pointer | EPTP_ACCESSED_DIRTY);
    vm_control(WORD_SECONDARY, SECONDARY_PML, true);
    vm_set(PML_ADDRESS, physical(log_page));
    vm_set(GUEST_PML_INDEX, index);
    vm_watch(GUEST_PML_INDEX);
}

// Entries from the walk through the subject's own tables come first, where their pages were not dirty yet.
static bool logged(uint64_t gpa)
{
    for (unsigned i = 0; i < PAGE / 8; i++)
        if (log_page[i] == gpa)
            return true;
    return false;
}

static void pml(void)
{
    enum { LAST = 511 };
    section = "Page-Modification Logging";
    if (!can(WORD_SECONDARY, SECONDARY_PML)) {
        skipped("pml", "the processor has no page-modification logging");
        return;
    }
    describe_pml(code_write, LAST);
    expect_passed("pml-write");
    expect_true("pml-write-logged", logged(ept_window_gpa),
                "expected %#llx in the log\ngot %#llx, %#llx, %#llx", (unsigned long long)ept_window_gpa,
                (unsigned long long)log_page[LAST], (unsigned long long)log_page[LAST - 1],
                (unsigned long long)log_page[LAST - 2]);
    expect_true("pml-write-index", vm_saw(GUEST_PML_INDEX) < LAST, "expected an index below 511\ngot %u",
                (unsigned)vm_saw(GUEST_PML_INDEX));
    describe_pml(code_read, LAST);
    expect_passed("pml-read");
    expect_true("pml-read-not-logged", !logged(ept_window_gpa), "expected no entry\ngot one");
    describe_pml(code_write, LAST);
    *ept_window[1] |= EPT_DIRTY | EPT_ACCESSED;
    expect_passed("pml-dirty-before");
    expect_true("pml-dirty-before-not-logged", !logged(ept_window_gpa), "expected no entry\ngot one");
    for (unsigned index = LAST + 1; index <= 0xffff; index = index == LAST + 1 ? 0xffff : 0x10000) {
        describe_pml(code_write, index);
        *(uint64_t *)(target + OFFSET) = 0;
        expect_exit(name_of("pml-full-%04x", index), REASON_PML_FULL, 0);
        expect_equal(name_of("pml-full-%04x-not-dirty", index), "dirty flag", 0, flags_of(1) & EPT_DIRTY);
        expect_equal(name_of("pml-full-%04x-index", index), "PML index", index, vm_saw(GUEST_PML_INDEX));
    }
}

// ---- EPTP switching ----

CODE(code_switch, "vmfunc; mov (%rbx), %rax");
static uint64_t *list;
static uint8_t *second_target;
static uint64_t second_pointer;

// A second EPT that differs in the window alone: its PML4 is a copy with another entry.
static bool build_second(void)
{
    static uint64_t tables[4][512] __attribute__((aligned(4096)));
    if (!level_there(4))
        return false;
    ept_window_map(target);
    memcpy(tables[0], (const void *)((word_t)ept_window[4] & ~(word_t)(PAGE - 1)), PAGE);
    tables[0][1] = physical(tables[1]) | EPT_RWX;
    tables[1][0] = physical(tables[2]) | EPT_RWX;
    tables[2][0] = physical(tables[3]) | EPT_RWX;
    tables[3][0] = physical(second_target) | EPT_RWX | EPT_WB;
    second_pointer = physical(tables[0]) | EPTP_WB | EPTP_WALK_4;
    *(uint64_t *)(target + OFFSET + 8) = 1;
    *(uint64_t *)(second_target + OFFSET + 8) = 2;
    return true;
}

static void describe_switch(uint32_t function, uint32_t index)
{
    ept_window_map(target);
    describe(code_switch, OFFSET + 8);
    vm_control(WORD_SECONDARY, SECONDARY_VM_FUNCTIONS, true);
    vm_control(WORD_FUNCTION, FUNCTION_EPTP_SWITCHING, true);
    vm_set(EPTP_LIST_ADDRESS, physical(list));
    vm_set(EXCEPTION_BITMAP, ~0u);
    vm_watch(EPT_POINTER);
    vm_watch(EPTP_INDEX);
    memset(list, 0, PAGE);
    list[0] = pointer;
    list[1] = list[511] = second_pointer;
    vm_gpr[0] = function;
    vm_gpr[1] = index;
}

static void switching(void)
{
    static const struct {
        const char *name;
        uint64_t flip; // of a pointer in the list
    } bad[] = {
        {"memory-type", 2 ^ 6  },
        {"walk-length", 1 << 3 },
        {"reserved-8",  1 << 8 },
        {"reserved-11", 1 << 11},
    };
    section = "EPTP Switching";
    describe(code_switch, OFFSET);
    vm_gpr[0] = vm_gpr[1] = 0;
    vm_set(EXCEPTION_BITMAP, ~0u);
    expect_exception("vmfunc-not-enabled", VECTOR_UD, -1);
    if (!can(WORD_FUNCTION, FUNCTION_EPTP_SWITCHING) || !build_second()) {
        skipped("switch", "no EPTP switching, or no room for a second EPT");
        return;
    }
    describe_switch(0, 0);
    expect_passed("switch-to-same");
    expect_equal("switch-to-same-value", "value read", 1, vm_gpr[0]);
    describe_switch(0, 1);
    expect_passed("switch");
    expect_equal("switch-value", "value read", 2, vm_gpr[0]);
    expect_equal("switch-pointer", "EPT_POINTER", second_pointer, vm_saw(EPT_POINTER));
    if (can(WORD_SECONDARY, SECONDARY_EPT_VIOLATION_VE))
        expect_equal("switch-index", "EPTP index", 1, vm_saw(EPTP_INDEX));
    else
        skipped("switch-index", "no EPT-violation #VE");
    describe_switch(0, 511);
    expect_passed("switch-last");
    expect_equal("switch-last-value", "value read", 2, vm_gpr[0]);
    describe_switch(0, 1);
    vm_user();
    expect_reason("switch-cpl3", REASON_VMCALL);
    describe_switch(0, 512);
    expect_reason("switch-beyond-list", REASON_VMFUNC);
    expect_equal("switch-beyond-list-length", "instruction length", 3, result.length);
    describe_switch(0, 1);
    vm_control(WORD_FUNCTION, FUNCTION_EPTP_SWITCHING, false);
    expect_reason("switch-function-off", REASON_VMFUNC);
    describe_switch(1, 1);
    expect_reason("switch-function-1", REASON_VMFUNC);
    describe_switch(63, 1);
    expect_reason("switch-function-63", REASON_VMFUNC);
    describe_switch(64, 1);
    expect_exception("switch-function-64", VECTOR_UD, -1);
    for (unsigned i = 0; i < array_size(bad); i++) {
        describe_switch(0, 1);
        list[1] ^= bad[i].flip;
        expect_reason(name_of("switch-bad-%s", bad[i].name), REASON_VMFUNC);
    }
    for (uint64_t bits = beyond_width(); bits; bits &= bits - 1) {
        describe_switch(0, 1);
        list[1] |= bits & -bits;
        expect_reason(name_of("switch-bad-bit-%d", __builtin_ctzll(bits)), REASON_VMFUNC);
    }
}

// ---- #VE ----

// The access behind an interrupt that was delivered and has returned. Bochs 2.7 takes an exit during event delivery, also
// one of another machine's, for the delivery still going on, and then raises no #VE.
#define BEHIND_INTERRUPT "int $0x30; "
CODE(code_ve_read, BEHIND_INTERRUPT "mov (%rbx), %rax");
CODE(code_ve_write, BEHIND_INTERRUPT "mov %rax, (%rbx)");
CODE(code_ve_fetch, BEHIND_INTERRUPT "jmp *%rbx");
CODE(code_return, "iretq");

static const struct access ve_accesses[] = {
    {"read",  code_ve_read,  Q_READ },
    {"write", code_ve_write, Q_WRITE},
    {"fetch", code_ve_fetch, Q_FETCH},
};

static void return_from(uint8_t vector)
{
    uint64_t at = (word_t)code_return;
    subject_idt[2 * vector] =
        (subject_idt[2 * vector] & 0x0000ffffffff0000) | (at & 0xffff) | (at >> 16 & 0xffff) << 48;
    subject_idt[2 * vector + 1] = at >> 32;
}

static uint32_t *ve_page;
enum { VE = 20, VE_BUSY = 1 }; // index of its second word, which must be 0 for a #VE

static void describe_ve(const struct access *a, uint64_t pte)
{
    memset(ve_page, 0, PAGE);
    ept_window_map(target);
    *ept_window[1] = pte;
    describe(a->code, OFFSET);
    vm_tables();
    return_from(0x30);
    vm_control(WORD_SECONDARY, SECONDARY_EPT_VIOLATION_VE, true);
    vm_set(VE_INFORMATION_ADDRESS, physical(ve_page));
    vm_set(EPTP_INDEX, 0x1234);
}

static uint64_t ve_at(unsigned byte)
{
    return ve_page[byte / 4] | (uint64_t)ve_page[byte / 4 + 1] << 32;
}

static void ve(void)
{
    section = "Virtualization Exceptions";
    if (!can(WORD_SECONDARY, SECONDARY_EPT_VIOLATION_VE)) {
        skipped("ve", "no EPT-violation #VE");
        return;
    }
    for (unsigned i = 0; i < array_size(ve_accesses); i++) {
        const struct access *a = &ve_accesses[i];
        describe_ve(a, 0);
        expect_delivered(name_of("ve-%s", a->name), VE);
        expect_equal(name_of("ve-%s-reason", a->name), "exit reason in memory", REASON_EPT_VIOLATION,
                     ve_page[0]);
        expect_equal(name_of("ve-%s-busy", a->name), "word at offset 4", 0xffffffff, ve_page[VE_BUSY]);
        expect_equal(name_of("ve-%s-qualification", a->name), "qualification in memory",
                     a->bit | Q_LINEAR | Q_FINAL, ve_at(8) & Q_DEFINED);
        expect_equal(name_of("ve-%s-linear", a->name), "linear address in memory", EPT_WINDOW + OFFSET,
                     ve_at(16));
        expect_equal(name_of("ve-%s-physical", a->name), "physical address in memory",
                     ept_window_gpa + OFFSET, ve_at(24));
        expect_equal(name_of("ve-%s-index", a->name), "EPTP index in memory", 0x1234, ve_page[8] & 0xffff);
        describe_ve(a, EPT_SUPPRESS_VE);
        expect_violation(name_of("ve-%s-suppressed", a->name), a->bit | Q_LINEAR | Q_FINAL);
        describe_ve(a, 0);
        ve_page[VE_BUSY] = 1;
        expect_violation(name_of("ve-%s-while-busy", a->name), a->bit | Q_LINEAR | Q_FINAL);
        describe_ve(a, 0);
        vm_set(EXCEPTION_BITMAP, 1u << VE);
        expect_exception(name_of("ve-%s-in-bitmap", a->name), VE, -1);
        describe_ve(a, EPT_WRITE);
        expect_reason(name_of("ve-%s-misconfiguration", a->name), REASON_EPT_MISCONFIGURATION);
    }
    describe_ve(&ve_accesses[0], 0);
    vm_control(WORD_SECONDARY, SECONDARY_EPT_VIOLATION_VE, false);
    expect_violation("ve-off", Q_READ | Q_LINEAR | Q_FINAL);
}

BUCKET("EPT")
{
    target = page_take();
    second_target = page_take();
    guest_table = page_take();
    log_page = page_take();
    list = page_take();
    ve_page = page_take();
    pointer = ept_build();
    permissions();
    combined();
    addresses();
    misconfiguration_address();
    sizes();
    memory_types();
    reserved_bits();
    not_present();
    guest_walks();
    pdptes();
    accessed_dirty();
    walks_are_writes();
    pml();
    switching();
    ve();
}
