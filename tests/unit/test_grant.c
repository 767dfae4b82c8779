// Grants between two spaces: random calls against a naive model of what is mapped where, and either side's end.
#include "ipc/grant.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/memory.h"
#include "mm/mm.h"
#include "mm/space_impl.h"
#include "tests/host/ept_lookup.h"
#include "tests/host/mm_test.h"

enum { FRAMES = 8192, RAM = 64, WINDOW = 0x10000, WINDOW_PAGES = 128, STEPS = 20000 };

static struct space *owner, *reader;
static struct grants g;

static struct space *owner_of(uint64_t pages)
{
    struct space *s = space_create(OWNER_VM);
    assert_int_equal(space_add_slot(s, gfn(0), pages, SLOT_RAM), E_OK);
    return s;
}

static struct space *reader_of(uint64_t pages)
{
    struct space *s = space_create(OWNER_VM + 1);
    assert_int_equal(space_add_slot(s, gfn(WINDOW), pages, SLOT_WINDOW), E_OK);
    return s;
}

static struct space *new_owner(void)
{
    return owner_of(RAM);
}

static struct space *new_reader(void)
{
    return reader_of(WINDOW_PAGES);
}

static int start(void **state)
{
    (void)state;
    mm_test_start(FRAMES, (struct ept_features){0});
    g = (struct grants){0};
    grants_set_owner(&g, owner = new_owner());
    grants_set_reader(&g, reader = new_reader());
    srand(1);
    return 0;
}

static void leave(struct space *s)
{
    space_destroy(s);
    while (quarantine_poll())
        ;
}

static int finish(void **state)
{
    (void)state;
    grants_set_owner(&g, NULL);
    grants_set_reader(&g, NULL);
    leave(owner);
    leave(reader);
    mm_test_finish();
    return 0;
}

// ---- The model: of each grant what it is, and for each page of owner and window whether it is taken ----

static struct model {
    uint64_t page, pages, at, mapped;
    bool given, revoked;
} model[GRANTS];
static bool lent[RAM], shown[WINDOW_PAGES];

static void model_give(uint64_t page, uint64_t pages)
{
    int64_t expected = page < RAM && pages <= RAM - page ? -E_TOO_BIG : -E_BAD_ADDRESS;
    for (int i = GRANTS - 1; i >= 0 && expected != -E_BAD_ADDRESS; i--)
        if (!model[i].given)
            expected = i;
    assert_int_equal(grants_give(&g, page, pages, SLOT_READ), expected);
    if (expected >= 0)
        model[expected] = (struct model){.page = page, .pages = pages, .given = true};
}

static int64_t model_map(struct model *m, uint64_t at)
{
    if (!m->given || m->revoked)
        return -E_NOT_FOUND;
    if (m->mapped && m->at != at)
        return -E_EXISTS;
    m->at = at;
    for (unsigned i = 0; i < GRANT_BATCH && m->mapped < m->pages; i++) {
        uint64_t page = m->page + m->mapped, to = at + m->mapped - WINDOW;
        int64_t e = lent[page] ? -E_EXISTS : to >= WINDOW_PAGES ? -E_BAD_ADDRESS : shown[to] ? -E_EXISTS : 0;
        if (e)
            return i ? (int64_t)m->mapped : e;
        lent[page] = shown[to] = true;
        m->mapped++;
    }
    return (int64_t)m->mapped;
}

static int64_t model_take(struct model *m, bool revoke)
{
    if (!m->given)
        return -E_NOT_FOUND;
    m->revoked |= revoke;
    for (unsigned i = 0; i < GRANT_BATCH && m->mapped; i++) {
        m->mapped--;
        lent[m->page + m->mapped] = shown[m->at + m->mapped - WINDOW] = false;
    }
    if (m->revoked && !m->mapped)
        m->given = false;
    return (int64_t)m->mapped;
}

// What the reader really has at each page of its window.
static void compare(void)
{
    for (unsigned i = 0; i < WINDOW_PAGES; i++) {
        struct ept_leaf leaf;
        assert_int_equal(ept_lookup(&reader->ept, gfn_to_gpa(gfn(WINDOW + i)), &leaf), shown[i]);
    }
}

