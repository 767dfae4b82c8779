// EPT: permissions, misconfigurations, page sizes, memory types, guest paging structures, and what violations say.
#include "guests/vmx/lib/ept.h"

CODE(code_update, "lock incq (%rbx)");
CODE(code_load_pdptes, ".code32; mov %ebx, %cr3");

static const char *const levels[] = {NULL, "pte", "pde", "pdpte", "pml4e"};
static const char *const sizes[] = {NULL, "4k", "2m", "1g"};

// ---- Permissions: each entry, each combination, each access ----

static bool misconfigured(unsigned rights)
{
    bool write_only = (rights & EPT_WRITE) && !(rights & EPT_READ);
    return write_only || (rights == EPT_EXECUTE && !(processor.caps.ept_vpid & EPT_CAP_EXECUTE_ONLY));
}

static void permission(unsigned level, unsigned rights, const struct ept_access *a)
{
    static const char *const combinations[] = {"none", "r", "w", "rw", "x", "rx", "wx", "rwx"};
    const char *name = name_of("%s-%s-%s", levels[level], combinations[rights], a->name);
    if (!ept_window[level]) {
        skipped(name, "physical addresses are too narrow for a second PML4 entry");
        return;
    }
    ept_window_map(ept_target);
    *ept_window[level] = (*ept_window[level] & ~(uint64_t)EPT_RWX) | rights;
    ept_describe(a->code, EPT_OFFSET);
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
            for (unsigned i = 0; i < array_size(ept_accesses); i++)
                permission(level, rights, &ept_accesses[i]);
}

// Rights of all entries together, and no entry's alone.
static void combined(void)
{
    section = "Exit Qualification for EPT Violations";
    ept_window_map(ept_target);
    *ept_window[1] &= ~(uint64_t)EPT_WRITE;
    *ept_window[2] &= ~(uint64_t)EPT_EXECUTE;
    ept_describe(ept_accesses[EPT_TO_WRITE].code, EPT_OFFSET);
    expect_violation("rights-of-two-levels-write", Q_WRITE | EPT_READ << Q_ALLOWED | Q_LINEAR | Q_FINAL);
    ept_describe(ept_accesses[EPT_TO_FETCH].code, EPT_OFFSET);
    expect_violation("rights-of-two-levels-fetch", Q_FETCH | EPT_READ << Q_ALLOWED | Q_LINEAR | Q_FINAL);
    ept_describe(ept_accesses[EPT_TO_READ].code, EPT_OFFSET);
    expect_passed("rights-of-two-levels-read");
    ept_window_map(ept_target);
    *ept_window[1] &= ~(uint64_t)EPT_WRITE;
    ept_describe(code_update, EPT_OFFSET);
    const char *why = vm_enter(); // bit 0 as well: as the processor likes
    expect_true("update-is-a-write",
                !why && result.reason == REASON_EPT_VIOLATION && result.qualification & Q_WRITE,
                "expected an EPT violation with bit 1\ngot %s", result_words());
}

// ---- Where: linear and physical address ----

static void addresses(void)
{
    static const uint64_t offsets[] = {0, 8, 0x123, EPT_PAGE - 8};
    section = "Information for VM Exits Due to Other Causes";
    for (unsigned i = 0; i < array_size(offsets); i++)
        for (unsigned k = 0; k < array_size(ept_accesses); k++) {
            ept_window_map(ept_target);
            *ept_window[1] = 0;
            ept_describe(ept_accesses[k].code, offsets[i]);
            const char *name = name_of("address-%03x-%s", (unsigned)offsets[i], ept_accesses[k].name);
            expect_reason(name, REASON_EPT_VIOLATION);
            expect_equal(name_of("%s-linear", name), "guest-linear address", EPT_WINDOW + offsets[i],
                         result.linear);
            expect_equal(name_of("%s-physical", name), "guest-physical address", ept_window_gpa + offsets[i],
                         result.physical);
            expect_equal(name_of("%s-rip", name), "RIP",
                         ept_accesses[k].bit == Q_FETCH ? EPT_WINDOW + offsets[i]
                                                        : (word_t)ept_accesses[k].code,
                         result.rip);
        }
}

