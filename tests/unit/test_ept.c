#include "mm/ept.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "mm/buddy.h"
#include "tests/host/ept_lookup.h"

enum { FRAMES = 256, PAGES_2M = 512, REGIONS = 6, STEPS = 20000 };
static const uint64_t MIB2 = 2ull << 20, GIB = 1ull << 30;

static struct frame records[FRAMES];
static struct buddy b;
static struct ept ept;
static int tables_left; // take() fails when it is used up

static pfn_t take(struct ept *e)
{
    (void)e;
    if (tables_left-- <= 0)
        return PFN_NONE;
    pfn_t f = buddy_alloc(&b, 0, OWNER_VM);
    if (!pfn_is_none(f))
        memset(pfn_to_virt(f), 0, PAGE_SIZE);
    return f;
}

static void give(struct ept *e, pfn_t table)
{
    (void)e;
    assert_int_equal(buddy_free(&b, table, OWNER_VM), E_OK);
}

// Leaves of 4 KiB where a larger one is around `at`, as mm/large.c makes them.
static enum error split(gpa_t at)
{
    unsigned level;
    uint64_t *entry = ept_walk(&ept, at, &level);
    for (; *entry & EPT_RIGHTS && level > EPT_4K; entry = ept_walk(&ept, at, &level)) {
        pfn_t table = take(&ept);
        if (pfn_is_none(table))
            return E_NO_MEMORY;
        ept.tables++;
        ept_split_leaf(entry, level, table);
    }
    return *entry & EPT_RIGHTS ? E_OK : E_NOT_FOUND;
}

static uint64_t gone_pages;
static bool gone(struct ept *e, uint64_t *entry, enum ept_level level)
{
    (void)e;
    assert_int_equal((*entry & EPT_ADDRESS) >> PAGE_SHIFT & ((1ull << 9 * level) - 1), 0);
    gone_pages += 1ull << 9 * level;
    return true;
}

static int start(void **state)
{
    (void)state;
    if (!host_ram)
        host_ram = aligned_alloc(PAGE_SIZE, FRAMES * PAGE_SIZE);
    memset(records, 0, sizeof(records));
    buddy_init(&b, records, FRAMES);
    buddy_add(&b, pfn(1), pfn(FRAMES));
    ept_features = (struct ept_features){.pages_2m = true, .pages_1g = true};
    tables_left = FRAMES;
    gone_pages = 0;
    srand(9);
    assert_int_equal(ept_init(&ept, take, give), E_OK);
    return 0;
}

static void reap_all(void)
{
    int calls = 0;
    while (!ept_reap(&ept, 50, gone))
        assert_true(++calls < 10000);
    assert_int_equal(b.free, FRAMES - 1);
    assert_int_equal(buddy_owned(&b, OWNER_VM), 0);
    assert_true(ept_reap(&ept, 50, gone)); // nothing left to do
}

static int stop(void **state)
{
    (void)state;
    free(host_ram);
    host_ram = NULL;
    return 0;
}

static void entries_have_the_bits_of_the_manual(void **state)
{
    (void)state;
    uint64_t *root = pfn_to_virt(ept.root);
    assert_int_equal(ept_pointer(&ept), ept.root.v << 12 | 6 | 3 << 3);
    ept_features.accessed_dirty = true;
    assert_int_equal(ept_pointer(&ept), ept.root.v << 12 | 6 | 3 << 3 | 1 << 6);
    assert_int_equal(ept_map(&ept, gpa(0x8000003000), hpa(0x12345000), EPT_4K, EPT_READ | EPT_WRITE), E_OK);
    assert_int_equal(root[1] & 0xfff, 7); // 512 GiB on: second entry
    assert_int_equal(*ept_peek(&ept, gpa(0x8000003fff)), 0x12345000 | 6 << 3 | 3);
    assert_int_equal(ept_map(&ept, gpa(0x8000200000), hpa(0x40000000), EPT_2M, EPT_RIGHTS), E_OK);
    uint64_t *pdpt = hpa_to_virt(hpa(root[1] & EPT_ADDRESS)), *pd = hpa_to_virt(hpa(pdpt[0] & EPT_ADDRESS));
    assert_int_equal(pd[1], 0x40000000 | 1 << 7 | 6 << 3 | 7);
    assert_int_equal(ept_map(&ept, gpa(0x8040000000), hpa(0x80000000), EPT_1G, EPT_READ), E_OK);
    assert_int_equal(pdpt[1], 0x80000000 | 1 << 7 | 6 << 3 | 1);
    assert_int_equal(ept.tables, 4);
    reap_all();
    assert_int_equal(gone_pages, 1 + 512 + 512 * 512);
}