static void restart_reader(void)
{
    grants_set_reader(&g, NULL);
    leave(reader);
    grants_set_reader(&g, reader = new_reader());
    memset(lent, 0, sizeof lent);
    memset(shown, 0, sizeof shown);
    for (unsigned i = 0; i < GRANTS; i++) {
        model[i].mapped = 0;
        if (model[i].revoked)
            model[i].given = false;
    }
}

// What it leaves behind stays where it is mapped; its pages are new ones.
static void restart_owner(void)
{
    grants_set_owner(&g, NULL);
    leave(owner);
    grants_set_owner(&g, owner = new_owner());
    memset(lent, 0, sizeof lent);
    for (unsigned i = 0; i < GRANTS; i++) {
        model[i].revoked = true;
        if (!model[i].mapped)
            model[i].given = false;
    }
}

static void like_the_model(void **state)
{
    (void)state;
    memset(model, 0, sizeof model);
    memset(lent, 0, sizeof lent);
    memset(shown, 0, sizeof shown);
    for (unsigned i = 0; i < STEPS; i++) {
        unsigned n = (unsigned)rand() % (GRANTS + 1), what = (unsigned)rand() % 200;
        struct model none = {0}, *m = n < GRANTS ? &model[n] : &none;
        uint64_t page = (uint64_t)rand() % (RAM + 2);
        if (what < 50)
            model_give(page, (uint64_t)rand() % 40 + 1);
        else if (what < 130) {
            uint64_t at = m->mapped && rand() % 4 ? m->at : WINDOW + (uint64_t)rand() % WINDOW_PAGES;
            assert_int_equal(grants_map(&g, n, at), model_map(m, at));
        } else if (what < 160)
            assert_int_equal(grants_unmap(&g, n), model_take(m, false));
        else if (what < 198)
            assert_int_equal(grants_revoke(&g, n), model_take(m, true));
        else if (what == 198)
            restart_reader();
        else
            restart_owner(), restart_reader();
        quarantine_poll();
        if (i % 16 == 0)
            compare();
    }
}

// ---- One at a time ----

static void what_a_dead_owner_granted_stays(void **state)
{
    (void)state;
    struct ept_leaf leaf;
    assert_int_equal(grants_give(&g, 3, 2, SLOT_READ | SLOT_WRITE), 0);
    assert_int_equal(grants_map(&g, 0, WINDOW), 2);
    grants_set_owner(&g, NULL);
    leave(owner);
    assert_true(ept_lookup(&reader->ept, gfn_to_gpa(gfn(WINDOW)), &leaf));
    assert_int_equal(grants_map(&g, 0, WINDOW), -E_NOT_FOUND);
    assert_int_equal(grants_unmap(&g, 0), 0);
    assert_int_equal(grants_unmap(&g, 0), -E_NOT_FOUND);
    owner = new_owner();
}

static void what_is_refused(void **state)
{
    (void)state;
    assert_int_equal(grants_give(&g, 0, 0, SLOT_READ), -E_INVALID);
    assert_int_equal(grants_give(&g, 0, 1, SLOT_WRITE), -E_INVALID);
    assert_int_equal(grants_give(&g, 0, 1, 8 | SLOT_READ), -E_INVALID);
    assert_int_equal(grants_give(&g, 0, ~0ull, SLOT_READ), -E_BAD_ADDRESS);
    assert_int_equal(grants_give(&g, ~0ull, 1, SLOT_READ), -E_BAD_ADDRESS);
    assert_int_equal(grants_give(&g, RAM - 1, 2, SLOT_READ), -E_BAD_ADDRESS);
    assert_int_equal(grants_give(&g, 0, 1, SLOT_READ), 0);
    assert_int_equal(grants_map(&g, 0, 0), -E_BAD_ADDRESS);
    assert_int_equal(grants_map(&g, 0, ~0ull), -E_BAD_ADDRESS);
    assert_int_equal(grants_map(&g, GRANTS, WINDOW), -E_NOT_FOUND);
    assert_int_equal(grants_map(&g, ~0ull, WINDOW), -E_NOT_FOUND);
}

// ---- Large leaves ----

enum { LEAF = 512, LEAVES = 4 };

static int start_large(void **state)
{
    start(state);
    leave(owner);
    leave(reader);
    ept_features.pages_2m = true;
    grants_set_owner(&g, owner = owner_of(LEAVES * LEAF));
    grants_set_reader(&g, reader = reader_of(LEAVES * LEAF));
    space_populate(owner, gfn(0));
    for (unsigned i = 0; i < LEAVES; i++)
        assert_int_equal(space_leaf_pages(owner, gfn(i * LEAF)), LEAF);
    return 0;
}

