#include "mm/memmap.h"
#include "boot/multiboot2.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { FRAMES = 2048, ROUNDS = 3000 };
static const uint64_t GIB = 1ull << 30;

static struct memmap map;
static uint8_t model[FRAMES]; // the naive map: a type a frame, the more careful wins

static int start(void **state)
{
    (void)state;
    memmap_init(&map);
    memset(model, 0, sizeof(model));
    srand(7);
    return 0;
}

// Of one type in all.
static uint64_t memmap_pages(enum mem_type type)
{
    uint64_t pages = 0;
    for (uint32_t i = 0; i < map.count; i++)
        if (map.range[i].type == type)
            pages += map.range[i].end - map.range[i].first;
    return pages;
}

// The frame behind the last one of RAM.
static uint64_t memmap_top(void)
{
    for (uint32_t i = map.count; i-- > 0;)
        if (map.range[i].type == MEM_RAM)
            return map.range[i].end;
    return 0;
}

static void assert_well_formed(void)
{
    assert_true(map.count <= MEMMAP_RANGES);
    for (uint32_t i = 0; i < map.count; i++) {
        assert_true(map.range[i].first < map.range[i].end);
        assert_in_range(map.range[i].type, MEM_RAM, MEM_TYPE_COUNT - 1);
        if (i == 0)
            continue;
        assert_true(map.range[i - 1].end <= map.range[i].first);
        if (!map.full)
            assert_false(map.range[i - 1].end == map.range[i].first &&
                         map.range[i - 1].type == map.range[i].type);
    }
}

static void model_raise(uint64_t first, uint64_t end, enum mem_type type)
{
    for (uint64_t f = first; f < end && f < FRAMES; f++)
        if (model[f] < type)
            model[f] = (uint8_t)type;
}

static void an_ordinary_pc(void **state)
{
    (void)state;
    assert_int_equal(memmap_add(&map, 0, 0x9fc00, 1), E_OK);
    assert_int_equal(memmap_add(&map, 0x9fc00, 0x400, 2), E_OK);
    assert_int_equal(memmap_add(&map, 0xf0000, 0x10000, 2), E_OK);
    assert_int_equal(memmap_add(&map, 0x100000, 0x1fef0000, 1), E_OK);
    assert_int_equal(memmap_add(&map, 0x1fff0000, 0x10000, 3), E_OK);
    assert_int_equal(memmap_carve(&map, hpa(0x200000), 0x12345, MEM_IMAGE), E_OK);
    assert_int_equal(memmap_carve(&map, hpa(0x300800), 0x1000, MEM_MODULE), E_OK);
    memmap_seal(&map);
    assert_well_formed();
    assert_int_equal(memmap_type(&map, pfn(0)), MEM_LOW);
    assert_int_equal(map.trampoline.v, 8);
    assert_int_equal(memmap_type(&map, map.trampoline), MEM_TRAMPOLINE);
    assert_int_equal(memmap_type(&map, pfn(0xff)), MEM_LOW);
    assert_int_equal(memmap_type(&map, pfn(0x100)), MEM_RAM);
    assert_int_equal(memmap_type(&map, pfn(0x212)), MEM_IMAGE);
    assert_int_equal(memmap_type(&map, pfn(0x213)), MEM_RAM);
    assert_int_equal(memmap_type(&map, pfn(0x300)), MEM_MODULE);
    assert_int_equal(memmap_type(&map, pfn(0x301)), MEM_MODULE);
    assert_int_equal(memmap_type(&map, pfn(0x302)), MEM_RAM);
    assert_int_equal(memmap_type(&map, pfn(0x1fff0)), MEM_ACPI);
    assert_int_equal(memmap_type(&map, pfn(0x20000)), MEM_NONE);
    assert_int_equal(memmap_top(), 0x1fff0);
    assert_int_equal(memmap_pages(MEM_RAM), 0x1fef0 - 0x13 - 2);
}

