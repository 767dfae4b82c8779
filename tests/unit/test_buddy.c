#include "mm/buddy.h"
#include "tests/host/buddy_check.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { FRAMES = 3000, FIRST = 7, LAST = FRAMES, HOLE = 1000, HOLE_END = 1100, STEPS = 60000 };
static const uint64_t ADDED = HOLE - FIRST + LAST - HOLE_END;

static struct frame records[FRAMES];
static struct buddy b;

// The naive model: who owns each frame, and where a block begins.
static struct {
    uint16_t owner; // OWNER_NONE: free or not ours
    bool ours;
    int head_order; // of the allocated block that begins here; -1: none
} model[FRAMES];
static uint64_t promised;

static int start(void **state)
{
    (void)state;
    memset(records, 0, sizeof(records));
    memset(model, 0, sizeof(model));
    buddy_init(&b, records, FRAMES);
    assert_int_equal(buddy_add(&b, pfn(FIRST), pfn(HOLE)), E_OK);
    assert_int_equal(buddy_add(&b, pfn(HOLE_END), pfn(LAST)), E_OK);
    for (int f = 0; f < FRAMES; f++) {
        model[f].ours = (f >= FIRST && f < HOLE) || (f >= HOLE_END && f < LAST);
        model[f].head_order = -1;
    }
    promised = 0;
    srand(11);
    return 0;
}

static void assert_sound(void)
{
    const char *wrong = buddy_check(&b);
    if (wrong)
        fail_msg("%s", wrong);
}

static void list_lengths(unsigned *length)
{
    for (unsigned order = 0; order < BUDDY_ORDERS; order++) {
        length[order] = 0;
        for (uint32_t f = b.list[order]; f; f = b.frames[f].next)
            length[order]++;
    }
}

// ---- The model's side of each operation ----

static void model_take(uint64_t f, unsigned order, uint16_t owner)
{
    for (uint64_t i = f; i < f + (1u << order); i++) {
        assert_true(i < FRAMES && model[i].ours);
        assert_int_equal(model[i].owner, OWNER_NONE);
        model[i].owner = owner;
    }
    model[f].head_order = (int)order;
}

static enum error model_free(uint64_t f, uint16_t owner)
{
    if (f >= FRAMES || !model[f].ours)
        return E_FOREIGN;
    if (model[f].owner == OWNER_NONE)
        return E_DOUBLE_FREE;
    if (model[f].head_order < 0)
        return E_INVALID;
    if (model[f].owner != owner)
        return E_FOREIGN;
    for (uint64_t i = f, n = 1ull << model[f].head_order; i < f + n; i++)
        model[i].owner = OWNER_NONE;
    model[f].head_order = -1;
    return E_OK;
}

static uint64_t model_count(uint16_t owner)
{
    uint64_t n = 0;
    for (int f = 0; f < FRAMES; f++)
        n += model[f].ours && model[f].owner == owner;
    return n;
}

// A free aligned run of 2^order pages exists: the buddy must find one whenever the model does.
static bool model_has(unsigned order)
{
    for (uint64_t f = 0; f + (1u << order) <= FRAMES; f += 1u << order) {
        uint64_t i = f;
        while (i < f + (1u << order) && model[i].ours && model[i].owner == OWNER_NONE)
            i++;
        if (i == f + (1u << order))
            return true;
    }
    return false;
}

// ---- Random operations on both ----

static uint16_t random_owner(void)
{
    return (uint16_t)(OWNER_VM + rand() % 3);
}

static void random_alloc(void)
{
    unsigned order = rand() % 4 ? (unsigned)rand() % 3 : (unsigned)rand() % 11;
    uint16_t owner = random_owner();
    bool expected = model_count(OWNER_NONE) - promised >= 1u << order && model_has(order);
    pfn_t f = buddy_alloc(&b, order, owner);
    assert_int_equal(!pfn_is_none(f), expected);
    if (!expected)
        return;
    assert_int_equal(f.v % (1u << order), 0);
    model_take(f.v, order, owner);
}

