// Giving pages back and taking them again: one step at a time, and at random against an array of pages.
#include "mm/space.h"
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

enum { FRAMES = 4096, VM = OWNER_VM, LEAST = 600, MOST = 3000, STEPS = 40000 };

static struct space *s;
static uint64_t done;

static struct space *make(uint16_t owner)
{
    struct space *made = space_create(owner);
    assert_int_equal(space_add_slot(made, gfn(0), LEAST, SLOT_RAM), E_OK);
    assert_int_equal(space_add_slot(made, gfn(LEAST), MOST - LEAST, SLOT_RAM | SLOT_BALLOON), E_OK);
    return made;
}

static int start(void **state)
{
    (void)state;
    mm_test_start(FRAMES, (struct ept_features){.accessed_dirty = true, .pages_2m = true});
    srand(29);
    s = make(VM);
    return 0;
}

static int finish(void **state)
{
    (void)state;
    space_destroy(s);
    mm_test_finish();
    return 0;
}

static void a_hole_is_no_memory(void **state)
{
    (void)state;
    uint32_t word = 7;
    assert_int_equal(space_held(s), LEAST);
    assert_int_equal(space_fault(s, gfn_to_gpa(gfn(LEAST)), ACCESS_READ), E_BAD_ADDRESS);
    assert_int_equal(guest_read(s, gfn_to_gpa(gfn(LEAST)), &word, 4), E_BAD_ADDRESS);
    assert_int_equal(guest_write(s, gfn_to_gpa(gfn(LEAST)), &word, 4), E_BAD_ADDRESS);
    assert_null(guest_map(s, gfn_to_gpa(gfn(LEAST)), 4));
    assert_int_equal(space_set_rights(s, gfn(LEAST), 1, SLOT_READ, &done), E_BAD_ADDRESS);
    assert_int_equal(space_take(s, gfn(LEAST), 2, ~0ull, &done), E_OK);
    assert_int_equal(done, 2);
    assert_int_equal(guest_read(s, gfn_to_gpa(gfn(LEAST)), &word, 4), E_OK);
    assert_int_equal(word, 0);
    assert_true(space_held(s) >= LEAST + 2); // perhaps a page table
    hpa_t frame = hpa(*ept_peek(&s->ept, gfn_to_gpa(gfn(LEAST))) & EPT_ADDRESS);
    assert_true(space_has_frame(s, hpa_to_pfn(frame)));
    assert_int_equal(space_give(s, gfn(LEAST), 1, &done), E_OK);
    assert_false(space_has_frame(s, hpa_to_pfn(frame)));
}

static void what_is_promised_stays(void **state)
{
    (void)state;
    assert_int_equal(space_give(s, gfn(5), 1, &done), E_DENIED);
    assert_int_equal(space_take(s, gfn(LEAST + 9), 2, ~0ull, &done), E_OK);
    uint64_t promised = frames.promised;
    assert_int_equal(space_give(s, gfn(5), 1, &done), E_OK); // never touched: its promise is off
    assert_int_equal(frames.promised, promised - 1);
    assert_int_equal(space_give(s, gfn(5), 1, &done), E_NOT_FOUND);
    assert_int_equal(guest_map(s, gpa(6 * PAGE_SIZE), 1) != NULL, true);
    assert_int_equal(space_give(s, gfn(6), 500, &done), E_OK);
    assert_true(done >= 1);
    while (space_give(s, gfn(200 + (unsigned)rand() % 200), 1, &done) != E_DENIED)
        ;
    assert_int_equal(space_held(s), LEAST);
    assert_int_equal(space_fault(s, gpa(5 * PAGE_SIZE), ACCESS_READ), E_BAD_ADDRESS);
    assert_int_equal(space_take(s, gfn(5), 2, ~0ull, &done), E_OK);
    assert_int_equal(done, 2);
    assert_int_equal(space_take(s, gfn(5), 1, ~0ull, &done), E_EXISTS);
    assert_int_equal(space_fault(s, gpa(5 * PAGE_SIZE), ACCESS_READ), E_OK);
}

static void mistakes_are_told(void **state)
{
    (void)state;
    assert_int_equal(space_give(s, gfn(MOST), 1, &done), E_BAD_ADDRESS);
    assert_int_equal(space_give(s, gfn(~0ull), 1, &done), E_BAD_ADDRESS);
    assert_int_equal(space_give(s, gfn(0), ~0ull, &done), E_BAD_ADDRESS);
    assert_int_equal(space_take(s, gfn(MOST - 1), 2, ~0ull, &done), E_BAD_ADDRESS);
    assert_int_equal(space_give(s, gfn(LEAST), 1, &done), E_NOT_FOUND);
    assert_int_equal(space_take(s, gfn(0), 1, ~0ull, &done), E_EXISTS);
    assert_int_equal(space_take(s, gfn(LEAST), 0, ~0ull, &done), E_OK);
    assert_int_equal(done, 0);
}

static void nobody_takes_more_than_the_most(void **state)
{
    (void)state;
    assert_int_equal(space_take(s, gfn(LEAST), 1, ~0ull, &done), E_OK); // with its page table
    uint64_t held = space_held(s);
    assert_int_equal(space_take(s, gfn(LEAST + 1), 9, held + 3, &done), E_OK);
    assert_int_equal(done, 3);
    assert_int_equal(space_held(s), held + 3);
    assert_int_equal(space_take(s, gfn(LEAST + 4), 1, held + 3, &done), E_AGAIN);
    assert_int_equal(space_take(s, gfn(LEAST + 4), 1, 0, &done), E_AGAIN);
    assert_int_equal(space_take(s, gfn(LEAST + 4), 0, 0, &done), E_OK);
    assert_int_equal(done, 0);
}