static void bad_arguments_are_refused(void **state)
{
    (void)state;
    assert_int_equal(ept_map(&ept, gpa(0x1001), hpa(0), EPT_4K, 7), E_INVALID);
    assert_int_equal(ept_map(&ept, gpa(0x1000), hpa(0x10), EPT_4K, 7), E_INVALID);
    assert_int_equal(ept_map(&ept, gpa(0x1000), hpa(1ull << 52), EPT_4K, 7), E_INVALID);
    assert_int_equal(ept_map(&ept, gpa(0x201000), hpa(0), EPT_2M, 7), E_INVALID);
    assert_int_equal(ept_map(&ept, gpa(0x200000), hpa(0x1000), EPT_2M, 7), E_INVALID);
    assert_int_equal(ept_map(&ept, gpa(MIB2), hpa(0), EPT_1G, 7), E_INVALID);
    assert_int_equal(ept_map(&ept, gpa(1ull << 48), hpa(0), EPT_4K, 7), E_INVALID);
    assert_int_equal(ept_map(&ept, gpa(0), hpa(0), EPT_4K, EPT_WRITE), E_INVALID);
    assert_int_equal(ept_map(&ept, gpa(0), hpa(0), EPT_4K, EPT_EXEC), E_INVALID);
    assert_int_equal(ept_map(&ept, gpa(0), hpa(0), EPT_4K, 0), E_INVALID);
    assert_int_equal(ept_map(&ept, gpa(0), hpa(0), EPT_4K, 15), E_INVALID);
    ept_features.pages_1g = false;
    assert_int_equal(ept_map(&ept, gpa(0), hpa(0), EPT_1G, 7), E_UNSUPPORTED);
    assert_int_equal(ept.tables, 1);
    reap_all();
}

static bool mtrr(hpa_t at, enum ept_level level, enum cache_type *type)
{
    if (at.v < MIB2 && level > EPT_4K)
        return false;
    *type = at.v >= 0xa0000 && at.v < 0xc0000 ? MT_UC : at.v >= GIB ? MT_WC : MT_WB;
    return true;
}

static void memory_types_follow_the_table(void **state)
{
    (void)state;
    struct ept_leaf leaf;
    ept_features.memory_type = mtrr;
    assert_int_equal(ept_map(&ept, gpa(0), hpa(0), EPT_2M, 7), E_UNSUPPORTED);
    assert_int_equal(ept_map(&ept, gpa(0xb8000), hpa(0xb8000), EPT_4K, 7), E_OK);
    assert_int_equal(ept_map(&ept, gpa(MIB2), hpa(MIB2), EPT_2M, 7), E_OK);
    assert_int_equal(ept_map(&ept, gpa(GIB), hpa(GIB), EPT_1G, 7), E_OK);
    assert_true(ept_lookup(&ept, gpa(0xb8123), &leaf));
    assert_int_equal(leaf.type, MT_UC);
    assert_int_equal(leaf.at.v, 0xb8123);
    assert_true(ept_lookup(&ept, gpa(MIB2 + 5), &leaf));
    assert_int_equal(leaf.type, MT_WB);
    assert_int_equal(leaf.level, EPT_2M);
    assert_int_equal(split(gpa(GIB + 0x12345678)), E_OK); // all the way, types kept
    assert_true(ept_lookup(&ept, gpa(GIB + 0x12345678), &leaf));
    assert_int_equal(leaf.type, MT_WC);
    assert_int_equal(leaf.level, EPT_4K);
    assert_int_equal(leaf.at.v, GIB + 0x12345678);
    assert_int_equal(*ept_peek(&ept, gpa(GIB + 0x12345678)) & EPT_LARGE, 0); // ignored bit stays clear
    reap_all();
}