// That many pages from `page` on are seen at `at`, and nothing beside them.
static void check_window(uint64_t page, uint64_t at, uint64_t pages)
{
    for (uint64_t i = 0; i < LEAVES * LEAF; i++) {
        struct ept_leaf here, there;
        bool seen = ept_lookup(&reader->ept, gfn_to_gpa(gfn(WINDOW + i)), &there);
        assert_int_equal(seen, i >= at && i < at + pages);
        if (!seen)
            continue;
        assert_true(ept_lookup(&owner->ept, gfn_to_gpa(gfn(page + i - at)), &here));
        assert_int_equal(there.at.v, here.at.v);
    }
}

static unsigned level_seen_at(uint64_t at)
{
    struct ept_leaf leaf;
    assert_true(ept_lookup(&reader->ept, gfn_to_gpa(gfn(WINDOW + at)), &leaf));
    return leaf.level;
}

static void large_leaves_go_whole(void **state)
{
    (void)state;
    assert_int_equal(grants_give(&g, LEAF, 2 * LEAF, SLOT_READ), 0);
    assert_int_equal(grants_map(&g, 0, WINDOW), 2 * LEAF);
    check_window(LEAF, 0, 2 * LEAF);
    assert_int_equal(level_seen_at(0), EPT_2M);
    assert_int_equal(space_leaf_pages(owner, gfn(LEAF)), LEAF);
    assert_int_equal(grants_unmap(&g, 0), 0);
    check_window(0, 0, 0);
}

// A large leaf between small ones, from 8 pages before it to 8 behind it: each counts as one of a batch.
static void small_leaves_stand_at_either_end(void **state)
{
    enum { PAGE = LEAF - 8, PAGES = 8 + LEAF + 8 };
    (void)state;
    assert_int_equal(grants_give(&g, PAGE, PAGES, SLOT_READ), 0);
    assert_int_equal(grants_map(&g, 0, WINDOW + PAGE), PAGES - 1);
    assert_int_equal(grants_map(&g, 0, WINDOW + PAGE), PAGES);
    check_window(PAGE, PAGE, PAGES);
    assert_int_equal(level_seen_at(PAGE), EPT_4K);
    assert_int_equal(level_seen_at(LEAF), EPT_2M);
    assert_int_equal(level_seen_at(2 * LEAF), EPT_4K);
    assert_int_equal(grants_revoke(&g, 0), 1);
    check_window(PAGE, PAGE, 1);
    assert_int_equal(grants_revoke(&g, 0), 0);
    check_window(0, 0, 0);
}

// It goes in parts to a place that it does not fit as a whole, and then where it would.
static void a_large_leaf_is_split_for_a_place_that_it_does_not_fit(void **state)
{
    (void)state;
    assert_int_equal(grants_give(&g, 0, LEAF, SLOT_READ), 0);
    assert_int_equal(grants_map(&g, 0, WINDOW + 1), GRANT_BATCH);
    check_window(0, 1, GRANT_BATCH);
    assert_int_equal(grants_unmap(&g, 0), 0);
    while (quarantine_poll())
        ;
    for (unsigned i = GRANT_BATCH; i <= LEAF; i += GRANT_BATCH)
        assert_int_equal(grants_map(&g, 0, WINDOW), i);
    check_window(0, 0, LEAF);
    assert_int_equal(level_seen_at(0), EPT_4K);
    for (unsigned i = LEAF; i; i -= GRANT_BATCH)
        assert_int_equal(grants_unmap(&g, 0), i - GRANT_BATCH);
    check_window(0, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(like_the_model, start, finish),
        cmocka_unit_test_setup_teardown(what_a_dead_owner_granted_stays, start, finish),
        cmocka_unit_test_setup_teardown(what_is_refused, start, finish),
        cmocka_unit_test_setup_teardown(large_leaves_go_whole, start_large, finish),
        cmocka_unit_test_setup_teardown(small_leaves_stand_at_either_end, start_large, finish),
        cmocka_unit_test_setup_teardown(a_large_leaf_is_split_for_a_place_that_it_does_not_fit, start_large,
                                        finish),
    };
    return cmocka_run_group_tests(tests, NULL, mm_test_stop);
}
