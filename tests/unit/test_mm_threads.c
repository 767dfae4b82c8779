// Threads as processors: they touch, unmap, enter, leave and give back in the same spaces at once, without
// ever waiting for one another outside the short locks; in the end every frame is back.
#include "mm/mm.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/memory.h"
#include "mm/space_impl.h"
#include "tests/host/buddy_check.h"

enum { FRAMES = 4096, CPUS = 3, PAGES = 200, STEPS = 4000 };

static struct memmap map;
static struct space *shared;
static uint64_t at_rest;
static unsigned failures; // of all threads: cmocka's assertions belong to the first

static void expect(bool ok)
{
    if (!ok)
        __atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
}

static void work_on(struct space *s, uint32_t id, unsigned *seed)
{
    uint64_t page = (unsigned)rand_r(seed) % PAGES, done;
    uint32_t value = (uint32_t)page;
    enum error e;
    switch (rand_r(seed) % 8) {
    case 0:
        e = space_give(s, gfn(page), 1 + page % (PAGES - page), &done);
        expect(e == E_OK || e == E_NOT_FOUND);
        break;
    case 1:
        e = guest_write(s, gpa(page << 12 | id * 8), &value, 4);
        expect(e == E_OK || e == E_BAD_ADDRESS);
        break;
    case 2:
        e = guest_read(s, gpa(page << 12 | id * 8), &value, 4);
        expect(e == E_OK || e == E_BAD_ADDRESS);
        expect(value == page || value == 0); // written here by this thread alone, or given since
        break;
    case 3:
        frame_cache_refill_idle(host_frame_cache);
        break;
    case 4:
        quarantine_poll();
        break;
    default:
        e = space_take(s, gfn(page), 1, ~0ull, &done);
        expect(e == E_OK || e == E_EXISTS);
        e = space_fault(s, gfn_to_gpa(gfn(page)), ACCESS_WRITE);
        expect(e == E_OK || e == E_BAD_ADDRESS);
    }
}

static void *processor(void *arg)
{
    uint32_t id = (uint32_t)(uintptr_t)arg;
    unsigned seed = id + 1;
    host_frame_cache = mm_cpu_init(id);
    for (int i = 0; i < STEPS; i++) {
        struct space *own = i % 50 ? NULL : space_create((uint16_t)(OWNER_VM + 1 + id));
        if (own && space_add_slot(own, gfn(0), PAGES, SLOT_RAM | SLOT_BALLOON) == E_OK) {
            space_enter(own, &seats[id]);
            for (int k = 0; k < 50; k++)
                work_on(own, id, &seed);
        }
        if (seat_stale(shared, &seats[id]))
            space_enter(shared, &seats[id]);
        if (own)
            space_destroy(own);
        work_on(shared, id, &seed);
        if (rand_r(&seed) % 5 == 0)
            space_leave(id);
    }
    space_leave(id);
    frame_cache_flush(host_frame_cache);
    return NULL;
}

static int start(void **state)
{
    (void)state;
    failures = 0;
    host_ram = aligned_alloc(PAGE_SIZE, FRAMES * PAGE_SIZE);
    memmap_init(&map);
    memmap_add(&map, 0, FRAMES * PAGE_SIZE, 1);
    memmap_seal(&map);
    assert_int_equal(mm_init(&map), E_OK);
    host_frame_cache = mm_cpu_init(CPUS);
    at_rest = mm_at_rest();
    return 0;
}

static int finish(void **state)
{
    (void)state;
    while (quarantine_poll())
        ;
    frame_cache_flush(host_frame_cache);
    assert_int_equal(failures, 0);
    assert_int_equal(frames.promised, 0);
    assert_int_equal(mm_at_rest(), at_rest);
    assert_null(buddy_check(&frames));
    free(host_ram);
    return 0;
}

static void everything_comes_back(void **state)
{
    (void)state;
    pthread_t threads[CPUS];
    shared = space_create(OWNER_VM);
    assert_int_equal(space_add_slot(shared, gfn(0), PAGES, SLOT_RAM | SLOT_BALLOON), E_OK);
    for (uintptr_t i = 0; i < CPUS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, processor, (void *)i), 0);
    for (int i = 0; i < CPUS; i++)
        pthread_join(threads[i], NULL);
    space_destroy(shared);
}

static void *gives_back(void *arg)
{
    (void)arg;
    quarantine_poll();
    return NULL;
}

// Or the space could end meanwhile, and another be made in its place, while a processor still frees frames in its name.
static void frames_go_back_before_their_space_is_let_go(void **state)
{
    (void)state;
    pthread_t thread;
    uint64_t done;
    struct space *s = space_create(OWNER_VM);
    assert_int_equal(space_add_slot(s, gfn(0), PAGES, SLOT_RAM | SLOT_BALLOON), E_OK);
    assert_int_equal(space_take(s, gfn(0), 4, ~0ull, &done), E_OK);
    assert_int_equal(space_give(s, gfn(0), 4, &done), E_OK);
    lock_take(&frames.lock); // nothing can be freed
    assert_int_equal(pthread_create(&thread, NULL, gives_back, NULL), 0);
    bool cut = false, queued = false;
    while (!cut) {
        lock_take(&s->lock);
        cut = !(s->arriving | s->waiting);
        queued = s->queued;
        lock_release(&s->lock);
    }
    lock_release(&frames.lock);
    pthread_join(thread, NULL);
    assert_true(queued);
    space_destroy(s);
}

static bool split_types(hpa_t at, enum ept_level level, enum cache_type *type)
{
    (void)at;
    *type = MT_WB;
    return level == EPT_4K;
}

static bool over, began;

static void *takes_what_nobody_was_promised(void *arg)
{
    (void)arg;
    for (; !__atomic_load_n(&over, __ATOMIC_RELAXED); __atomic_store_n(&began, true, __ATOMIC_RELAXED)) {
        pfn_t f = buddy_alloc(&frames, 0, OWNER_VM + 1);
        expect(pfn_is_none(f));
        if (!pfn_is_none(f))
            buddy_free(&frames, f, OWNER_VM + 1);
    }
    return NULL;
}

// A large block that will not do as one leaf goes back, and stays promised to the space all the while.
static void a_block_goes_back_to_its_promise(void **state)
{
    (void)state;
    enum { ROUNDS = 100, REGION = 512 };
    pthread_t thread;
    ept_features = (struct ept_features){.pages_2m = true, .memory_type = split_types};
    for (int i = 0; i < ROUNDS; i++) {
        struct space *s = space_create(OWNER_VM);
        assert_int_equal(space_add_slot(s, gfn(0), REGION, SLOT_RAM), E_OK);
        uint64_t rest = buddy_available(&frames);
        assert_int_equal(buddy_reserve(&frames, rest), E_OK);
        over = began = false;
        assert_int_equal(pthread_create(&thread, NULL, takes_what_nobody_was_promised, NULL), 0);
        while (!__atomic_load_n(&began, __ATOMIC_RELAXED))
            ;
        space_populate(s, gfn(0));
        __atomic_store_n(&over, true, __ATOMIC_RELAXED);
        pthread_join(thread, NULL);
        buddy_unreserve(&frames, rest);
        space_destroy(s);
        while (quarantine_poll())
            ;
    }
    ept_features = (struct ept_features){0};
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(everything_comes_back, start, finish),
        cmocka_unit_test_setup_teardown(frames_go_back_before_their_space_is_let_go, start, finish),
        cmocka_unit_test_setup_teardown(a_block_goes_back_to_its_promise, start, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
