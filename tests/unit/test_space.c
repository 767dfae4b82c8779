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
#include "tests/host/ept_lookup.h"
#include "tests/host/mm_test.h"

enum { FRAMES = 2048, VM = OWNER_VM, PAGES = 300 };

static struct space *s;
static struct object_cache *const objects = &space_cache;

static int start(void **state)
{
    (void)state;
    mm_test_start(FRAMES, (struct ept_features){0});
    srand(13);
    s = space_create(VM);
    assert_non_null(s);
    return 0;
}

// Destroys the space under test: everything must be back.
static int finish(void **state)
{
    (void)state;
    if (s)
        space_destroy(s);
    mm_test_finish();
    return 0;
}

static hpa_t frame_of(struct space *space, uint64_t page)
{
    const uint64_t *entry = ept_peek(&space->ept, gfn_to_gpa(gfn(page)));
    return hpa(entry ? *entry & EPT_ADDRESS : 0);
}

// What is linked belongs to no slot; taking it out, unlike putting it in, is for processors to notice.
static void links_change_the_generation(void **state)
{
    (void)state;
    enum { DIRECTORY = 0x7000, GIB3 = 0xc0000000u };
    uint8_t byte;
    uint64_t generation = space_generation(s);
    assert_int_equal(space_add_slot(s, gfn(0), 16, SLOT_RAM), E_OK);
    assert_int_equal(space_link(s, gpa(GIB3), hpa(DIRECTORY)), E_OK);
    assert_int_equal(space_generation(s), generation);
    assert_int_equal(space_fault(s, gpa(GIB3), ACCESS_READ), E_BAD_ADDRESS);
    assert_int_equal(guest_read(s, gpa(GIB3), &byte, 1), E_BAD_ADDRESS);
    assert_int_equal(space_link(s, gpa(GIB3), hpa(0)), E_OK);
    assert_true(space_generation(s) > generation);
    generation = space_generation(s);
    assert_int_equal(space_link(s, gpa(GIB3), hpa(DIRECTORY)), E_OK);
    assert_int_equal(space_add_slot(s, gfn((GIB3 >> PAGE_SHIFT) - 1), 1, SLOT_RAM), E_OK); // below it
    assert_int_equal(space_generation(s), generation);
    assert_int_equal(space_add_slot(s, gfn(GIB3 >> PAGE_SHIFT), 1, SLOT_RAM), E_OK);
    assert_true(space_generation(s) > generation);
    assert_int_equal(space_link(s, gpa(GIB3), hpa(DIRECTORY)), E_EXISTS);
    assert_int_equal(space_fault(s, gpa(GIB3), ACCESS_WRITE), E_OK);
    assert_int_equal(guest_read(s, gpa(GIB3), &byte, 1), E_OK);
    assert_int_equal(byte, 0);
}

// ---- Slots ----

static void slots_are_checked(void **state)
{
    (void)state;
    assert_int_equal(space_add_slot(s, gfn(0), 16, SLOT_RAM), E_OK);
    assert_int_equal(space_add_slot(s, gfn(15), 1, SLOT_RAM), E_EXISTS);
    assert_int_equal(space_add_slot(s, gfn(10), 100, SLOT_RAM), E_EXISTS);
    assert_int_equal(space_add_slot(s, gfn(16), 0, SLOT_RAM), E_INVALID);
    assert_int_equal(space_add_slot(s, gfn(16), 1, SLOT_WRITE), E_INVALID);
    assert_int_equal(space_add_slot(s, gfn(16), 1, 8 | SLOT_RAM), E_INVALID);
    assert_int_equal(space_add_slot(s, gfn(1ull << 36), 1, SLOT_RAM), E_BAD_ADDRESS);
    assert_int_equal(space_add_slot(s, gfn((1ull << 36) - 1), 2, SLOT_RAM), E_BAD_ADDRESS);
    assert_int_equal(space_add_slot(s, gfn(16), ~0ull, SLOT_RAM), E_BAD_ADDRESS);
    assert_int_equal(space_add_slot(s, gfn(16), FRAMES, SLOT_RAM), E_NO_MEMORY);
    assert_int_equal(space_ram(s), 16 * PAGE_SIZE);
    for (uint64_t i = 1; i < SPACE_SLOTS; i++)
        assert_int_equal(space_add_slot(s, gfn(i * 1000), 1, SLOT_READ), E_OK);
    assert_int_equal(space_add_slot(s, gfn(20000), 1, SLOT_READ), E_TOO_BIG);
}