static void ram_shrinks_and_the_rest_grows_to_frames(void **state)
{
    (void)state;
    memmap_add(&map, 0x100001, 0x2ffe, 1);
    assert_int_equal(memmap_type(&map, pfn(0x100)), MEM_NONE);
    assert_int_equal(memmap_type(&map, pfn(0x101)), MEM_RAM);
    assert_int_equal(memmap_type(&map, pfn(0x102)), MEM_NONE);
    memmap_add(&map, 0x101fff, 1, 2);
    assert_int_equal(memmap_type(&map, pfn(0x101)), MEM_RESERVED);
    assert_int_equal(memmap_type(&map, pfn(0x102)), MEM_NONE);
}

static void empty_and_absurd_entries_do_no_harm(void **state)
{
    (void)state;
    assert_int_equal(memmap_add(&map, 0x1000, 0, 1), E_INVALID);
    assert_int_equal(memmap_add(&map, 0x1001, 0xffe, 1), E_INVALID);
    assert_int_equal(memmap_add(&map, ~0ull, 1, 2), E_INVALID); // beyond what any processor addresses
    assert_int_equal(memmap_add(&map, 1ull << 50, GIB, 1), E_INVALID);
    assert_int_equal(map.count, 0);
    // RAM that wraps ends with the direct map; reserved memory that wraps covers all above its base.
    assert_int_equal(memmap_add(&map, 0x100000, ~0ull, 1), E_OK);
    assert_int_equal(memmap_top(), 1ull << 34);
    assert_int_equal(memmap_add(&map, 0x200000, ~0ull - 5, 77), E_OK);
    assert_int_equal(memmap_pages(MEM_RAM), 0x100);
    assert_well_formed();
}

static void nothing_at_all(void **state)
{
    (void)state;
    memmap_seal(&map);
    assert_true(pfn_is_none(map.trampoline));
    assert_true(pfn_is_none(memmap_take(&map, 1, 1)));
    assert_int_equal(memmap_top(), 0);
    assert_int_equal(memmap_pages(MEM_RAM), 0);
}

static void the_trampoline_avoids_what_is_taken(void **state)
{
    (void)state;
    memmap_add(&map, 0, 0x9000, 1);
    memmap_carve(&map, hpa(0x8000), 1, MEM_BOOT);
    memmap_carve(&map, hpa(0x1000), 0x1000, MEM_MODULE);
    memmap_seal(&map);
    assert_int_equal(map.trampoline.v, 2);
    assert_int_equal(memmap_type(&map, pfn(2)), MEM_TRAMPOLINE);
    assert_int_equal(memmap_type(&map, pfn(3)), MEM_LOW);
}

static void random_entry(uint64_t *base, uint64_t *length, uint32_t *type)
{
    *base = (uint64_t)rand() % (FRAMES * PAGE_SIZE);
    *length = rand() % 4 ? (uint64_t)rand() % 0x40000 : (uint64_t)rand() % 16;
    if (rand() % 3 == 0)
        *base &= ~0xfffull, *length &= ~0xfffull;
    if (rand() % 200 == 0)
        *length = ~0ull - (uint64_t)rand() % 0x4000;
    *type = (uint32_t)rand() % 7;
}

static void add_to_both(uint64_t base, uint64_t length, uint32_t type)
{
    static const enum mem_type types[] = {MEM_RESERVED, MEM_RAM, MEM_RESERVED, MEM_ACPI, MEM_NVS, MEM_BAD};
    enum mem_type t = type < 6 ? types[type] : MEM_RESERVED;
    memmap_add(&map, base, length, type);
    if (!length)
        return;
    uint64_t last = base + length - 1 < base ? ~0ull : base + length - 1;
    if (t == MEM_RAM)
        model_raise((base + 0xfff) >> 12, last == ~0ull ? FRAMES : (last + 1) >> 12, t);
    else
        model_raise(base >> 12, (last >> 12) + 1, t);
}

static void random_maps_agree_with_the_model(void **state)
{
    for (int round = 0; round < ROUNDS; round++) {
        memmap_init(&map);
        memset(model, 0, sizeof(model));
        for (int n = rand() % 40; n > 0; n--) {
            uint64_t base, length;
            uint32_t type;
            random_entry(&base, &length, &type);
            add_to_both(base, length, type);
        }
        assert_false(map.full);
        assert_well_formed();
        for (uint64_t f = 0; f < FRAMES; f++)
            if (memmap_type(&map, pfn(f)) != model[f])
                fail_msg("round %d frame %#llx: expected type %d, got %d", round, (unsigned long long)f,
                         model[f], memmap_type(&map, pfn(f)));
    }
    (void)state;
}