// ---- A flat array of pages as the model ----

static struct {
    uint64_t pfn; // 0: not mapped
    uint64_t rights;
    int level;
} model[REGIONS * PAGES_2M];

static void random_map(uint64_t page)
{
    enum ept_level level = rand() % 4 ? EPT_4K : EPT_2M;
    uint64_t n = 1ull << 9 * level, at = page & ~(n - 1), to = (1 + (uint64_t)rand() % 5000) * n;
    uint64_t rights = EPT_READ | ((uint64_t)rand() & 6);
    enum error got = ept_map(&ept, gpa(at << 12), hpa(to << 12), level, rights);
    bool taken = false;
    for (uint64_t i = 0; i < n; i++)
        taken |= model[at + i].pfn != 0;
    if (taken)
        assert_int_equal(got, E_EXISTS);
    if (got == E_EXISTS && level == EPT_2M)
        return; // an empty table of small pages blocks it too
    assert_int_equal(got, taken ? E_EXISTS : E_OK);
    for (uint64_t i = 0; !taken && i < n; i++)
        model[at + i].pfn = to + i, model[at + i].rights = rights, model[at + i].level = (int)level;
}

static void random_unmap(uint64_t page)
{
    uint64_t was;
    enum ept_level level = rand() % 4 ? EPT_4K : EPT_2M;
    uint64_t n = 1ull << 9 * level, at = page & ~(n - 1);
    enum error got = ept_unmap(&ept, gpa(at << 12), level, &was);
    if (level == EPT_2M && got == E_NOT_FOUND)
        return;
    enum error expected = !model[at].pfn ? E_NOT_FOUND : model[at].level != (int)level ? E_INVALID : E_OK;
    if (level == EPT_2M && !model[at].pfn)
        expected = got; // E_NOT_FOUND or E_INVALID, as tables happen to be
    assert_int_equal(got, expected);
    if (got != E_OK)
        return;
    assert_int_equal(was & EPT_ADDRESS, model[at].pfn << 12);
    for (uint64_t i = 0; i < n; i++)
        model[at + i].pfn = 0;
}

static void random_split(uint64_t page)
{
    enum error got = split(gpa(page << 12));
    assert_int_equal(got, model[page].pfn ? E_OK : E_NOT_FOUND);
    if (got == E_OK && model[page].level == EPT_2M)
        for (uint64_t i = page & ~511ull; i <= (page | 511); i++)
            model[i].level = EPT_4K;
}

static void random_protect(uint64_t page)
{
    uint64_t rights = EPT_READ | ((uint64_t)rand() & 6);
    assert_int_equal(ept_protect(&ept, gpa(page << 12), rights), model[page].pfn ? E_OK : E_NOT_FOUND);
    uint64_t n = model[page].pfn ? 1ull << 9 * model[page].level : 0, at = page & ~(n - 1);
    for (uint64_t i = at; i < at + n; i++)
        model[i].rights = rights;
}

static void compare(uint64_t base, uint64_t page)
{
    struct ept_leaf leaf;
    uint64_t at = (page << 12 | (uint64_t)rand() % PAGE_SIZE);
    bool there = ept_lookup(&ept, gpa(base + at), &leaf);
    assert_int_equal(there, model[page].pfn != 0);
    if (!there)
        return;
    assert_int_equal(leaf.at.v, model[page].pfn << 12 | (at & 0xfff));
    assert_int_equal(leaf.rights, model[page].rights);
    assert_int_equal(leaf.level, model[page].level);
}