static void random_free(void)
{
    uint64_t f = (uint64_t)rand() % (FRAMES + 50);
    if (rand() % 8) // mostly a real one
        for (int tries = 0; tries < FRAMES && (f >= FRAMES || model[f].head_order < 0); tries++)
            f = (f + 1) % FRAMES;
    uint16_t owner = f < FRAMES && rand() % 8 ? model[f].owner : random_owner();
    if (owner == OWNER_NONE)
        owner = OWNER_VM;
    bool promise = rand() % 8 == 0;
    uint64_t pages = f < FRAMES && model[f].head_order >= 0 ? 1ull << model[f].head_order : 0;
    enum error got = (promise ? buddy_free_promised : buddy_free)(&b, pfn(f), owner),
               expected = model_free(f, owner);
    promised += promise && expected == E_OK ? pages : 0;
    if (got != expected)
        fail_msg("free of %llu: expected %s, got %s", (unsigned long long)f, error_text(expected),
                 error_text(got));
}

static void random_split(void)
{
    uint64_t f = (uint64_t)rand() % FRAMES;
    uint16_t owner = model[f].owner ? model[f].owner : OWNER_VM;
    int order = model[f].head_order, part = order > 0 ? rand() % (order + 1) : 0;
    assert_int_equal(buddy_split(&b, pfn(f), (unsigned)part, owner) == E_OK, order >= 0);
    for (uint64_t i = f; order >= 0 && i < f + (1u << order); i++)
        model[i].head_order = i % (1u << part) ? -1 : part;
}

// Blocks of one size and owner side by side.
static void random_join(void)
{
    unsigned order = (unsigned)rand() % 4, part = (unsigned)rand() % (order + 1);
    uint64_t pages = 1ull << order, step = 1ull << part, f = (uint64_t)rand() % FRAMES & ~(pages - 1);
    uint16_t owner = model[f].owner ? model[f].owner : OWNER_VM;
    bool joins = f + pages <= FRAMES;
    for (uint64_t i = f; joins && i < f + pages; i += step)
        joins = model[i].head_order == (int)part && model[i].owner == owner;
    assert_int_equal(buddy_join(&b, pfn(f), order, part, owner) == E_OK, joins);
    for (uint64_t i = f; joins && i < f + pages; i++)
        model[i].head_order = i == f ? (int)order : -1;
}

static void random_promise(void)
{
    uint64_t n = (uint64_t)rand() % 600;
    if (rand() % 2) {
        bool expected = n <= model_count(OWNER_NONE) - promised;
        assert_int_equal(buddy_reserve(&b, n), expected ? E_OK : E_NO_MEMORY);
        promised += expected ? n : 0;
    } else if (n <= promised) {
        buddy_unreserve(&b, n);
        promised -= n;
    }
}

static void random_promised_alloc(void)
{
    if (promised == 0)
        return;
    pfn_t f = buddy_alloc_promised(&b, 0, OWNER_VM);
    assert_false(pfn_is_none(f)); // whatever else happened: that is what a promise means
    model_take(f.v, 0, OWNER_VM);
    promised--;
}

static void random_batch(void)
{
    uint32_t to[16];
    unsigned n = (unsigned)rand() % 17;
    uint64_t redeem = promised ? (uint64_t)rand() % (promised + 1) % 16 : 0;
    promised -= redeem;
    uint64_t expected = min_u64(n, model_count(OWNER_NONE) - promised);
    assert_int_equal(buddy_alloc_batch(&b, to, n, OWNER_VM, redeem), expected);
    for (uint64_t i = 0; i < expected; i++)
        model_take(to[i], 0, OWNER_VM);
}

static void random_operations_agree_with_the_model(void **state)
{
    (void)state;
    static void (*const operation[])(void) = {
        random_alloc, random_alloc, random_alloc,   random_alloc,          random_free,
        random_free,  random_free,  random_free,    random_free,           random_split,
        random_join,  random_join,  random_promise, random_promised_alloc, random_batch};
    unsigned before[BUDDY_ORDERS], after[BUDDY_ORDERS];
    list_lengths(before);
    for (int i = 0; i < STEPS; i++) {
        operation[(unsigned)rand() % array_size(operation)]();
        assert_int_equal(b.promised, promised);
        if (i % 16)
            continue;
        assert_sound();
        assert_int_equal(b.free, model_count(OWNER_NONE));
        for (uint16_t o = OWNER_VM; o < OWNER_VM + 3; o++)
            assert_int_equal(buddy_owned(&b, o), model_count(o));
    }
    buddy_unreserve(&b, promised);
    for (uint64_t f = 0; f < FRAMES; f++)
        if (model[f].head_order >= 0)
            assert_int_equal(buddy_free(&b, pfn(f), model[f].owner), E_OK);
    assert_sound();
    assert_int_equal(b.free, ADDED);
    list_lengths(after);
    assert_memory_equal(before, after, sizeof(before)); // all merged again
}