static void the_order_of_entries_does_not_matter(void **state)
{
    static struct memmap first;
    uint64_t base[30], length[30];
    uint32_t type[30];
    for (int round = 0; round < ROUNDS / 10; round++) {
        for (int i = 0; i < 30; i++)
            random_entry(&base[i], &length[i], &type[i]);
        memmap_init(&map);
        for (int i = 0; i < 30; i++)
            memmap_add(&map, base[i], length[i], type[i]);
        first = map;
        memmap_init(&map);
        for (int i = 0; i < 30; i++)
            memmap_add(&map, base[i * 7 % 30], length[i * 7 % 30], type[i * 7 % 30]);
        assert_int_equal(map.count, first.count);
        for (uint32_t i = 0; i < map.count; i++) {
            assert_int_equal(map.range[i].first, first.range[i].first);
            assert_int_equal(map.range[i].end, first.range[i].end);
            assert_int_equal(map.range[i].type, first.range[i].type);
        }
    }
    (void)state;
}

// More entries than the table holds: RAM may be lost, but nothing else may become RAM.
static void a_full_table_stays_safe(void **state)
{
    for (int round = 0; round < 200; round++) {
        memmap_init(&map);
        memset(model, 0, sizeof(model));
        for (int n = 0; n < 600; n++) {
            uint64_t base = (uint64_t)rand() % FRAMES * PAGE_SIZE;
            uint32_t type = n < 300 || rand() % 2 ? 1 : 2;
            add_to_both(base, PAGE_SIZE, rand() % 8 ? type : 2);
        }
        for (int n = 0; n < 300; n++) {
            uint64_t f = (uint64_t)rand() % FRAMES;
            memmap_carve(&map, hpa(f * PAGE_SIZE), PAGE_SIZE, MEM_MODULE);
            model_raise(f, f + 1, MEM_MODULE);
        }
        assert_true(map.full);
        assert_well_formed();
        memmap_seal(&map);
        assert_well_formed();
        for (uint64_t f = 0; f < FRAMES; f++)
            if (memmap_type(&map, pfn(f)) == MEM_RAM)
                assert_int_equal(model[f], MEM_RAM);
    }
    (void)state;
}

static void all_modules_find_room_whatever_firmware_says(void **state)
{
    (void)state;
    memmap_add(&map, 0, GIB, 1);
    for (uint64_t i = 0; map.count < MEMMAP_FIRMWARE; i++)
        assert_int_equal(memmap_add(&map, 2 * GIB + i * 0x2000, 0x1000, 2), E_OK);
    assert_int_equal(memmap_add(&map, 4 * GIB, 0x1000, 2), E_TOO_BIG);
    assert_int_equal(memmap_carve(&map, hpa(0x200000), 0x12345, MEM_IMAGE), E_OK);
    assert_int_equal(memmap_carve(&map, hpa(0x400000), 0x2000, MEM_BOOT), E_OK);
    for (uint64_t i = 0; i < BOOT_MODULES_MAX; i++)
        assert_int_equal(memmap_carve(&map, hpa(0x1000000 + i * 0x3000), 0x1800, MEM_MODULE), E_OK);
    memmap_seal(&map);
    assert_int_equal(memmap_pages(MEM_MODULE), 2 * BOOT_MODULES_MAX);
    assert_int_equal(memmap_type(&map, pfn(0xff)), MEM_LOW);
    assert_int_equal(memmap_type(&map, pfn(0x100)), MEM_RAM);
    assert_false(pfn_is_none(memmap_take(&map, 512, 512)));
}

