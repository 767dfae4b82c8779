// Pages of one space in another's window.
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

enum { FRAMES = 4096, VM = OWNER_VM, WINDOW = 0x10000, LARGE = 0x10200 };

static struct space *owner, *peer;

static int start(void **state)
{
    (void)state;
    mm_test_start(FRAMES, (struct ept_features){0});
    owner = space_create(VM);
    peer = space_create(VM + 1);
    assert_int_equal(space_add_slot(owner, gfn(0), 16, SLOT_RAM), E_OK);
    assert_int_equal(space_add_slot(owner, gfn(0x100), 4, SLOT_READ), E_OK);
    assert_int_equal(space_add_slot(peer, gfn(0), 16, SLOT_RAM), E_OK);
    assert_int_equal(space_add_slot(peer, gfn(WINDOW), 1024, SLOT_WINDOW), E_OK);
    return 0;
}

static void drop(struct space **s)
{
    if (*s)
        space_destroy(*s);
    *s = NULL;
}

static int finish(void **state)
{
    (void)state;
    drop(&owner);
    drop(&peer);
    mm_test_finish();
    return 0;
}

static enum error lend(uint64_t page, uint64_t at, unsigned rights)
{
    return space_lend(owner, gfn(page), false, peer, gfn(at), (enum slot_flags)rights);
}

static void both_see_the_same_page(void **state)
{
    (void)state;
    struct ept_leaf here, there;
    assert_int_equal(space_ram(peer), 16 * PAGE_SIZE);
    assert_int_equal(space_fault(peer, gpa((uint64_t)WINDOW << PAGE_SHIFT), ACCESS_READ), E_DENIED);
    assert_int_equal(lend(3, WINDOW, SLOT_READ), E_OK);
    assert_true(ept_lookup(&owner->ept, gpa(0x3000), &here));
    assert_true(ept_lookup(&peer->ept, gpa((uint64_t)WINDOW << PAGE_SHIFT), &there));
    assert_int_equal(here.at.v, there.at.v);
    assert_true(space_has_frame(owner, hpa_to_pfn(here.at)));
    assert_false(space_has_frame(peer, hpa_to_pfn(here.at)));
    assert_int_equal(here.rights, EPT_RIGHTS);
    assert_int_equal(there.rights, EPT_READ);
    assert_int_equal(space_fault(peer, gpa((uint64_t)WINDOW << PAGE_SHIFT), ACCESS_READ), E_OK);
    assert_int_equal(space_fault(peer, gpa((uint64_t)WINDOW << PAGE_SHIFT), ACCESS_WRITE), E_DENIED);
    char byte;
    assert_int_equal(guest_read(peer, gpa((uint64_t)WINDOW << PAGE_SHIFT), &byte, 1), E_BAD_ADDRESS);
    assert_int_equal(guest_write(peer, gpa((uint64_t)WINDOW << PAGE_SHIFT), &byte, 1), E_BAD_ADDRESS);
    assert_int_equal(space_take_back(peer, gfn(WINDOW), false), E_OK);
    assert_false(ept_lookup(&peer->ept, gpa((uint64_t)WINDOW << PAGE_SHIFT), &there));
}

static void lending_is_checked(void **state)
{
    (void)state;
    assert_int_equal(space_lend(owner, gfn(1), false, owner, gfn(2), SLOT_READ), E_INVALID);
    assert_int_equal(lend(1, WINDOW, 0), E_INVALID);
    assert_int_equal(lend(1, WINDOW, SLOT_WRITE), E_INVALID);
    assert_int_equal(lend(1, WINDOW, SLOT_READ | 8), E_INVALID);
    assert_int_equal(lend(16, WINDOW, SLOT_READ), E_BAD_ADDRESS);
    assert_int_equal(lend(~0ull, WINDOW, SLOT_READ), E_BAD_ADDRESS);
    assert_int_equal(lend(1, WINDOW - 1, SLOT_READ), E_BAD_ADDRESS);
    assert_int_equal(lend(1, 3, SLOT_READ), E_BAD_ADDRESS); // RAM is no window
    assert_int_equal(lend(1, WINDOW + 1024, SLOT_READ), E_BAD_ADDRESS);
    assert_int_equal(lend(0x101, WINDOW, SLOT_RAM), E_DENIED);
    assert_int_equal(lend(0x101, WINDOW, SLOT_READ), E_OK);
    assert_int_equal(lend(0x102, WINDOW, SLOT_READ), E_EXISTS);     // taken
    assert_int_equal(lend(0x102, WINDOW + 1, SLOT_READ), E_OK);     // and nothing stuck to the page
    assert_int_equal(lend(0x102, WINDOW + 2, SLOT_READ), E_EXISTS); // lent already
    assert_int_equal(space_lend(peer, gfn(WINDOW), false, owner, gfn(1), SLOT_READ), E_BAD_ADDRESS);
    assert_int_equal(space_lend(owner, gfn(1), true, peer, gfn(LARGE), SLOT_READ), E_INVALID);
    assert_int_equal(space_lend(owner, gfn(0), true, peer, gfn(LARGE), SLOT_READ), E_UNSUPPORTED);
    assert_int_equal(space_take_back(peer, gfn(WINDOW), true), E_NOT_FOUND);
    assert_int_equal(space_take_back(peer, gfn(WINDOW + 5), false), E_NOT_FOUND);
    assert_int_equal(space_take_back(peer, gfn(0), false), E_NOT_FOUND);
    assert_int_equal(space_take_back(peer, gfn(~0ull), false), E_NOT_FOUND);
}