static void random_operations_agree_with_the_model(void **state)
{
    (void)state;
    static void (*const operation[])(uint64_t) = {random_map,   random_map,   random_map,    random_unmap,
                                                  random_unmap, random_split, random_protect};
    memset(model, 0, sizeof(model));
    for (int i = 0; i < STEPS; i++) {
        operation[(unsigned)rand() % array_size(operation)]((uint64_t)rand() % array_size(model));
        for (int k = 0; k < 20; k++)
            compare(0, (uint64_t)rand() % array_size(model));
    }
    uint64_t mapped = 0;
    for (uint64_t page = 0; page < array_size(model); page++) {
        compare(0, page);
        mapped += model[page].pfn != 0;
    }
    reap_all();
    assert_int_equal(gone_pages, mapped);
}

static void the_remembered_table_is_the_right_one(void **state)
{
    (void)state;
    for (int i = 0; i < 2000; i++) {
        gpa_t at = gpa((uint64_t)rand() % 40 * MIB2 + (uint64_t)rand() % MIB2);
        uint64_t *entry = ept_entry(&ept, at);
        assert_ptr_equal(entry, ept_peek(&ept, at));
        assert_ptr_equal(entry, ept_entry(&ept, at));
    }
    assert_int_equal(ept_map(&ept, gpa(GIB), hpa(GIB), EPT_1G, 7), E_OK);
    assert_null(ept_entry(&ept, gpa(GIB))); // a large leaf has no such entry
    reap_all();
}

// Every allocation fails once: the tree stays sound, and all of it comes back.
static void any_table_may_be_the_last(void **state)
{
    (void)state;
    reap_all();
    tables_left = 0;
    assert_int_equal(ept_init(&ept, take, give), E_NO_MEMORY);
    for (int n = 1; n < 8; n++) {
        tables_left = n;
        assert_int_equal(ept_init(&ept, take, give), E_OK);
        enum error e = ept_map(&ept, gpa(5 * GIB), hpa(GIB), EPT_1G, 7); // PML4, PDPT
        assert_int_equal(e, n >= 2 ? E_OK : E_NO_MEMORY);
        e = split(gpa(5 * GIB + 4 * MIB2)); // PD, PT
        assert_int_equal(e, n >= 4 ? E_OK : n >= 2 ? E_NO_MEMORY : E_NOT_FOUND);
        e = ept_map(&ept, gpa(0), hpa(0), EPT_4K, 7); // PD, PT
        assert_int_equal(e, n >= 6 ? E_OK : E_NO_MEMORY);
        struct ept_leaf leaf;
        assert_int_equal(ept_lookup(&ept, gpa(5 * GIB + 12345), &leaf), n >= 2);
        if (n >= 2)
            assert_int_equal(leaf.at.v, GIB + 12345);
        tables_left = FRAMES;
        reap_all();
    }
}

// Of each size: 512 leaves that are alike come to one, whatever their flags; one that differs keeps them apart.
static void leaves_that_are_alike_come_to_one(void **state)
{
    (void)state;
    static const uint64_t size[] = {PAGE_SIZE, MIB2, GIB};
    for (enum ept_level level = EPT_2M; level <= EPT_1G; level++) {
        gpa_t at = gpa((6 + level) * GIB + (level == EPT_2M ? 3 * MIB2 : 0)),
              last = gpa(at.v + 511 * size[level - 1]);
        for (uint64_t i = 0; i < 512; i++) {
            assert_int_equal(ept_sum(&ept, at, level), 0);
            gpa_t part = gpa(at.v + i * size[level - 1]);
            assert_int_equal(ept_map(&ept, part, hpa(2 * GIB + i * size[level - 1]), level - 1u, 7), E_OK);
        }
        assert_int_equal(ept_protect(&ept, last, EPT_READ), E_OK);
        assert_int_equal(ept_sum(&ept, at, level), 0);
        assert_int_equal(ept_protect(&ept, last, EPT_RIGHTS), E_OK);
        unsigned found;
        *ept_walk(&ept, last, &found) |= EPT_DIRTY;
        uint64_t leaf = ept_sum(&ept, last, level);
        assert_int_equal(leaf, 2 * GIB | EPT_RIGHTS | EPT_DIRTY | MT_WB << EPT_TYPE_SHIFT | EPT_LARGE);
        ept_features.pages_2m = ept_features.pages_1g = false;
        assert_int_equal(ept_sum(&ept, last, level), 0);
        ept_features.pages_2m = ept_features.pages_1g = true;
        uint32_t tables = ept.tables;
        pfn_t unused = ept_merge(&ept, last, level, leaf);
        assert_int_equal(ept.tables, tables);
        struct ept_leaf is;
        assert_true(ept_lookup(&ept, gpa(last.v + 5), &is));
        assert_true(is.level == level && is.at.v == 2 * GIB + last.v - at.v + 5 && is.dirty);
        assert_int_equal(ept_sum(&ept, at, level), 0);
        give(&ept, unused);
        ept.tables--;
    }
    reap_all();
}