static void take_prefers_what_boot_page_tables_reach(void **state)
{
    (void)state;
    memmap_add(&map, 0x100000, 0x400000, 1);
    memmap_add(&map, 4 * GIB, GIB, 1);
    memmap_seal(&map);
    pfn_t a = memmap_take(&map, 0x200, 0x100);
    assert_int_equal(a.v, 0x300);
    assert_int_equal(memmap_type(&map, a), MEM_EARLY);
    assert_int_equal(memmap_take(&map, 1, 1).v, 0x2ff);
    pfn_t above = memmap_take(&map, 0x400, 1); // no such room below any more
    assert_int_equal(above.v, (5 * GIB >> 12) - 0x400);
    assert_well_formed();
}

static void takes_never_overlap_and_end(void **state)
{
    (void)state;
    memmap_add(&map, 0x100000, 0x300000, 1);
    memmap_add(&map, 0x180000, 0x1000, 2);
    memmap_seal(&map);
    uint8_t taken[FRAMES] = {0};
    uint64_t total = 0, ram = memmap_pages(MEM_RAM);
    for (;;) {
        uint64_t pages = 1 + (uint64_t)rand() % 9, align = 1ull << rand() % 4;
        pfn_t f = memmap_take(&map, pages, align);
        if (pfn_is_none(f)) // too big for what is left, perhaps: single frames go to the last
            f = memmap_take(&map, pages = 1, align = 1);
        if (pfn_is_none(f))
            break;
        assert_int_equal(f.v % align, 0);
        for (uint64_t i = 0; i < pages; i++) {
            assert_int_equal(taken[f.v + i], 0);
            taken[f.v + i] = 1;
        }
        total += pages;
        assert_int_equal(memmap_pages(MEM_RAM), ram - total);
    }
    assert_well_formed();
    assert_int_equal(memmap_pages(MEM_EARLY), total);
    assert_int_equal(total, ram);
    assert_true(pfn_is_none(memmap_take(&map, 0, 1)));
    assert_true(pfn_is_none(memmap_take(&map, ~0ull, 1)));
}

static void bytes_of_some_types(void **state)
{
    enum { RAM = 1 << MEM_RAM, IMAGE = 1 << MEM_IMAGE, RESERVED = 1 << MEM_RESERVED };
    (void)state;
    memmap_add(&map, 0x100000, 0x100000, 1);
    memmap_add(&map, 0x200000, 0x100000, 2);
    memmap_carve(&map, hpa(0x140000), 0x40000, MEM_IMAGE);
    assert_int_equal(memmap_bytes(&map, hpa(0), 1ull << 40, RAM), 0xc0000);
    assert_int_equal(memmap_bytes(&map, hpa(0), ~0ull, RAM | IMAGE | RESERVED), 0x200000);
    assert_int_equal(memmap_bytes(&map, hpa(0x13ff00), 0x200, RAM), 0x100);
    assert_int_equal(memmap_bytes(&map, hpa(0x13ff00), 0x200, IMAGE), 0x100);
    assert_int_equal(memmap_bytes(&map, hpa(0x2ff000), ~0ull, RESERVED), 0x1000); // wraps
    assert_int_equal(memmap_bytes(&map, hpa(0x300000), ~0ull, RAM | IMAGE | RESERVED), 0);
    assert_int_equal(memmap_bytes(&map, hpa(0x100000), 0, RAM), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_ordinary_pc, start),
        cmocka_unit_test_setup(ram_shrinks_and_the_rest_grows_to_frames, start),
        cmocka_unit_test_setup(empty_and_absurd_entries_do_no_harm, start),
        cmocka_unit_test_setup(nothing_at_all, start),
        cmocka_unit_test_setup(the_trampoline_avoids_what_is_taken, start),
        cmocka_unit_test_setup(random_maps_agree_with_the_model, start),
        cmocka_unit_test_setup(the_order_of_entries_does_not_matter, start),
        cmocka_unit_test_setup(a_full_table_stays_safe, start),
        cmocka_unit_test_setup(all_modules_find_room_whatever_firmware_says, start),
        cmocka_unit_test_setup(take_prefers_what_boot_page_tables_reach, start),
        cmocka_unit_test_setup(takes_never_overlap_and_end, start),
        cmocka_unit_test_setup(bytes_of_some_types, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
