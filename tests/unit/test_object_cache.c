#include "mm/object_cache.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/memory.h"
#include "tests/host/buddy_check.h"

enum { FRAMES = 512, HELD = 3000 };

static struct frame records[FRAMES];
static struct buddy b;
static struct object_cache cache;

static int start(void **state)
{
    (void)state;
    if (!host_ram)
        host_ram = aligned_alloc(PAGE_SIZE, FRAMES * PAGE_SIZE);
    memset(host_ram, 0xa5, FRAMES * PAGE_SIZE);
    memset(records, 0, sizeof(records));
    buddy_init(&b, records, FRAMES);
    buddy_add(&b, pfn(1), pfn(FRAMES));
    srand(3);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    free(host_ram);
    host_ram = NULL;
    return 0;
}

static void assert_all_back(void)
{
    assert_true(list_empty(&cache.partial));
    assert_int_equal(b.free, FRAMES - 1);
    assert_int_equal(b.account[OWNER_VM].bytes, 0);
    assert_int_equal(buddy_owned(&b, OWNER_OBJECTS), 0);
    assert_null(buddy_check(&b));
}

static const size_t sizes[] = {1, 8, 24, 64, 100, 320, 832, 1000, 1364, 2000, 2048, 4000, 4096, 5000, 20000};

static void fill_and_empty(size_t size, size_t align)
{
    static char *held[FRAMES * 300];
    object_cache_init(&cache, &b, size, align);
    size_t n = 0;
    for (char *p; n < HELD && (p = object_alloc(&cache, OWNER_VM)); n++) {
        assert_int_equal((uintptr_t)p % align, 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(p[i], 0);
        memset(p, (int)n, size); // whoever overlaps shows below
        held[n] = p;
    }
    assert_true(n >= min_u64(HELD, (FRAMES - 1) / ((size + PAGE_SIZE - 1) / PAGE_SIZE) / 2));
    assert_null(buddy_check(&b));
    for (size_t k = 0; k < n; k++) {
        for (size_t i = 0; i < size; i++)
            assert_int_equal(held[k][i], (char)k);
        assert_int_equal(object_free(&cache, held[k], OWNER_VM), E_OK);
    }
    assert_all_back();
}

static void every_size_fills_and_empties(void **state)
{
    (void)state;
    for (size_t i = 0; i < array_size(sizes); i++)
        for (size_t align = 1; align <= PAGE_SIZE; align *= 8)
            fill_and_empty(sizes[i], align);
}

static void wrong_frees_have_names(void **state)
{
    (void)state;
    object_cache_init(&cache, &b, 200, 8);
    char *p = object_alloc(&cache, OWNER_VM), *q = object_alloc(&cache, OWNER_VM);
    assert_int_equal(object_free(&cache, p, OWNER_VM + 1), E_FOREIGN);
    assert_int_equal(object_free(&cache, p + 8, OWNER_VM), E_INVALID);
    assert_int_equal(object_free(&cache, (char *)((uintptr_t)p & ~0xfffull), OWNER_VM), E_INVALID);
    assert_int_equal(object_free(&cache, p, OWNER_VM), E_OK);
    assert_int_equal(object_free(&cache, p, OWNER_VM), E_DOUBLE_FREE);
    assert_int_equal(object_free(&cache, q, OWNER_VM), E_OK);
    assert_int_equal(object_free(&cache, q, OWNER_VM), E_INVALID); // its slab is gone
    assert_all_back();

    object_cache_init(&cache, &b, 10000, PAGE_SIZE);
    p = object_alloc(&cache, OWNER_VM);
    assert_int_equal(object_cost(&cache), 4 * PAGE_SIZE);
    assert_int_equal(buddy_owned(&b, OWNER_VM), 4);
    assert_int_equal(object_free(&cache, p, OWNER_VM + 1), E_FOREIGN);
    assert_int_equal(object_free(&cache, p + 8, OWNER_VM), E_INVALID);
    assert_int_equal(object_free(&cache, p + PAGE_SIZE, OWNER_VM), E_INVALID);
    assert_int_equal(object_free(&cache, p, OWNER_VM), E_OK);
    assert_int_equal(object_free(&cache, p, OWNER_VM), E_DOUBLE_FREE);
    assert_all_back();
}

static void an_object_of_another_cache_is_not_ours(void **state)
{
    (void)state;
    static struct object_cache other;
    object_cache_init(&cache, &b, 200, 8);
    object_cache_init(&other, &b, 200, 8);
    void *p = object_alloc(&other, OWNER_VM);
    assert_int_equal(object_free(&cache, p, OWNER_VM), E_INVALID);
    assert_int_equal(object_free(&other, p, OWNER_VM), E_OK);
    assert_all_back();
}

static void random_use_agrees_with_the_model(void **state)
{
    (void)state;
    static struct {
        uint32_t *p;
        uint32_t mark;
        uint16_t owner;
    } held[HELD];
    object_cache_init(&cache, &b, 300, 16);
    uint32_t n = 0, marks = 0, bytes[2] = {0, 0};
    for (int i = 0; i < 40000; i++) {
        if (rand() % 2000 < (i / 8000 % 2 ? 900 : 1100)) {
            uint16_t owner = (uint16_t)(OWNER_VM + rand() % 2);
            uint32_t *p = n < HELD ? object_alloc(&cache, owner) : NULL;
            if (!p)
                continue;
            assert_int_equal(*p, 0);
            *p = p[74] = ++marks;
            held[n].p = p, held[n].mark = marks, held[n++].owner = owner;
            bytes[owner - OWNER_VM] += cache.size;
        } else if (n) {
            uint32_t k = (uint32_t)rand() % n;
            assert_int_equal(*held[k].p, held[k].mark);
            assert_int_equal(held[k].p[74], held[k].mark);
            assert_int_equal(object_free(&cache, held[k].p, held[k].owner), E_OK);
            bytes[held[k].owner - OWNER_VM] -= cache.size;
            held[k] = held[--n];
        }
        assert_int_equal(b.account[OWNER_VM].bytes, bytes[0]);
        assert_int_equal(b.account[OWNER_VM + 1].bytes, bytes[1]);
    }
    while (n--)
        assert_int_equal(object_free(&cache, held[n].p, held[n].owner), E_OK);
    assert_all_back();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_size_fills_and_empties, start),
        cmocka_unit_test_setup(wrong_frees_have_names, start),
        cmocka_unit_test_setup(an_object_of_another_cache_is_not_ours, start),
        cmocka_unit_test_setup(random_use_agrees_with_the_model, start),
    };
    return cmocka_run_group_tests(tests, NULL, stop);
}
