// Accessed and dirty flags for EPT, of data and of walks through guest paging structures, and the log of pages that
// become dirty.
#include "guests/vmx/lib/ept.h"

static const char *const levels[] = {NULL, "pte", "pde", "pdpte", "pml4e"};

// ---- Accessed and dirty flags ----

static uint64_t flags_of(unsigned level)
{
    return *ept_window[level] & (EPT_ACCESSED | EPT_DIRTY);
}

static void flags_after(const char *size, unsigned leaf, const struct ept_access *a)
{
    ept_describe_size(leaf, a->code, EPT_RWX | EPT_WB);
    ept_use(ept_pointer | EPTP_ACCESSED_DIRTY);
    ept_aim(leaf);
    expect_passed(name_of("flags-%s-%s", size, a->name));
    for (unsigned level = 4; level >= leaf; level--) {
        const char *name = name_of("flags-%s-%s-%s", size, a->name, levels[level]);
        bool dirty = level == leaf && a->bit == Q_WRITE;
        if (ept_window[level])
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
    for (unsigned i = 0; i < array_size(ept_accesses); i++) {
        ept_window_map(ept_target);
        ept_describe(ept_accesses[i].code, EPT_OFFSET);
        expect_passed(name_of("flags-off-%s", ept_accesses[i].name));
        expect_equal(name_of("flags-off-%s-pte", ept_accesses[i].name), "accessed and dirty flags", 0,
                     flags_of(1));
    }
    if (!(processor.caps.ept_vpid & EPT_CAP_ACCESSED_DIRTY)) {
        skipped("flags", "the processor has no accessed and dirty flags for EPT");
        return;
    }
    for (unsigned leaf = 1; leaf <= 3; leaf++)
        for (unsigned i = 0; i < array_size(ept_accesses); i++)
            if (ept_size_there(leaf))
                flags_after(names[leaf], leaf, &ept_accesses[i]);
            else
                skipped(name_of("flags-%s-%s", names[leaf], ept_accesses[i].name),
                        "the processor has no EPT pages of this size");
    ept_window_map(ept_target);
    *ept_window[1] &= ~(uint64_t)EPT_WRITE;
    ept_describe(ept_accesses[EPT_TO_WRITE].code, EPT_OFFSET);
    ept_use(ept_pointer | EPTP_ACCESSED_DIRTY);
    expect_reason("flags-violation", REASON_EPT_VIOLATION);
    expect_equal("flags-violation-not-dirty", "dirty flag", 0, flags_of(1) & EPT_DIRTY);
}

// With the flags on, every access to a guest paging structure counts as a write.
static void walks_are_writes(void)
{
    if (!(processor.caps.ept_vpid & EPT_CAP_ACCESSED_DIRTY))
        return;
    section = "Accessed and Dirty Flags for EPT";
    ept_describe_walk(true);
    vm_set(EPT_POINTER, ept_pointer | EPTP_ACCESSED_DIRTY);
    expect_passed("flags-walk");
    expect_equal("flags-walk-dirty", "accessed and dirty flags", EPT_ACCESSED | EPT_DIRTY, flags_of(1));
    ept_describe_walk(true);
    vm_set(EPT_POINTER, ept_pointer | EPTP_ACCESSED_DIRTY);
    *ept_window[1] &= ~(uint64_t)EPT_WRITE;
    expect_violation("flags-walk-read-only",
                     Q_READ | Q_WRITE | (EPT_READ | EPT_EXECUTE) << Q_ALLOWED | Q_LINEAR);
}

// ---- Page-modification logging ----

static uint64_t *log_page;

static void describe_pml(const char *code, unsigned index)
{
    memset(log_page, 0xff, EPT_PAGE);
    ept_window_map(ept_target);
    ept_describe(code, EPT_OFFSET);
    ept_use(ept_pointer | EPTP_ACCESSED_DIRTY);
    vm_control(WORD_SECONDARY, SECONDARY_PML, true);
    vm_set(PML_ADDRESS, physical(log_page));
    vm_set(GUEST_PML_INDEX, index);
    vm_watch(GUEST_PML_INDEX);
}

// Entries from the walk through the subject's own tables come first, where their pages were not dirty yet.
static bool logged(uint64_t gpa)
{
    for (unsigned i = 0; i < EPT_PAGE / 8; i++)
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
    describe_pml(ept_accesses[EPT_TO_WRITE].code, LAST);
    expect_passed("pml-write");
    expect_true("pml-write-logged", logged(ept_window_gpa),
                "expected %#llx in the log\ngot %#llx, %#llx, %#llx", (unsigned long long)ept_window_gpa,
                (unsigned long long)log_page[LAST], (unsigned long long)log_page[LAST - 1],
                (unsigned long long)log_page[LAST - 2]);
    expect_true("pml-write-index", vm_saw(GUEST_PML_INDEX) < LAST, "expected an index below 511\ngot %u",
                (unsigned)vm_saw(GUEST_PML_INDEX));
    describe_pml(ept_accesses[EPT_TO_READ].code, LAST);
    expect_passed("pml-read");
    expect_true("pml-read-not-logged", !logged(ept_window_gpa), "expected no entry\ngot one");
    describe_pml(ept_accesses[EPT_TO_WRITE].code, LAST);
    *ept_window[1] |= EPT_DIRTY | EPT_ACCESSED;
    expect_passed("pml-dirty-before");
    expect_true("pml-dirty-before-not-logged", !logged(ept_window_gpa), "expected no entry\ngot one");
    for (unsigned index = LAST + 1; index <= 0xffff; index = index == LAST + 1 ? 0xffff : 0x10000) {
        describe_pml(ept_accesses[EPT_TO_WRITE].code, index);
        *(uint64_t *)(ept_target + EPT_OFFSET) = 0;
        expect_exit(name_of("pml-full-%04x", index), REASON_PML_FULL, 0);
        expect_equal(name_of("pml-full-%04x-not-dirty", index), "dirty flag", 0, flags_of(1) & EPT_DIRTY);
        expect_equal(name_of("pml-full-%04x-index", index), "PML index", index, vm_saw(GUEST_PML_INDEX));
    }
}

BUCKET("accessed and dirty flags for EPT")
{
    ept_begin();
    log_page = page_take();
    accessed_dirty();
    walks_are_writes();
    pml();
}