static void misconfiguration_address(void)
{
    section = "EPT Misconfigurations";
    for (unsigned level = 4; level >= 1; level--) {
        const char *name = name_of("misconfigured-%s-physical", levels[level]);
        if (!ept_window[level]) {
            skipped(name, "physical addresses are too narrow for a second PML4 entry");
            continue;
        }
        ept_window_map(ept_target);
        *ept_window[level] = (*ept_window[level] & ~(uint64_t)EPT_RWX) | EPT_WRITE;
        ept_describe(ept_accesses[EPT_TO_READ].code, EPT_OFFSET);
        const char *why = vm_enter();
        expect_true(name,
                    !why && result.reason == REASON_EPT_MISCONFIGURATION &&
                        result.physical == ept_window_gpa + EPT_OFFSET,
                    "expected an EPT misconfiguration at %#llx\ngot %s, at %#llx",
                    (unsigned long long)ept_window_gpa + EPT_OFFSET, result_words(),
                    (unsigned long long)result.physical);
    }
}

// ---- Page sizes ----

static void page_sizes(void)
{
    for (unsigned level = 1; level <= 3; level++) {
        section = "EPT Translation Mechanism";
        if (!ept_size_there(level)) {
            ept_describe_size(level, ept_accesses[EPT_TO_READ].code, EPT_RWX | EPT_WB);
            expect_reason(name_of("size-%s-refused", sizes[level]), REASON_EPT_MISCONFIGURATION);
            skipped(name_of("size-%s", sizes[level]), "the processor has no EPT pages of this size");
            continue;
        }
        memcpy(ept_target + EPT_OFFSET, "\x0f\x01\xc1\0\0\0\0\1", 8);
        uint64_t expected = *(uint64_t *)(ept_target + EPT_OFFSET);
        ept_describe_size(level, ept_accesses[EPT_TO_READ].code, EPT_RWX | EPT_WB);
        expect_passed(name_of("size-%s-read", sizes[level]));
        expect_equal(name_of("size-%s-value", sizes[level]), "value read", expected, vm_gpr[0]);
        ept_describe_size(level, ept_accesses[EPT_TO_FETCH].code, EPT_RWX | EPT_WB);
        expect_passed(name_of("size-%s-fetch", sizes[level]));
        ept_describe_size(level, ept_accesses[EPT_TO_WRITE].code, EPT_RWX | EPT_WB);
        expect_passed(name_of("size-%s-write", sizes[level]));
        expect_equal(name_of("size-%s-written", sizes[level]), "value in memory", EPT_VALUE,
                     *(uint64_t *)(ept_target + EPT_OFFSET));
        for (unsigned i = 0; i < array_size(ept_accesses); i++) {
            unsigned rights = ept_accesses[i].bit == Q_READ ? 0 : EPT_READ;
            ept_describe_size(level, ept_accesses[i].code, rights | EPT_WB);
            expect_violation(name_of("size-%s-%s-violates", sizes[level], ept_accesses[i].name),
                             ept_accesses[i].bit | rights << Q_ALLOWED | Q_LINEAR | Q_FINAL);
        }
    }
}

// ---- Memory types of pages ----

static void memory_types(void)
{
    section = "EPT and Memory Typing";
    for (unsigned level = 1; level <= 3; level++)
        for (unsigned type = 0; type < 8; type++)
            for (unsigned ignore_pat = 0; ignore_pat < 2; ignore_pat++) {
                const char *name =
                    name_of("type-%u-%s%s", type, sizes[level], ignore_pat ? "-ignore-pat" : "");
                if (!ept_size_there(level)) {
                    skipped(name, "the processor has no EPT pages of this size");
                    continue;
                }
                ept_describe_size(level, ept_accesses[EPT_TO_READ].code,
                                  EPT_RWX | type << EPT_TYPE | ignore_pat << 6);
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
        if (!ept_window[level] || (leaf && !ept_size_there(level))) {
            skipped(name, leaf ? "the processor has no EPT pages of this size"
                               : "physical addresses are too narrow for a second PML4 entry");
            continue;
        }
        if (leaf)
            ept_describe_size(level, ept_accesses[EPT_TO_READ].code, EPT_RWX | EPT_WB);
        else {
            ept_window_map(ept_target);
            ept_describe(ept_accesses[EPT_TO_READ].code, EPT_OFFSET);
        }
        *ept_window[level] |= 1ull << bit;
        if (reserved)
            expect_reason(name, REASON_EPT_MISCONFIGURATION);
        else
            expect_passed(name);
    }
}