static void a_tiny_machine_costs_little(void **state)
{
    (void)state;
    assert_int_equal(space_add_slot(s, gfn(0), 256, SLOT_RAM), E_OK);
    for (uint64_t i = 0; i < 256; i++)
        assert_int_equal(space_fault(s, gfn_to_gpa(gfn(i)), ACCESS_WRITE), E_OK);
    assert_int_equal(buddy_owned(&frames, VM), 256 + 4);
    assert_int_equal(space_bytes(s), 4 * PAGE_SIZE + object_cost(objects));
    assert_true(object_cost(objects) <= 640);
    assert_int_equal(space_eptp(s) & 0xfff, 6 | 3 << 3);
}

static void faults_are_answered(void **state)
{
    (void)state;
    assert_int_equal(space_fault(s, gpa(0), ACCESS_READ), E_BAD_ADDRESS);
    space_add_slot(s, gfn(0x10), 4, SLOT_RAM);
    space_add_slot(s, gfn(0x20), 4, SLOT_READ);
    assert_int_equal(space_fault(s, gpa(0xffff), ACCESS_READ), E_BAD_ADDRESS);
    assert_int_equal(space_fault(s, gpa(0x14000), ACCESS_READ), E_BAD_ADDRESS);
    assert_int_equal(space_fault(s, gpa(~0ull), ACCESS_READ), E_BAD_ADDRESS);
    assert_int_equal(space_fault(s, gpa(0x21000), ACCESS_WRITE), E_DENIED);
    assert_int_equal(space_fault(s, gpa(0x21000), ACCESS_EXEC), E_DENIED);
    assert_int_equal(space_fault(s, gpa(0x21000), ACCESS_READ), E_OK);
    assert_int_equal(space_fault(s, gpa(0x10abc), ACCESS_READ | ACCESS_WRITE), E_OK);
    assert_int_equal(*ept_peek(&s->ept, gpa(0x10000)) & 0xfff, 7 | 6 << 3);
    assert_int_equal(*ept_peek(&s->ept, gpa(0x21000)) & 0xfff, 1 | 6 << 3);
    hpa_t frame = frame_of(s, 0x10);
    const char *page = hpa_to_virt(frame);
    for (int i = 0; i < PAGE_SIZE; i++)
        assert_int_equal(page[i], 0);
    assert_int_equal(space_fault(s, gpa(0x10000), ACCESS_WRITE), E_OK); // again: nothing changes
    assert_int_equal(frame_of(s, 0x10).v, frame.v);
}

