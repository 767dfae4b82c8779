// Slots that are backed at once, leaves that split and go together again, rights of pages: against an array of pages.
#include "mm/space.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/memory.h"
#include "mm/guest_view.h"
#include "mm/mm.h"
#include "mm/space_impl.h"
#include "tests/host/buddy_check.h"
#include "tests/host/ept_lookup.h"
#include "tests/host/mm_test.h"

enum { FRAMES = 8192, VM = OWNER_VM, REGION = 512, REGIONS = 5, FIRST = 2 * REGION - 100, STEPS = 4000 };
enum { PAGES = REGIONS * REGION }; // of the slot, which begins and ends within a region

static struct space *s;

static int start(void **state)
{
    (void)state;
    mm_test_start(FRAMES, (struct ept_features){.pages_2m = true, .pages_1g = true, .exec_only = true});
    srand(19);
    s = space_create(VM);
    assert_int_equal(space_add_slot(s, gfn(FIRST), PAGES, SLOT_RAM), E_OK);
    return 0;
}

static int finish(void **state)
{
    (void)state;
    const char *wrong = buddy_check(&frames);
    assert_string_equal(wrong ? wrong : "sound", "sound");
    space_destroy(s);
    mm_test_finish();
    return 0;
}

static unsigned level_of(uint64_t page)
{
    struct ept_leaf leaf;
    assert_true(ept_lookup(&s->ept, gfn_to_gpa(gfn(page)), &leaf));
    return leaf.level;
}

static enum error rights(uint64_t page, uint64_t pages, unsigned bits)
{
    uint64_t done = 0;
    enum error e = E_OK;
    while (pages && e == E_OK) {
        e = space_set_rights(s, gfn(page), pages, bits, &done);
        assert_true(done <= pages && (e != E_OK || done));
        page += done;
        pages -= done;
    }
    return e;
}

static void a_slot_backed_at_once_has_large_leaves(void **state)
{
    (void)state;
    space_populate(s, gfn(FIRST));
    for (uint64_t page = FIRST; page < FIRST + PAGES; page++) {
        bool whole = page >= 2 * REGION && page < (FIRST + PAGES) / REGION * REGION;
        struct ept_leaf leaf;
        assert_int_equal(level_of(page), whole ? EPT_2M : EPT_4K);
        assert_true(ept_lookup(&s->ept, gfn_to_gpa(gfn(page)), &leaf));
        assert_true(space_has_frame(s, hpa_to_pfn(leaf.at)));
        assert_int_equal(*(uint64_t *)guest_map(s, gfn_to_gpa(gfn(page)), 8), 0);
    }
    assert_int_equal(buddy_owned(&frames, VM), PAGES + s->ept.tables);
    assert_int_equal(s->ept.tables, 5); // root, PDPT, directory, two page tables
}

// Pages as large as the box has them: what is left over stays small, and no promise is broken.
static void without_large_blocks_pages_do(void **state)
{
    (void)state;
    static uint64_t hog[FRAMES];
    unsigned n = 0;
    space_destroy(s);
    frame_cache_flush(host_frame_cache);
    for (pfn_t f; !pfn_is_none(f = buddy_alloc(&frames, 0, OWNER_TEST));)
        hog[n++] = f.v;
    for (unsigned i = 0; i < n; i++) // every second goes back: no two of them are neighbours
        if (hog[i] % 2)
            assert_int_equal(buddy_free(&frames, pfn(hog[i]), OWNER_TEST), E_OK);
    s = space_create(VM);
    assert_int_equal(space_add_slot(s, gfn(FIRST), PAGES, SLOT_RAM), E_OK);
    space_populate(s, gfn(FIRST));
    for (uint64_t page = FIRST; page < FIRST + PAGES; page++)
        assert_int_equal(level_of(page), EPT_4K);
    for (unsigned i = 0; i < n; i++)
        if (hog[i] % 2 == 0)
            assert_int_equal(buddy_free(&frames, pfn(hog[i]), OWNER_TEST), E_OK);
}

static bool split_types(hpa_t at, enum ept_level level, enum cache_type *type)
{
    (void)at;
    *type = MT_WB;
    return level == EPT_4K;
}