// ---- Single properties ----

static void ranges_become_few_blocks(void **state)
{
    (void)state;
    assert_sound();
    assert_int_equal(b.free, ADDED);
    assert_int_equal(b.total, ADDED);
    // Neighbours added one after the other merge: frame 8 on, 8 aligned frames in two halves.
    memset(records, 0, sizeof(records));
    buddy_init(&b, records, FRAMES);
    buddy_add(&b, pfn(8), pfn(12));
    buddy_add(&b, pfn(12), pfn(16));
    assert_int_equal(b.list[3], 8);
    assert_int_equal(b.nonempty, 1u << 3);
}

static void a_big_box_is_added_in_a_few_steps(void **state)
{
    (void)state;
    uint64_t count = 3ull << 18;
    struct frame *r = calloc(count, sizeof(*r));
    buddy_init(&b, r, count);
    assert_int_equal(buddy_add(&b, pfn(1), pfn(count)), E_OK);
    assert_int_equal(buddy_available(&b), count - 1);
    assert_false(pfn_is_none(buddy_alloc(&b, 18, OWNER_VM)));
    assert_false(pfn_is_none(buddy_alloc(&b, 18, OWNER_VM)));
    assert_true(pfn_is_none(buddy_alloc(&b, 18, OWNER_VM)));
    assert_false(pfn_is_none(buddy_alloc(&b, 17, OWNER_VM)));
    assert_true(pfn_is_none(buddy_alloc(&b, 19, OWNER_VM)));
    assert_sound();
    free(r);
}

static void bad_ranges_are_refused(void **state)
{
    (void)state;
    assert_int_equal(buddy_add(&b, pfn(0), pfn(5)), E_INVALID);
    assert_int_equal(buddy_add(&b, pfn(5), pfn(5)), E_INVALID);
    assert_int_equal(buddy_add(&b, pfn(6), pfn(5)), E_INVALID);
    assert_int_equal(buddy_add(&b, pfn(2990), pfn(FRAMES + 1)), E_INVALID);
    assert_int_equal(buddy_add(&b, pfn(2), pfn(9)), E_DOUBLE_FREE);
    assert_int_equal(buddy_add(&b, pfn(HOLE - 1), pfn(HOLE + 1)), E_DOUBLE_FREE);
    assert_int_equal(b.free, ADDED);
    assert_sound();
}

static void wrong_frees_have_names_and_change_nothing(void **state)
{
    (void)state;
    pfn_t f = buddy_alloc(&b, 3, OWNER_VM);
    uint64_t free_before = b.free;
    assert_int_equal(buddy_free(&b, f, OWNER_VM + 1), E_FOREIGN);
    assert_int_equal(buddy_free(&b, pfn(f.v + 1), OWNER_VM), E_INVALID);
    assert_int_equal(buddy_free(&b, pfn(HOLE + 3), OWNER_VM), E_FOREIGN);
    assert_int_equal(buddy_free(&b, pfn(0), OWNER_VM), E_FOREIGN);
    assert_int_equal(buddy_free(&b, pfn(FRAMES), OWNER_VM), E_FOREIGN);
    assert_int_equal(buddy_free(&b, PFN_NONE, OWNER_VM), E_FOREIGN);
    assert_int_equal(b.free, free_before);
    assert_int_equal(buddy_free(&b, f, OWNER_VM), E_OK);
    assert_int_equal(buddy_free(&b, f, OWNER_VM), E_DOUBLE_FREE);
    assert_int_equal(buddy_free(&b, pfn(f.v + 1), OWNER_VM), E_DOUBLE_FREE);
    assert_sound();
}