// RAM of a slot, and nothing else that is charged to the same owner: no table, no frame that the hypervisor took for
// it.
static void only_ram_is_its_own(void **state)
{
    (void)state;
    enum { TABLES_AND_RAM = 4 + 3 };
    space_add_slot(s, gfn(0x10), 4, SLOT_RAM);
    space_add_slot(s, gfn(0x20), 4, SLOT_READ);
    struct space *other = space_create(VM + 1);
    space_add_slot(other, gfn(0x10), 4, SLOT_RAM);
    pfn_t taken = buddy_alloc(&frames, 0, VM);
    const uint64_t pages[] = {0x10, 0x13, 0x22};
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(space_fault(s, gfn_to_gpa(gfn(pages[i])), ACCESS_READ), E_OK);
    assert_int_equal(space_fault(other, gpa(0x10000), ACCESS_READ), E_OK);
    assert_int_equal(buddy_owned(&frames, VM), TABLES_AND_RAM + 1);
    unsigned own = 0;
    for (uint64_t f = 0; f < FRAMES + 100; f++)
        own += space_has_frame(s, pfn(f));
    assert_int_equal(own, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_true(space_has_frame(s, hpa_to_pfn(frame_of(s, pages[i]))));
    assert_false(space_has_frame(s, hpa_to_pfn(frame_of(other, 0x10))));
    assert_true(space_has_frame(other, hpa_to_pfn(frame_of(other, 0x10))));
    assert_false(space_has_frame(s, taken));
    buddy_free(&frames, taken, VM);
    space_destroy(other);
}

// ---- The hypervisor's accesses ----

static void reading_backs_nothing(void **state)
{
    (void)state;
    char buffer[9000];
    memset(buffer, 1, sizeof(buffer));
    space_add_slot(s, gfn(0), 4, SLOT_RAM);
    uint64_t before = buddy_owned(&frames, VM);
    assert_int_equal(guest_read(s, gpa(100), buffer, sizeof(buffer)), E_OK);
    assert_int_equal(buddy_owned(&frames, VM), before);
    for (size_t i = 0; i < sizeof(buffer); i++)
        assert_int_equal(buffer[i], 0);
}

// Two slots whose pages lie in different page tables.
static void a_view_sees_what_is_backed(void **state)
{
    (void)state;
    const uint64_t far = 5ull << 30, near_at = 3 * PAGE_SIZE + 8, far_at = far + 8;
    assert_int_equal(space_add_slot(s, gfn(0), PAGES, SLOT_RAM), E_OK);
    assert_int_equal(space_add_slot(s, gfn(far >> PAGE_SHIFT), 1, SLOT_RAM), E_OK);
    struct guest_view view = {.space = s, .region = ~0ull};
    assert_null(guest_peek(&view, gpa(near_at)));
    assert_int_equal(guest_write(s, gpa(near_at), "near", 4), E_OK);
    assert_null(guest_peek(&view, gpa(far_at)));
    assert_memory_equal(guest_peek(&view, gpa(near_at)), "near", 4);
    assert_null(guest_peek(&view, gpa(near_at + PAGE_SIZE)));
    assert_int_equal(guest_write(s, gpa(far_at), "far", 3), E_OK);
    for (unsigned i = 0; i < 2; i++) {
        assert_memory_equal(guest_peek(&view, gpa(far_at)), "far", 3);
        assert_memory_equal(guest_peek(&view, gpa(near_at)), "near", 4);
    }
    assert_null(guest_peek(&view, gpa(far_at + PAGE_SIZE)));
    assert_null(guest_peek(&view, gpa(1ull << 48 | near_at)));
    assert_null(guest_peek(&view, gpa(~0ull)));
}

static void accesses_outside_change_nothing(void **state)
{
    (void)state;
    char buffer[3 * PAGE_SIZE] = {1, 2, 3};
    space_add_slot(s, gfn(1), 2, SLOT_RAM);
    space_add_slot(s, gfn(5), 1, SLOT_READ);
    assert_int_equal(guest_write(s, gpa(0xfff), buffer, 2), E_BAD_ADDRESS);
    assert_int_equal(guest_write(s, gpa(0x1001), buffer, 0x2000), E_BAD_ADDRESS);
    assert_int_equal(guest_write(s, gpa(~0ull), buffer, 2), E_BAD_ADDRESS);
    assert_int_equal(guest_write(s, gpa(0x1000), buffer, ~0ull), E_BAD_ADDRESS);
    assert_int_equal(guest_read(s, gpa(0x2fff), buffer, 2), E_BAD_ADDRESS);
    assert_int_equal(guest_read(s, gpa(0xff8), buffer, 8), E_BAD_ADDRESS);
    assert_int_equal(guest_read(s, gpa(0x2ff8), buffer, 8), E_OK);
    assert_int_equal(guest_read(s, gpa(0x3000), buffer, 8), E_BAD_ADDRESS); // within a page: another way
    assert_int_equal(guest_read(s, gpa(0x1008), buffer, ~0ull), E_BAD_ADDRESS);
    assert_int_equal(guest_read(s, gpa(~0ull - 7), buffer, 8), E_BAD_ADDRESS);
    assert_int_equal(guest_read(s, gpa(0x5000), buffer, PAGE_SIZE), E_OK);
    assert_int_equal(guest_write(s, gpa(0x5000), buffer, 1), E_DENIED);
    assert_int_equal(guest_write(s, gpa(0x9000), buffer, 0), E_OK);
    assert_int_equal(guest_probe(s, gpa(0x5000), 1), E_DENIED);
    assert_int_equal(guest_probe(s, gpa(0x3000), 1), E_BAD_ADDRESS);
    assert_null(guest_map(s, gpa(0x5000), 1));
    assert_null(guest_map(s, gpa(0x1001), PAGE_SIZE));
    assert_null(guest_map(s, gpa(0x3000), 1));
    assert_null(guest_map(s, gpa(0x1000), ~0ull));
    assert_int_equal(frame_of(s, 1).v | frame_of(s, 2).v, 0);
    char *p = guest_map(s, gpa(0x1010), 16);
    assert_ptr_equal(p, (char *)hpa_to_virt(frame_of(s, 1)) + 16);
    assert_true(*ept_peek(&s->ept, gpa(0x1000)) & EPT_DIRTY);
    assert_int_equal(guest_probe(s, gpa(0x2010), 16), E_OK);
    assert_true(*ept_peek(&s->ept, gpa(0x2000)) & EPT_DIRTY);
}

static void an_exchange_compares(void **state)
{
    (void)state;
    uint64_t value = 0;
    assert_int_equal(space_add_slot(s, gfn(0), 4, SLOT_RAM), E_OK);
    assert_int_equal(space_add_slot(s, gfn(8), 4, SLOT_READ), E_OK);
    assert_int_equal(guest_exchange(s, gpa(0x1008), 0, 0x1122334455667788, 8), E_OK);
    assert_int_equal(guest_exchange(s, gpa(0x1008), 0, 1, 8), E_AGAIN);
    assert_int_equal(guest_exchange(s, gpa(0x1008), 0x55667788, 1, 8), E_AGAIN);
    assert_int_equal(guest_exchange(s, gpa(0x1008), 0x55667788, 1, 4), E_OK);
    assert_int_equal(guest_read(s, gpa(0x1008), &value, 8), E_OK);
    assert_int_equal(value, 0x1122334400000001);
    assert_int_equal(guest_exchange(s, gpa(0x4000), 0, 1, 8), E_BAD_ADDRESS);
    assert_int_equal(guest_exchange(s, gpa(0x8000), 0, 1, 8), E_DENIED);
}

static void random_accesses_agree_with_a_flat_array(void **state)
{
    (void)state;
    static uint8_t model[PAGES * PAGE_SIZE], buffer[3 * PAGE_SIZE];
    memset(model, 0, sizeof(model));
    uint64_t base = 0x1ff000 - 100 * PAGE_SIZE; // across a page table's end, in two slots that touch
    space_add_slot(s, gpa_to_gfn(gpa(base)), 120, SLOT_RAM);
    space_add_slot(s, gfn((base >> PAGE_SHIFT) + 120), PAGES - 120, SLOT_RAM);
    for (int i = 0; i < 20000; i++) {
        size_t len = (size_t)rand() % (rand() % 4 ? 64 : sizeof(buffer)),
               offset = (size_t)rand() % sizeof(model);
        bool inside = len <= sizeof(model) - offset;
        enum error expected = inside || !len ? E_OK : E_BAD_ADDRESS, got;
        switch (rand() % 3) {
        case 0:
            for (size_t k = 0; k < len; k++)
                buffer[k] = (uint8_t)rand();
            got = guest_write(s, gpa(base + offset), buffer, len);
            if (inside)
                memcpy(model + offset, buffer, len);
            break;
        case 1:
            got = space_fault(s, gpa(base + offset), ACCESS_WRITE);
            expected = E_OK;
            break;
        default:
            got = guest_read(s, gpa(base + offset), buffer, len);
            if (inside)
                assert_memory_equal(buffer, model + offset, len);
        }
        assert_int_equal(got, expected);
    }
}

// ---- Promises ----

static void a_promise_is_kept_to_the_last_page(void **state)
{
    (void)state;
    struct space *rival = space_create(VM + 1);
    uint64_t pages = buddy_available(&frames) - 3 - 4; // as many tables as so many pages may need
    assert_int_equal(space_add_slot(s, gfn(0), pages, SLOT_RAM), E_OK);
    assert_int_equal(space_add_slot(rival, gfn(0), 1, SLOT_RAM), E_NO_MEMORY);
    for (uint64_t i = 0; i < pages; i++)
        assert_int_equal(space_fault(s, gfn_to_gpa(gfn(i * 7919 % pages)), ACCESS_WRITE), E_OK);
    space_destroy(rival);
}

// Whatever allocation is the first to fail, the caller gets an error and everything comes back.
static void any_allocation_may_fail(void **state)
{
    (void)state;
    static uint64_t hog[FRAMES];
    char byte = 1;
    space_destroy(s);
    while (quarantine_poll())
        ;
    for (uint64_t left = 0; left < 24; left++) {
        frame_cache_flush(host_frame_cache);
        uint64_t n = 0;
        for (; buddy_available(&frames) > left; n++)
            hog[n] = buddy_alloc(&frames, 0, OWNER_TEST).v;
        s = space_create(VM);
        assert_int_equal(s != NULL, left >= 2);
        if (s) {
            enum error e = space_add_slot(s, gfn(0), 10, SLOT_RAM);
            for (uint64_t i = 0; e == E_OK && i < 10; i++)
                assert_int_equal(guest_write(s, gfn_to_gpa(gfn(i)), &byte, 1), E_OK);
            space_destroy(s);
        }
        while (quarantine_poll())
            ;
        while (n--)
            assert_int_equal(buddy_free(&frames, pfn(hog[n]), OWNER_TEST), E_OK);
    }
    s = NULL;
}

static void a_big_space_goes_in_portions(void **state)
{
    (void)state;
    space_add_slot(s, gfn(0), 1200, SLOT_RAM);
    for (uint64_t i = 0; i < 1200; i++)
        space_fault(s, gfn_to_gpa(gfn(i)), ACCESS_WRITE);
    space_destroy(s);
    s = NULL;
    assert_int_equal(frames.promised, host_frame_cache->redeemed); // the promise is off at once
    int polls = 0;
    for (bool more = true; more; polls++) {
        uint64_t before = frames.free;
        more = quarantine_poll();
        assert_true(frames.free - before <= 64 + 8);
    }
    assert_in_range(polls, 1200 / 64, 25);
}

// ---- Map to buddy ----

static void init_takes_what_is_ram_and_no_more(void **state)
{
    (void)state;
    uint64_t records = FRAMES * sizeof(struct frame) / PAGE_SIZE;
    assert_int_equal(frames.total, FRAMES - 256 - records);
    for (uint64_t f = 0; f < FRAMES; f++)
        if (memmap_type(&host_memmap, pfn(f)) != MEM_RAM)
            assert_int_equal(buddy_free(&frames, pfn(f), VM), E_FOREIGN);
}

static void ram_too_sparse_for_records_is_left_out(void **state)
{
    (void)state;
    static struct memmap odd;
    static struct buddy saved;
    saved = frames;
    memmap_init(&odd);
    memmap_add(&odd, 0, FRAMES * PAGE_SIZE, 1);
    memmap_add(&odd, 1ull << 44, PAGE_SIZE, 1); // one page at 16 TiB would need 64 GiB of records
    memmap_carve(&odd, hpa(0), FRAMES * PAGE_SIZE - 0x100000, MEM_MODULE);
    memmap_seal(&odd);
    enum error e = mm_init(&odd);
    uint64_t total = frames.total;
    frames = saved;
    objects->buddy = &frames;
    assert_int_equal(e, E_OK);
    assert_int_equal(total, 256 - FRAMES * sizeof(struct frame) / PAGE_SIZE);
    memmap_init(&odd);
    memmap_seal(&odd);
    assert_int_equal(mm_init(&odd), E_NO_MEMORY); // no RAM at all
    frames = saved;
    s = NULL; // its frame records were overwritten above
    free_at_start = frames.free;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(links_change_the_generation, start, finish),
        cmocka_unit_test_setup_teardown(slots_are_checked, start, finish),
        cmocka_unit_test_setup_teardown(a_tiny_machine_costs_little, start, finish),
        cmocka_unit_test_setup_teardown(faults_are_answered, start, finish),
        cmocka_unit_test_setup_teardown(only_ram_is_its_own, start, finish),
        cmocka_unit_test_setup_teardown(reading_backs_nothing, start, finish),
        cmocka_unit_test_setup_teardown(a_view_sees_what_is_backed, start, finish),
        cmocka_unit_test_setup_teardown(accesses_outside_change_nothing, start, finish),
        cmocka_unit_test_setup_teardown(an_exchange_compares, start, finish),
        cmocka_unit_test_setup_teardown(random_accesses_agree_with_a_flat_array, start, finish),
        cmocka_unit_test_setup_teardown(a_promise_is_kept_to_the_last_page, start, finish),
        cmocka_unit_test_setup_teardown(any_allocation_may_fail, start, finish),
        cmocka_unit_test_setup_teardown(a_big_space_goes_in_portions, start, finish),
        cmocka_unit_test_setup_teardown(init_takes_what_is_ram_and_no_more, start, finish),
        cmocka_unit_test_setup(ram_too_sparse_for_records_is_left_out, start),
    };
    return cmocka_run_group_tests(tests, NULL, mm_test_stop);
}