static void mixed_memory_types_keep_leaves_small(void **state)
{
    (void)state;
    ept_features.memory_type = split_types;
    space_populate(s, gfn(FIRST));
    assert_int_equal(level_of(2 * REGION), EPT_4K);
    assert_int_equal(rights(2 * REGION, REGION, SLOT_RAM), E_OK);
    assert_int_equal(level_of(2 * REGION), EPT_4K); // nor are they put together
}

// Pages that have to be backed are dear.
static void rights_are_set_in_portions(void **state)
{
    (void)state;
    uint64_t done, page = 2 * REGION;
    assert_int_equal(space_set_rights(s, gfn(page), REGION, SLOT_READ, &done), E_OK);
    assert_true(done >= 1 && done <= 16);
    assert_int_equal(buddy_owned(&frames, VM), done + s->ept.tables);
    assert_int_equal(rights(page, REGION - 1, SLOT_READ), E_OK);
    assert_int_equal(space_set_rights(s, gfn(page), REGION - 1, SLOT_RAM, &done), E_OK);
    assert_true(done > 16 && done <= 64);
}

static void one_page_splits_and_the_last_one_merges(void **state)
{
    (void)state;
    uint64_t page = 3 * REGION + 77;
    space_populate(s, gfn(FIRST));
    uint32_t tables = s->ept.tables;
    hpa_t before = hpa(*ept_peek(&s->ept, gfn_to_gpa(gfn(FIRST))) & EPT_ADDRESS);
    struct ept_leaf was, is;
    assert_true(ept_lookup(&s->ept, gfn_to_gpa(gfn(page)), &was));
    uint64_t generation = space_generation(s);
    assert_int_equal(rights(page, 1, SLOT_READ), E_OK);
    assert_true(space_generation(s) > generation);
    assert_int_equal(level_of(page), EPT_4K);
    assert_int_equal(level_of(page + REGION), EPT_2M);
    assert_true(ept_lookup(&s->ept, gfn_to_gpa(gfn(page)), &is));
    assert_int_equal(is.at.v, was.at.v);
    assert_int_equal(s->ept.tables, tables + 1);
    assert_int_equal(space_fault(s, gfn_to_gpa(gfn(page)), ACCESS_WRITE), E_DENIED);
    assert_int_equal(space_fault(s, gfn_to_gpa(gfn(page)), ACCESS_READ), E_OK);
    for (unsigned i = 0; i < 3; i++) { // the table is there for the next time
        assert_int_equal(rights(3 * REGION, REGION, SLOT_RAM), E_OK);
        assert_int_equal(level_of(page), EPT_2M);
        assert_true(ept_lookup(&s->ept, gfn_to_gpa(gfn(page)), &is));
        assert_int_equal(is.at.v, was.at.v);
        assert_int_equal(rights(page, 1, SLOT_READ | SLOT_WRITE), E_OK);
        assert_int_equal(s->ept.tables, tables + 1);
    }
    assert_int_equal(hpa(*ept_peek(&s->ept, gfn_to_gpa(gfn(FIRST))) & EPT_ADDRESS).v, before.v);
}

// Lazily backed pages come as a block only by chance; when they do not, they stay as they are.
static void small_pages_of_any_frames_stay_small(void **state)
{
    (void)state;
    assert_int_equal(rights(2 * REGION, REGION, SLOT_READ), E_OK);
    assert_int_equal(level_of(2 * REGION), EPT_4K);
    char byte = 1;
    assert_int_equal(guest_write(s, gfn_to_gpa(gfn(2 * REGION + 5)), &byte, 1), E_DENIED);
    assert_null(guest_map(s, gfn_to_gpa(gfn(2 * REGION + 5)), 1));
    assert_int_equal(rights(2 * REGION + 5, 1, SLOT_RAM), E_OK);
    assert_int_equal(guest_write(s, gfn_to_gpa(gfn(2 * REGION + 5)), &byte, 1), E_OK);
}

