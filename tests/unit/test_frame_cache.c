#include "mm/frame_cache.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/memory.h"
#include "tests/host/buddy_check.h"

enum { FRAMES = 256 };

static struct frame records[FRAMES];
static struct buddy b;
static struct frame_cache a, c; // two processors'

static int start(void **state)
{
    (void)state;
    if (!host_ram)
        host_ram = aligned_alloc(PAGE_SIZE, FRAMES * PAGE_SIZE);
    memset(host_ram, 0xa5, FRAMES * PAGE_SIZE);
    memset(records, 0, sizeof(records));
    buddy_init(&b, records, FRAMES);
    buddy_add(&b, pfn(1), pfn(FRAMES));
    frame_cache_init(&a, &b);
    frame_cache_init(&c, &b);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    free(host_ram);
    host_ram = NULL;
    return 0;
}

static void assert_zero(pfn_t f)
{
    const char *p = pfn_to_virt(f);
    for (int i = 0; i < PAGE_SIZE; i++)
        assert_int_equal(p[i], 0);
}

static void frames_are_zero_and_charged_to_the_taker(void **state)
{
    (void)state;
    uint64_t got[40];
    for (int i = 0; i < 40; i++) {
        pfn_t f = frame_cache_take(&a, OWNER_VM);
        assert_false(pfn_is_none(f));
        assert_zero(f);
        memset(pfn_to_virt(f), 0x5a, PAGE_SIZE);
        got[i] = f.v;
        assert_int_equal(buddy_owned(&b, OWNER_VM), i + 1);
    }
    for (int i = 0; i < 40; i++)
        assert_int_equal(buddy_free(&b, pfn(got[i]), OWNER_VM), E_OK);
    frame_cache_flush(&a);
    assert_int_equal(buddy_owned(&b, OWNER_VM), 0);
    assert_int_equal(buddy_owned(&b, OWNER_CACHE), 0);
    assert_int_equal(b.free, FRAMES - 1);
    assert_null(buddy_check(&b));
}

static void idle_fills_up_and_then_rests(void **state)
{
    (void)state;
    int batches = 0;
    while (frame_cache_refill_idle(&a))
        batches++;
    assert_int_equal(batches, FRAME_CACHE_MAX / FRAME_CACHE_BATCH);
    assert_int_equal(a.count, FRAME_CACHE_MAX);
    assert_int_equal(buddy_owned(&b, OWNER_CACHE), FRAME_CACHE_MAX);
    for (uint32_t i = 0; i < a.count; i++)
        assert_zero(pfn(a.frame[i]));
}

static void the_last_frame_can_be_had(void **state)
{
    (void)state;
    int n = 0;
    while (!pfn_is_none(frame_cache_take(&a, OWNER_VM)))
        n++;
    assert_int_equal(n, FRAMES - 1);
    assert_false(frame_cache_refill_idle(&a));
    assert_int_equal(buddy_owned(&b, OWNER_VM), FRAMES - 1);
}

// Whatever other processors keep in their caches, a promise is kept to its last page.
static void promises_hold_while_others_hoard(void **state)
{
    (void)state;
    while (frame_cache_refill_idle(&c))
        ;
    uint64_t promise = FRAMES - 1 - FRAME_CACHE_MAX;
    assert_int_equal(buddy_reserve(&b, promise + 1), E_NO_MEMORY);
    assert_int_equal(buddy_reserve(&b, promise), E_OK);
    assert_false(frame_cache_refill_idle(&a));
    assert_true(pfn_is_none(frame_cache_take(&a, OWNER_VM)));
    for (uint64_t i = 0; i < promise; i++) {
        pfn_t f = frame_cache_take_promised(i % 3 ? &a : &c, OWNER_VM);
        assert_zero(f);
    }
    frame_cache_flush(&a);
    frame_cache_flush(&c);
    assert_int_equal(b.promised, 0);
    assert_int_equal(buddy_owned(&b, OWNER_VM), promise);
    assert_int_equal(b.free, FRAMES - 1 - promise);
    assert_null(buddy_check(&b));
}

// Random taking, giving back, promising on two caches: counts always add up after a flush.
static void random_use_adds_up(void **state)
{
    (void)state;
    srand(5);
    static uint64_t held[FRAMES];
    uint64_t n = 0, promised = 0;
    for (int i = 0; i < 20000; i++) {
        struct frame_cache *cache = rand() % 2 ? &a : &c;
        pfn_t f = PFN_NONE;
        switch (rand() % 6) {
        case 0:
            f = frame_cache_take(cache, OWNER_VM);
            break;
        case 1:
            if (promised) {
                f = frame_cache_take_promised(cache, OWNER_VM);
                promised--;
                assert_false(pfn_is_none(f));
            }
            break;
        case 2:
            promised += buddy_reserve(&b, 5) == E_OK ? 5 : 0;
            break;
        case 3:
            frame_cache_refill_idle(cache);
            break;
        default:
            if (n) {
                uint64_t k = (uint64_t)rand() % n;
                assert_int_equal(buddy_free(&b, pfn(held[k]), OWNER_VM), E_OK);
                held[k] = held[--n];
            }
        }
        if (!pfn_is_none(f)) {
            assert_zero(f);
            memset(pfn_to_virt(f), 1, PAGE_SIZE);
            held[n++] = f.v;
        }
        assert_int_equal(b.promised, promised + a.redeemed + c.redeemed);
        assert_int_equal(b.free + n + a.count + c.count, FRAMES - 1);
    }
    frame_cache_flush(&a);
    frame_cache_flush(&c);
    assert_int_equal(b.promised, promised);
    assert_int_equal(b.free, FRAMES - 1 - n);
    assert_int_equal(buddy_owned(&b, OWNER_CACHE), 0);
    assert_null(buddy_check(&b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(frames_are_zero_and_charged_to_the_taker, start),
        cmocka_unit_test_setup(idle_fills_up_and_then_rests, start),
        cmocka_unit_test_setup(the_last_frame_can_be_had, start),
        cmocka_unit_test_setup(promises_hold_while_others_hoard, start),
        cmocka_unit_test_setup(random_use_adds_up, start),
    };
    return cmocka_run_group_tests(tests, NULL, stop);
}
