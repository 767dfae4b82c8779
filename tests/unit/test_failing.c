// Each allocation of spaces fails in turn: an error says so or nobody notices, a second try goes well, nothing else
// has changed, and all is given back.
#include "mm/space.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/memory.h"
#include "ipc/grant.h"
#include "mm/dirty.h"
#include "mm/mm.h"
#include "mm/quarantine.h"
#include "mm/space_impl.h"
#include "tests/host/mm_test.h"

enum {
    FRAMES = 8192,
    REGION = 512,
    EAGER = 3 * REGION,
    LAZY = EAGER + 40,
    END = LAZY + 600,
    WINDOW = 0x10000
};

static unsigned refused;

// One allocation fails: the same again goes well.
#define TWICE(call)                     \
    do {                                \
        enum error first_ = (call);     \
        if (first_ == E_NO_MEMORY) {    \
            refused++;                  \
            first_ = (call);            \
        }                               \
        assert_int_equal(first_, E_OK); \
    } while (0)

static struct space *make(uint16_t owner)
{
    struct space *s = space_create(owner);
    refused += !s;
    return s ? s : space_create(owner);
}

static void touch_all(struct space *s)
{
    for (uint64_t page = 0; page < LAZY; page += 13) // was promised: no allocation
        assert_int_equal(space_fault(s, gfn_to_gpa(gfn(page)), ACCESS_READ), E_OK);
}

static void write_marks(struct space *s, uint64_t end)
{
    for (uint64_t page = 0; page < end; page += 37)
        assert_int_equal(guest_write(s, gpa((page << PAGE_SHIFT) + 5), &page, sizeof page), E_OK);
}

static void check_marks(struct space *s, uint64_t end)
{
    for (uint64_t page = 0, got; page < end; page += 37) {
        assert_int_equal(guest_read(s, gpa((page << PAGE_SHIFT) + 5), &got, sizeof got), E_OK);
        assert_int_equal(got, page);
    }
}

static void set_rights(struct space *s)
{
    uint64_t done;
    TWICE(space_set_rights(s, gfn(REGION + 9), 1, SLOT_READ, &done));
    TWICE(space_set_rights(s, gfn(REGION + 9), 1, SLOT_RAM, &done));
}

static void log_writes(struct space *s)
{
    static uint64_t bits[END / 64 + 1];
    for (dirty_method = 0; dirty_method < DIRTY_METHOD_COUNT; dirty_method++) {
        uint64_t done = 0;
        TWICE(dirty_start(s, gfn(0)));
        for (uint64_t at = 0; at < LAZY; at += done) {
            TWICE(dirty_read(s, gfn(at), LAZY - at, bits, &done));
            assert_true(done > 0);
        }
        write_marks(s, LAZY);
        TWICE(dirty_stop(s, gfn(0)));
        while (quarantine_poll())
            ;
    }
    dirty_method = DIRTY_PROTECT;
}

static void use_balloon(struct space *s)
{
    for (uint64_t at = LAZY, done; at < END; at += done) {
        uint64_t wanted = min_u64(16, END - at);
        TWICE(space_take(s, gfn(at), wanted, ~0ull, &done));
        refused += done < wanted;
        assert_true(done > 0);
    }
    write_marks(s, END);
    check_marks(s, END);
    for (uint64_t at = LAZY, done; at < END; at += done)
        TWICE(space_give(s, gfn(at), END - at, &done));
}

static void grant(struct space *owner, struct space *reader)
{
    static struct grants g;
    g = (struct grants){0};
    grants_set_owner(&g, owner);
    grants_set_reader(&g, reader);
    int64_t number = grants_give(&g, REGION - 3, 6, SLOT_READ), got = 0;
    assert_in_range(number, 0, GRANTS - 1);
    for (unsigned i = 0; got != 6; i++) {
        got = grants_map(&g, (uint64_t)number, WINDOW);
        refused += got != 6;
        assert_true(i < 2);
    }
    while (grants_unmap(&g, (uint64_t)number) > 0)
        ;
    assert_int_equal(grants_revoke(&g, (uint64_t)number), 0);
    grants_set_owner(&g, NULL);
    grants_set_reader(&g, NULL);
}

static void live(void)
{
    pfn_t directory = buddy_alloc_or_fail(&frames, 0, OWNER_TEST);
    struct space *s = make(OWNER_VM), *peer = make(OWNER_VM + 1);
    TWICE(space_add_slot(s, gfn(0), LAZY, SLOT_RAM));
    TWICE(space_add_slot(s, gfn(LAZY), END - LAZY, SLOT_RAM | SLOT_BALLOON));
    TWICE(space_add_slot(peer, gfn(WINDOW), 2 * REGION, SLOT_WINDOW));
    space_populate(s, gfn(0));
    unsigned large = 0;
    for (uint64_t page = 0; page < EAGER; page += REGION)
        large += space_leaf_pages(s, gfn(page)) > 1;
    refused += large < EAGER / REGION; // small leaves took the place of one
    assert_true(large >= EAGER / REGION - 1);
    write_marks(s, LAZY);
    touch_all(s);
    set_rights(s);
    log_writes(s);
    use_balloon(s);
    grant(s, peer);
    if (!pfn_is_none(directory))
        TWICE(space_link(s, gpa(3ull << 30), pfn_to_hpa(directory)));
    check_marks(s, LAZY);
    space_destroy(s);
    space_destroy(peer);
    refused += pfn_is_none(directory);
    if (!pfn_is_none(directory))
        assert_int_equal(buddy_free(&frames, directory, OWNER_TEST), E_OK);
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    uint64_t n = 1;
    for (bool failed = true; failed; n++) {
        mm_test_start(FRAMES, (struct ept_features){.accessed_dirty = true, .pages_2m = true});
        buddy_fail(&frames, n, OWNER_NONE);
        refused = 0;
        live();
        failed = frames.failing.count >= n;
        assert_int_equal(refused, failed); // that one, and it was noticed
        mm_test_finish();
        assert_true(n < 5000);
    }
    assert_true(n > 600); // pages of the balloon alone
}

// Of one owner: others' are not counted.
static void only_its_own_count(void **state)
{
    (void)state;
    mm_test_start(FRAMES, (struct ept_features){0});
    buddy_fail(&frames, 2, OWNER_VM + 1);
    for (unsigned i = 0; i < 5; i++) {
        pfn_t f = buddy_alloc_or_fail(&frames, 0, OWNER_VM);
        assert_int_equal(buddy_free(&frames, f, OWNER_VM), E_OK);
    }
    pfn_t f = buddy_alloc_or_fail(&frames, 0, OWNER_VM + 1);
    assert_false(pfn_is_none(f));
    assert_true(pfn_is_none(buddy_alloc_or_fail(&frames, 0, OWNER_VM + 1)));
    assert_int_equal(buddy_free(&frames, f, OWNER_VM + 1), E_OK);
    f = buddy_alloc_or_fail(&frames, 3, OWNER_VM + 1);
    assert_int_equal(buddy_free(&frames, f, OWNER_VM + 1), E_OK);
    assert_true(pfn_is_none(buddy_alloc_or_fail(&frames, BUDDY_ORDERS, OWNER_VM)));
    mm_test_finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(only_its_own_count),
    };
    return cmocka_run_group_tests(tests, NULL, mm_test_stop);
}