static void promises_hold_against_plain_takers(void **state)
{
    (void)state;
    assert_int_equal(buddy_reserve(&b, ADDED + 1), E_NO_MEMORY);
    assert_int_equal(buddy_reserve(&b, ~0ull), E_NO_MEMORY);
    assert_int_equal(buddy_reserve(&b, ADDED - 1), E_OK);
    assert_int_equal(buddy_reserve(&b, 2), E_NO_MEMORY);
    assert_true(pfn_is_none(buddy_alloc(&b, 1, OWNER_KERNEL)));
    assert_false(pfn_is_none(buddy_alloc(&b, 0, OWNER_KERNEL)));
    assert_true(pfn_is_none(buddy_alloc(&b, 0, OWNER_KERNEL)));
    for (uint64_t i = 0; i < ADDED - 1; i++)
        assert_false(pfn_is_none(buddy_alloc_promised(&b, 0, OWNER_VM)));
    assert_int_equal(b.free, 0);
    assert_int_equal(buddy_owned(&b, OWNER_VM), ADDED - 1);
    assert_sound();
}

static void every_page_can_be_had_and_given_back(void **state)
{
    (void)state;
    unsigned before[BUDDY_ORDERS], after[BUDDY_ORDERS];
    list_lengths(before);
    static uint64_t got[FRAMES];
    uint64_t n = 0;
    for (pfn_t f; !pfn_is_none(f = buddy_alloc(&b, 0, OWNER_VM)); n++)
        got[n] = f.v;
    assert_int_equal(n, ADDED);
    assert_int_equal(b.nonempty, 0);
    assert_sound();
    for (uint64_t i = n; i > 0; i--) { // in random order
        uint64_t k = (uint64_t)rand() % i;
        assert_int_equal(buddy_free(&b, pfn(got[k]), OWNER_VM), E_OK);
        got[k] = got[i - 1];
    }
    list_lengths(after);
    assert_memory_equal(before, after, sizeof(before));
    assert_sound();
}

static void blocks_at_rest_are_known_beforehand(void **state)
{
    (void)state;
    enum { TAKEN = 900 };
    uint32_t expected[BUDDY_ORDERS], now[BUDDY_ORDERS], lists[BUDDY_ORDERS];
    pfn_t kept[3] = {buddy_alloc(&b, 0, OWNER_KERNEL), buddy_alloc(&b, 3, OWNER_KERNEL),
                     buddy_alloc(&b, 0, OWNER_KERNEL)};
    buddy_count_blocks(&b, OWNER_NONE, expected);
    list_lengths(lists);
    assert_memory_equal(expected, lists, sizeof lists);
    pfn_t taken[TAKEN];
    for (unsigned i = 0; i < TAKEN; i++)
        taken[i] = buddy_alloc(&b, i % 2, OWNER_VM + i % 3);
    buddy_count_blocks(&b, OWNER_VM, now);
    assert_int_equal(now[0], TAKEN / 6);
    assert_int_equal(now[1], TAKEN / 6);
    buddy_count_at_rest(&b, OWNER_KERNEL, now);
    assert_memory_equal(now, expected, sizeof now);
    for (unsigned i = 0, k = 0; i < TAKEN; i++, k = (k + 7) % TAKEN) {
        assert_int_equal(buddy_free(&b, taken[k], OWNER_VM + k % 3),
                         E_OK); // comes to all of them: 7 does not divide 900
        buddy_count_at_rest(&b, OWNER_KERNEL, now);
        assert_memory_equal(now, expected, sizeof now);
    }
    buddy_count_blocks(&b, OWNER_NONE, now);
    assert_memory_equal(now, expected, sizeof now);
    assert_int_equal(buddy_free(&b, kept[1], OWNER_KERNEL), E_OK); // what the keeper holds counts
    buddy_count_at_rest(&b, OWNER_KERNEL, now);
    assert_memory_not_equal(now, expected, sizeof now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(ranges_become_few_blocks, start),
        cmocka_unit_test_setup(a_big_box_is_added_in_a_few_steps, start),
        cmocka_unit_test_setup(bad_ranges_are_refused, start),
        cmocka_unit_test_setup(wrong_frees_have_names_and_change_nothing, start),
        cmocka_unit_test_setup(promises_hold_against_plain_takers, start),
        cmocka_unit_test_setup(every_page_can_be_had_and_given_back, start),
        cmocka_unit_test_setup(blocks_at_rest_are_known_beforehand, start),
        cmocka_unit_test_setup(random_operations_agree_with_the_model, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