static void a_view_sees_large_leaves(void **state)
{
    (void)state;
    struct guest_view view = {.space = s, .region = ~0ull};
    uint64_t at = (4ull * REGION + 9) << PAGE_SHIFT;
    space_populate(s, gfn(FIRST));
    assert_int_equal(guest_write(s, gpa(at + 3), "large", 5), E_OK);
    assert_memory_equal(guest_peek(&view, gpa(at + 3)), "large", 5);
    assert_int_equal(rights(at >> PAGE_SHIFT, 1, SLOT_READ), E_OK);
    assert_memory_equal(guest_peek(&view, gpa(at + 3)), "large", 5);
    assert_int_equal(rights(at >> PAGE_SHIFT, 1, SLOT_EXEC), E_OK);
    assert_null(guest_peek(&view, gpa(at + 3)));
}

static void wrong_rights_are_refused(void **state)
{
    (void)state;
    uint64_t done;
    assert_int_equal(space_add_slot(s, gfn(100000), 4, SLOT_READ | SLOT_EXEC), E_OK);
    assert_int_equal(space_add_slot(s, gfn(110000), 4, SLOT_EXEC), E_OK);
    assert_int_equal(space_set_rights(s, gfn(FIRST - 1), 1, SLOT_READ, &done), E_BAD_ADDRESS);
    assert_int_equal(space_set_rights(s, gfn(FIRST), PAGES + 1, SLOT_READ, &done), E_BAD_ADDRESS);
    assert_int_equal(space_set_rights(s, gfn(FIRST), ~0ull, SLOT_READ, &done), E_BAD_ADDRESS);
    assert_int_equal(space_set_rights(s, gfn(~0ull), 1, SLOT_READ, &done), E_BAD_ADDRESS);
    assert_int_equal(space_set_rights(s, gfn(FIRST), 1, 0, &done), E_INVALID);
    assert_int_equal(space_set_rights(s, gfn(FIRST), 1, SLOT_WRITE, &done), E_INVALID);
    assert_int_equal(space_set_rights(s, gfn(FIRST), 1, SLOT_WRITE | SLOT_EXEC, &done), E_INVALID);
    assert_int_equal(space_set_rights(s, gfn(FIRST), 1, 8 | SLOT_READ, &done), E_INVALID);
    assert_int_equal(space_set_rights(s, gfn(100000), 1, SLOT_RAM, &done), E_DENIED);
    assert_int_equal(space_set_rights(s, gfn(110000), 1, SLOT_READ, &done), E_DENIED);
    assert_int_equal(space_set_rights(s, gfn(FIRST), 0, SLOT_READ, &done), E_OK);
    assert_int_equal(done, 0);
    assert_int_equal(space_fault(s, gpa(110000ull << PAGE_SHIFT), ACCESS_EXEC), E_OK);
    assert_int_equal(space_fault(s, gpa(110000ull << PAGE_SHIFT), ACCESS_READ), E_DENIED);
    ept_features.exec_only = false;
    assert_int_equal(space_set_rights(s, gfn(FIRST), 1, SLOT_EXEC, &done), E_UNSUPPORTED);
    assert_int_equal(space_add_slot(s, gfn(120000), 4, SLOT_EXEC), E_INVALID);
}

static void a_leaf_that_is_lent_whole_is_not_split(void **state)
{
    (void)state;
    struct space *peer = space_create(VM + 1);
    uint64_t done;
    space_populate(s, gfn(FIRST));
    assert_int_equal(space_add_slot(peer, gfn(0), REGION, SLOT_WINDOW), E_OK);
    assert_int_equal(space_lend(s, gfn(2 * REGION), true, peer, gfn(0), SLOT_READ), E_OK);
    assert_int_equal(space_set_rights(s, gfn(2 * REGION + 1), 1, SLOT_READ, &done), E_EXISTS);
    assert_int_equal(space_set_rights(s, gfn(2 * REGION), REGION, SLOT_READ, &done), E_OK);
    space_destroy(peer);
    while (quarantine_poll())
        ;
    assert_int_equal(space_set_rights(s, gfn(2 * REGION + 1), 1, SLOT_READ, &done), E_OK);
    // Nor put together while one of its pages is lent.
    peer = space_create(VM + 1);
    assert_int_equal(space_add_slot(peer, gfn(0), REGION, SLOT_WINDOW), E_OK);
    assert_int_equal(space_lend(s, gfn(2 * REGION + 3), false, peer, gfn(0), SLOT_READ), E_OK);
    assert_int_equal(rights(2 * REGION, REGION, SLOT_RAM), E_OK);
    assert_int_equal(level_of(2 * REGION), EPT_4K);
    space_destroy(peer);
    while (quarantine_poll())
        ;
    assert_int_equal(rights(2 * REGION, REGION, SLOT_RAM), E_OK);
    assert_int_equal(level_of(2 * REGION), EPT_2M);
}