// A full box: what is promised to others is not taken, and an error changes nothing.
static void a_full_box_gives_nothing(void **state)
{
    (void)state;
    frame_cache_flush(host_frame_cache);
    uint64_t rest = buddy_available(&frames);
    assert_int_equal(buddy_reserve(&frames, rest), E_OK);
    assert_int_equal(space_take(s, gfn(LEAST), 1, ~0ull, &done), E_NO_MEMORY);
    assert_int_equal(space_fault(s, gpa(0), ACCESS_WRITE), E_OK);
    buddy_unreserve(&frames, rest);
    assert_int_equal(space_take(s, gfn(LEAST), 1, ~0ull, &done), E_OK);
}

static void a_lent_page_is_kept(void **state)
{
    (void)state;
    struct space *peer = space_create(VM + 1);
    assert_int_equal(space_take(s, gfn(LEAST), 4, ~0ull, &done), E_OK);
    assert_int_equal(space_add_slot(peer, gfn(0), 4, SLOT_WINDOW), E_OK);
    assert_int_equal(space_lend(s, gfn(LEAST + 1), false, peer, gfn(0), SLOT_READ), E_OK);
    assert_int_equal(space_give(s, gfn(LEAST), 4, &done), E_OK);
    assert_int_equal(done, 1);
    assert_int_equal(space_give(s, gfn(LEAST + 1), 1, &done), E_EXISTS);
    assert_int_equal(space_lend(s, gfn(LEAST), false, peer, gfn(1), SLOT_READ), E_BAD_ADDRESS);
    space_destroy(peer);
    while (quarantine_poll())
        ;
    assert_int_equal(space_give(s, gfn(LEAST + 1), 1, &done), E_OK);
}

// ---- Two spaces at random: pages move between them, zeroed ----

static struct {
    struct space *space;
    bool there[MOST];
    uint8_t value[MOST];
} side[2];

static void random_give(unsigned i)
{
    uint64_t first = (uint64_t)rand() % MOST, n = 1 + (uint64_t)rand() % 40, held = space_held(side[i].space);
    enum error e = space_give(side[i].space, gfn(first), n, &done);
    bool crosses = first < LEAST ? first + n > LEAST : first + n > MOST;
    enum error expected = crosses                 ? E_BAD_ADDRESS
                          : !side[i].there[first] ? E_NOT_FOUND
                          : held == LEAST         ? E_DENIED
                                                  : E_OK;
    assert_int_equal(e, expected);
    assert_int_equal(space_held(side[i].space), held - done);
    for (uint64_t k = first; k < first + done; k++) {
        assert_true(side[i].there[k]);
        side[i].there[k] = false;
    }
}

static void random_take(unsigned i)
{
    uint64_t first = (uint64_t)rand() % MOST, n = 1 + (uint64_t)rand() % 40;
    enum error e = space_take(side[i].space, gfn(first), n, ~0ull, &done);
    bool crosses = first < LEAST ? first + n > LEAST : first + n > MOST;
    enum error expected = crosses ? E_BAD_ADDRESS : side[i].there[first] ? E_EXISTS : E_OK;
    assert_true(e == expected || (e == E_NO_MEMORY && expected == E_OK));
    for (uint64_t k = first; k < first + done; k++) {
        assert_false(side[i].there[k]);
        side[i].there[k] = true;
        side[i].value[k] = 0;
    }
}

static void random_access(unsigned i)
{
    uint64_t page = (uint64_t)rand() % MOST;
    gpa_t at = gpa(page << PAGE_SHIFT | ((unsigned)rand() % 2 ? 0 : 4095));
    uint8_t value = 0;
    enum error expected = side[i].there[page] ? E_OK : E_BAD_ADDRESS;
    assert_int_equal(guest_read(side[i].space, at, &value, 1), expected);
    if (expected == E_OK)
        assert_int_equal(value, side[i].value[page]);
    value = (uint8_t)(1 + i);
    assert_int_equal(guest_write(side[i].space, gpa(page << PAGE_SHIFT), &value, 1), expected);
    assert_int_equal(guest_write(side[i].space, gpa(page << PAGE_SHIFT | 4095), &value, 1), expected);
    side[i].value[page] = value;
}

static void pages_move_zeroed(void **state)
{
    (void)state;
    side[0].space = s;
    side[1].space = make(VM + 1);
    for (unsigned i = 0; i < 2; i++)
        for (unsigned k = 0; k < MOST; k++)
            side[i].there[k] = k < LEAST, side[i].value[k] = 0;
    space_populate(s, gfn(0)); // one of them in a large leaf
    unsigned refused = 0;
    for (int k = 0; k < STEPS; k++) {
        unsigned i = (unsigned)rand() % 2;
        if (rand() % 3 == 0)
            random_give(i);
        else
            random_take(i);
        refused += buddy_available(&frames) == 0;
        for (int n = 0; n < 5; n++)
            random_access(i);
        if (rand() % 4 == 0)
            quarantine_poll();
    }
    assert_true(refused > 100); // they did compete
    space_destroy(side[1].space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_hole_is_no_memory, start, finish),
        cmocka_unit_test_setup_teardown(what_is_promised_stays, start, finish),
        cmocka_unit_test_setup_teardown(mistakes_are_told, start, finish),
        cmocka_unit_test_setup_teardown(nobody_takes_more_than_the_most, start, finish),
        cmocka_unit_test_setup_teardown(a_full_box_gives_nothing, start, finish),
        cmocka_unit_test_setup_teardown(a_lent_page_is_kept, start, finish),
        cmocka_unit_test_setup_teardown(pages_move_zeroed, start, finish),
    };
    return cmocka_run_group_tests(tests, NULL, mm_test_stop);
}