static void unmapping_reports_accessed_and_dirty(void **state)
{
    (void)state;
    uint64_t was;
    assert_int_equal(ept_map(&ept, gpa(0x5000), hpa(0x7000), EPT_4K, 7), E_OK);
    *ept_entry(&ept, gpa(0x5000)) |= EPT_ACCESSED | EPT_DIRTY; // as a processor would
    assert_int_equal(ept_protect(&ept, gpa(0x5000), EPT_READ), E_OK);
    assert_int_equal(ept_unmap(&ept, gpa(0x5000), EPT_4K, &was), E_OK);
    assert_int_equal(was & (EPT_ACCESSED | EPT_DIRTY | EPT_RIGHTS), EPT_ACCESSED | EPT_DIRTY | EPT_READ);
    reap_all();
}

// A page directory that many trees share is none of theirs: none takes it apart.
static void linked_directories_are_nobodys(void **state)
{
    (void)state;
    pfn_t frame = take(&ept);
    uint64_t *directory = pfn_to_virt(frame), linked = pfn_to_hpa(frame).v;
    uint64_t *root = pfn_to_virt(ept.root);
    directory[3] = 0x40000000 | EPT_LARGE | EPT_RIGHTS;
    assert_int_equal(ept_link(&ept, gpa(3 * GIB), hpa(linked)), E_OK);
    uint64_t *pdpt = hpa_to_virt(hpa(root[0] & EPT_ADDRESS));
    assert_int_equal(pdpt[3], linked | EPT_RIGHTS | EPT_LINK);
    assert_int_equal(ept_link(&ept, gpa(3 * GIB), hpa(0)), E_OK);
    assert_int_equal(pdpt[3], 0);
    assert_int_equal(ept_map(&ept, gpa(3 * GIB), hpa(0x1000), EPT_4K, EPT_RIGHTS), E_OK);
    assert_int_equal(ept_link(&ept, gpa(3 * GIB), hpa(linked)), E_EXISTS);
    assert_int_equal(ept_link(&ept, gpa(3 * GIB), hpa(0)), E_EXISTS);
    assert_int_equal(ept_link(&ept, gpa(2 * GIB), hpa(linked)), E_OK);
    assert_int_equal(ept_link(&ept, gpa(2 * GIB), hpa(linked)), E_OK);
    while (!ept_reap(&ept, 50, gone))
        ;
    assert_int_equal(gone_pages, 1);
    assert_int_equal(buddy_owned(&b, OWNER_VM), 1);
    assert_int_equal(directory[3], 0x40000000 | EPT_LARGE | EPT_RIGHTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(entries_have_the_bits_of_the_manual, start),
        cmocka_unit_test_setup(bad_arguments_are_refused, start),
        cmocka_unit_test_setup(memory_types_follow_the_table, start),
        cmocka_unit_test_setup(random_operations_agree_with_the_model, start),
        cmocka_unit_test_setup(leaves_that_are_alike_come_to_one, start),
        cmocka_unit_test_setup(the_remembered_table_is_the_right_one, start),
        cmocka_unit_test_setup(any_table_may_be_the_last, start),
        cmocka_unit_test_setup(linked_directories_are_nobodys, start),
        cmocka_unit_test_setup(unmapping_reports_accessed_and_dirty, start),
    };
    return cmocka_run_group_tests(tests, NULL, stop);
}