static void settle(void)
{
    while (quarantine_poll())
        ;
}

// In any order; an end of the slot that is no whole region stays as it is.
static void pages_go_together_whichever_is_the_last(void **state)
{
    (void)state;
    space_populate(s, gfn(FIRST));
    assert_int_equal(rights(FIRST, PAGES, SLOT_READ), E_OK);
    for (uint64_t page = FIRST; page < FIRST + PAGES; page += 3)
        assert_int_equal(rights(page, 1, SLOT_READ | SLOT_EXEC), E_OK);
    settle();
    assert_int_equal(level_of(3 * REGION), EPT_4K);
    for (uint64_t page = FIRST + PAGES; page-- > FIRST;)
        assert_int_equal(rights(page, 1, SLOT_READ), E_OK);
    settle();
    for (uint64_t page = FIRST; page < FIRST + PAGES; page++)
        assert_int_equal(level_of(page), page < 2 * REGION || page >= 6 * REGION ? EPT_4K : EPT_2M);
}

// A GiB in one block is split to the last page and is one leaf again, with its tables for the next time. What is
// written to it is little: the rest of this RAM is never touched.
enum { GIB_PAGES = REGION * REGION };
static struct space *with_a_gib(void)
{
    struct space *big = space_create(VM + 1);
    assert_int_equal(space_add_slot(big, gfn(GIB_PAGES), GIB_PAGES + 9, SLOT_RAM), E_OK);
    pfn_t f = buddy_alloc_promised(&frames, 18, VM + 1);
    assert_false(pfn_is_none(f));
    frames.frames[f.v + EPT_1G].next = 0;
    assert_int_equal(ept_map(&big->ept, gfn_to_gpa(gfn(GIB_PAGES)), pfn_to_hpa(f), EPT_1G, SLOT_RAM), E_OK);
    big->promised -= GIB_PAGES;
    return big;
}

static void change(uint64_t page, unsigned bits)
{
    assert_int_equal(rights(page, 1, bits), E_OK);
    for (unsigned i = 0; quarantine_poll(); i++)
        assert_true(i < 40); // portions for one page
}

static void a_gib_goes_together(void **state)
{
    (void)state;
    free(host_ram);
    host_ram = NULL;
    assert_int_equal(host_mm_start_unfilled(3 * GIB_PAGES), E_OK);
    free_at_start = frames.free;
    s = with_a_gib(); // RAM has one, wherever its records are
    const uint64_t first = GIB_PAGES, other = first + 200 * REGION + 3;
    uint32_t tables = s->ept.tables;
    for (unsigned i = 0; i < 3; i++) {
        change(first, SLOT_READ);
        assert_int_equal(level_of(first), EPT_4K);
        assert_int_equal(level_of(other), EPT_2M);
        change(other, SLOT_READ);
        change(first, SLOT_RAM);
        assert_int_equal(level_of(first), EPT_2M);
        assert_int_equal(level_of(other), EPT_4K);
        change(other, SLOT_RAM);
        assert_int_equal(level_of(other), EPT_1G);
        assert_int_equal(s->ept.tables, tables + 3); // a directory and two page tables, once
        assert_int_equal(guest_write(s, gfn_to_gpa(gfn(other)), &i, sizeof i), E_OK);
    }
    char byte = 7;
    assert_int_equal(guest_read(s, gfn_to_gpa(gfn(other)), &byte, 1), E_OK);
    assert_int_equal(byte, 2);
    assert_null(buddy_check(&frames));
}