static void a_page_is_free_again_when_all_have_passed(void **state)
{
    (void)state;
    assert_int_equal(lend(1, WINDOW, SLOT_RAM), E_OK);
    space_enter(peer, &seats[1]);
    assert_true(space_has_passed(peer));
    assert_int_equal(space_take_back(peer, gfn(WINDOW), false), E_OK);
    assert_false(space_has_passed(peer));
    assert_true(quarantine_poll());
    assert_int_equal(lend(1, WINDOW + 1, SLOT_RAM), E_EXISTS);
    space_enter(peer, &seats[1]);
    assert_true(space_has_passed(peer));
    assert_false(quarantine_poll());
    assert_int_equal(lend(1, WINDOW + 1, SLOT_RAM), E_OK);
}

// The frame outlives its owner as long as the other one may reach it.
static void the_owner_may_die_first(void **state)
{
    (void)state;
    assert_int_equal(lend(1, WINDOW, SLOT_RAM), E_OK);
    assert_int_equal(lend(2, WINDOW + 1, SLOT_RAM), E_OK);
    space_enter(peer, &seats[1]);
    drop(&owner);
    while (quarantine_poll())
        ;
    assert_int_equal(buddy_owned(&frames, VM), 2);
    assert_int_equal(space_take_back(peer, gfn(WINDOW), false), E_OK);
    assert_true(quarantine_poll());
    assert_int_equal(buddy_owned(&frames, VM), 2);
    space_leave(1);
    assert_false(quarantine_poll());
    assert_int_equal(buddy_owned(&frames, VM), 1);
    drop(&peer);
    assert_int_equal(buddy_owned(&frames, VM), 0);
}

static void the_other_may_die_first(void **state)
{
    (void)state;
    assert_int_equal(lend(1, WINDOW, SLOT_RAM), E_OK);
    drop(&peer);
    while (quarantine_poll())
        ;
    assert_int_equal(frames.frames[hpa_to_pfn(hpa(*ept_peek(&owner->ept, gpa(0x1000)) & EPT_ADDRESS)).v].lent,
                     LENT_NOT);
}

// Large leaves come by hand here.
static void large_leaves_are_lent_whole(void **state)
{
    (void)state;
    pfn_t block = buddy_alloc(&frames, 9, VM);
    assert_false(pfn_is_none(block));
    ept_features.pages_2m = true;
    assert_int_equal(space_add_slot(owner, gfn(0x200), 512, SLOT_RAM), E_OK);
    assert_int_equal(ept_map(&owner->ept, gpa(0x200000), pfn_to_hpa(block), EPT_2M, EPT_RIGHTS), E_OK);
    assert_int_equal(space_leaf_pages(owner, gfn(0x23f)), 512);
    assert_int_equal(space_lend(owner, gfn(0x200), true, peer, gfn(LARGE), SLOT_READ), E_OK);
    assert_int_equal(lend(0x201, WINDOW, SLOT_READ), E_EXISTS); // a part of it
    assert_int_equal(space_lend(owner, gfn(0x200), true, peer, gfn(LARGE), SLOT_READ), E_EXISTS);
    assert_int_equal(space_take_back(peer, gfn(LARGE), true), E_OK);
    assert_int_equal(space_lend(owner, gfn(0x200), true, peer, gfn(LARGE), SLOT_READ), E_EXISTS);
    quarantine_poll();
    assert_int_equal(space_lend(owner, gfn(0x200), true, peer, gfn(LARGE), SLOT_READ), E_OK);
    drop(&owner);
    while (quarantine_poll())
        ;
    assert_int_equal(buddy_owned(&frames, VM), 512);
}

static void a_page_of_a_large_leaf_is_lent_alone(void **state)
{
    (void)state;
    pfn_t block = buddy_alloc(&frames, 9, VM);
    ept_features.pages_2m = true;
    frames.frames[block.v + 1].next = 0; // no table was kept
    assert_int_equal(space_add_slot(owner, gfn(0x200), 512, SLOT_RAM), E_OK);
    assert_int_equal(ept_map(&owner->ept, gpa(0x200000), pfn_to_hpa(block), EPT_2M, EPT_RIGHTS), E_OK);
    assert_int_equal(lend(0x201, WINDOW, SLOT_READ), E_OK);
    assert_int_equal(space_leaf_pages(owner, gfn(0x200)), 1);
    struct ept_leaf leaf;
    assert_true(ept_lookup(&peer->ept, gfn_to_gpa(gfn(WINDOW)), &leaf));
    assert_int_equal(leaf.at.v, pfn_to_hpa(pfn(block.v + 1)).v);
    assert_int_equal(space_lend(owner, gfn(0x200), true, peer, gfn(LARGE), SLOT_READ), E_UNSUPPORTED);
    assert_int_equal(lend(0x202, WINDOW + 1, SLOT_READ), E_OK);
    drop(&peer);
    while (quarantine_poll())
        ;
    owner->promised -= 512; // the block that came by hand
    buddy_unreserve(&frames, 512);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(both_see_the_same_page, start, finish),
        cmocka_unit_test_setup_teardown(lending_is_checked, start, finish),
        cmocka_unit_test_setup_teardown(a_page_is_free_again_when_all_have_passed, start, finish),
        cmocka_unit_test_setup_teardown(the_owner_may_die_first, start, finish),
        cmocka_unit_test_setup_teardown(the_other_may_die_first, start, finish),
        cmocka_unit_test_setup_teardown(large_leaves_are_lent_whole, start, finish),
        cmocka_unit_test_setup_teardown(a_page_of_a_large_leaf_is_lent_alone, start, finish),
    };
    return cmocka_run_group_tests(tests, NULL, mm_test_stop);
}