static void reserved_bits(void)
{
    enum { IGNORED = 0xf00 }; // accessed and dirty flags are off, user execution has no right of its own
    const uint64_t upper = 0x1full << 52 | EPT_SUPPRESS_VE;
    section = "EPT Misconfigurations";
    bits_of(4, false, 0xf8 | ept_beyond_width(), true);
    bits_of(3, false, 0x78 | ept_beyond_width(), true);
    bits_of(2, false, 0x78 | ept_beyond_width(), true);
    bits_of(3, true, (ept_size_mask(3) & ~0xfffull) | ept_beyond_width(), true);
    bits_of(2, true, (ept_size_mask(2) & ~0xfffull) | ept_beyond_width(), true);
    bits_of(1, true, ept_beyond_width(), true);
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
        if (!ept_window[level]) {
            skipped(name, "physical addresses are too narrow for a second PML4 entry");
            continue;
        }
        ept_window_map(ept_target);
        *ept_window[level] = ~(uint64_t)EPT_RWX;
        ept_describe(ept_accesses[EPT_TO_READ].code, EPT_OFFSET);
        expect_violation(name, Q_READ | Q_LINEAR | Q_FINAL);
    }
}

// ---- Guest paging structures are ept_accesses, too ----

static void guest_walks(void)
{
    section = "EPT Violations";
    ept_describe_walk(true);
    expect_passed("walk-good");
    ept_describe_walk(true);
    *ept_window[1] &= ~(uint64_t)EPT_RWX;
    expect_violation("walk-not-readable", Q_READ | Q_LINEAR);
    expect_equal("walk-not-readable-physical", "guest-physical address", ept_window_gpa, result.physical);
    expect_equal("walk-not-readable-linear", "guest-linear address", (1ull << 30) + (word_t)ept_target,
                 result.linear);
    ept_describe_walk(true);
    *ept_window[1] &= ~(uint64_t)(EPT_WRITE | EPT_EXECUTE);
    expect_passed("walk-read-only");
    ept_describe_walk(false); // the accessed flag has to be set
    *ept_window[1] &= ~(uint64_t)EPT_WRITE;
    const char *why = vm_enter();
    expect_true("walk-sets-accessed-read-only",
                !why && result.reason == REASON_EPT_VIOLATION &&
                    (result.qualification & (Q_WRITE | Q_FINAL)) == Q_WRITE,
                "expected an EPT violation by a write to a paging structure\ngot %s", result_words());
    ept_describe_walk(false);
    expect_passed("walk-sets-accessed");
    expect_equal("walk-sets-accessed-flag", "accessed flag of the guest's entry", 1 << 5,
                 *ept_walk_entry & 1 << 5);
}

// MOV to CR3 loads PDPTEs: no linear address belongs to that.
static void pdptes(void)
{
    section = "Exit Qualification for EPT Violations";
    vm_reset();
    vm_mode(MODE_PAE);
    vm_set(EPT_POINTER, ept_pointer);
    vm_run(code_load_pdptes);
    vm_gpr[3] = 3u << 30; // nothing is mapped there
    expect_violation("pdptes-not-mapped", Q_READ);
    expect_equal("pdptes-not-mapped-physical", "guest-physical address", 3u << 30, result.physical);
}

BUCKET("EPT")
{
    ept_begin();
    permissions();
    combined();
    addresses();
    misconfiguration_address();
    page_sizes();
    memory_types();
    reserved_bits();
    not_present();
    guest_walks();
    pdptes();
}