// ---- Everything at random ----

static struct {
    uint8_t rights, value; // of the page; of its byte 5
} model[PAGES];

static void random_rights(void)
{
    static const unsigned kinds[] = {SLOT_READ, SLOT_READ | SLOT_WRITE, SLOT_RAM, SLOT_EXEC,
                                     SLOT_READ | SLOT_EXEC};
    uint64_t page = (uint64_t)rand() % PAGES, pages = 1 + (uint64_t)rand() % (rand() % 3 ? 4 : 1500);
    unsigned bits = kinds[(unsigned)rand() % array_size(kinds)];
    if (rand() % 3 == 0) // whole regions
        page = (FIRST + page) / REGION * REGION + REGION - FIRST, pages = REGION;
    bool inside = page < PAGES && pages <= PAGES - page;
    assert_int_equal(rights(FIRST + page, pages, bits), inside ? E_OK : E_BAD_ADDRESS);
    for (uint64_t i = page; inside && i < page + pages; i++)
        model[i].rights = (uint8_t)bits;
}

static void random_access(void)
{
    uint64_t page = (uint64_t)rand() % PAGES;
    gpa_t at = gpa(((FIRST + page) << PAGE_SHIFT) + 5);
    uint8_t value = (uint8_t)rand();
    bool reads = model[page].rights & SLOT_READ, writes = model[page].rights & SLOT_WRITE;
    if (rand() % 2) {
        assert_int_equal(guest_write(s, at, &value, 1), writes ? E_OK : E_DENIED);
        model[page].value = writes ? value : model[page].value;
    }
    assert_int_equal(guest_read(s, at, &value, 1), reads ? E_OK : E_DENIED);
    if (reads)
        assert_int_equal(value, model[page].value);
    enum access access = 1u << rand() % 3;
    assert_int_equal(space_fault(s, at, access), access & ~model[page].rights ? E_DENIED : E_OK);
}

static void random_rights_and_accesses_agree_with_an_array(void **state)
{
    (void)state;
    unsigned merged = 0;
    for (unsigned i = 0; i < PAGES; i++)
        model[i].rights = SLOT_RAM, model[i].value = 0;
    space_populate(s, gfn(FIRST));
    for (int i = 0; i < STEPS; i++) {
        random_rights();
        if (rand() % 2)
            quarantine_poll();
        for (int k = 0; k < 30; k++)
            random_access();
        merged += level_of(3 * REGION) == EPT_2M;
    }
    assert_in_range(merged, STEPS / 20, STEPS * 19 / 20);
    assert_int_equal(rights(FIRST, PAGES, SLOT_RAM), E_OK);
    settle();
    for (uint64_t page = 2 * REGION; page < 6 * REGION; page++)
        assert_int_equal(level_of(page), EPT_2M);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_slot_backed_at_once_has_large_leaves, start, finish),
        cmocka_unit_test_setup_teardown(without_large_blocks_pages_do, start, finish),
        cmocka_unit_test_setup_teardown(mixed_memory_types_keep_leaves_small, start, finish),
        cmocka_unit_test_setup_teardown(rights_are_set_in_portions, start, finish),
        cmocka_unit_test_setup_teardown(one_page_splits_and_the_last_one_merges, start, finish),
        cmocka_unit_test_setup_teardown(small_pages_of_any_frames_stay_small, start, finish),
        cmocka_unit_test_setup_teardown(a_view_sees_large_leaves, start, finish),
        cmocka_unit_test_setup_teardown(wrong_rights_are_refused, start, finish),
        cmocka_unit_test_setup_teardown(a_leaf_that_is_lent_whole_is_not_split, start, finish),
        cmocka_unit_test_setup_teardown(random_rights_and_accesses_agree_with_an_array, start, finish),
        cmocka_unit_test_setup_teardown(pages_go_together_whichever_is_the_last, start, finish),
        cmocka_unit_test_teardown(a_gib_goes_together, finish),
    };
    return cmocka_run_group_tests(tests, NULL, mm_test_stop);
}
