#include "arch/paging.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

// Tables lie in a small block of "RAM"; what they map is never touched, so it may be anywhere.
enum { RAM_PAGES = 64 };
#define DIRECT 0xffff800000000000ull
#define KIB4   0x1000ull
#define MIB2   0x200000ull
#define GIB1   0x40000000ull

static uint64_t frames_left;
static struct paging p;

extern void (*host_panic_hook)(void);
static jmp_buf panicked;

static void on_panic(void)
{
    longjmp(panicked, 1);
}

static pfn_t frame(void)
{
    if (!frames_left)
        return PFN_NONE;
    pfn_t f = pfn(--frames_left);
    memset(pfn_to_virt(f), 0xa5, PAGE_SIZE); // nobody promised zeroes
    return f;
}

static int start(void **state)
{
    (void)state;
    host_ram = aligned_alloc(PAGE_SIZE, RAM_PAGES * PAGE_SIZE);
    frames_left = RAM_PAGES;
    host_panic_hook = on_panic;
    return paging_create(&p, frame, true, true) ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    host_panic_hook = NULL;
    free(host_ram);
    return 0;
}

// A walk of its own, from the manual: SDM, "4-Level Paging".
struct translation {
    bool present, write, exec;
    uint64_t pa, size, entry;
};

static struct translation translate(uint64_t va)
{
    struct translation t = {.present = true, .write = true, .exec = true};
    uint64_t table = p.root.v;
    for (int shift = 39; shift >= 12; shift -= 9) {
        uint64_t e = ((uint64_t *)hpa_to_virt(hpa(table)))[va >> shift & 511];
        if (!(e & 1))
            return (struct translation){0};
        t.write = t.write && e & 2;
        t.exec = t.exec && !(e >> 63);
        t.entry = e;
        if (shift == 12 || e & 0x80) {
            t.size = 1ull << shift;
            t.pa = (e & 0x000ffffffffff000 & ~(t.size - 1)) + (va & (t.size - 1));
            return t;
        }
        table = e & 0x000ffffffffff000;
    }
    return t;
}

static void expect(uint64_t va, uint64_t pa, uint64_t size)
{
    struct translation t = translate(va);
    assert_true(t.present);
    assert_int_equal(t.pa, pa);
    assert_int_equal(t.size, size);
}

static void maps_one_page_with_its_rights(void **state)
{
    (void)state;
    static const struct {
        enum page_rights rights;
        bool write, exec;
    } rows[] = {
        {PAGE_READ,  false, false},
        {PAGE_WRITE, true,  false},
        {PAGE_EXEC,  false, true }
    };
    for (unsigned i = 0; i < array_size(rows); i++) {
        uint64_t va = IMAGE_BASE + i * KIB4;
        assert_true(paging_map(&p, va, hpa(0x5000), KIB4, rows[i].rights, CACHE_WRITE_BACK));
        struct translation t = translate(va);
        assert_int_equal(t.write, rows[i].write);
        assert_int_equal(t.exec, rows[i].exec);
        expect(va + 0x123, 0x5123, KIB4);
    }
    assert_false(translate(IMAGE_BASE + 3 * KIB4).present);
    assert_false(translate(0).present);
}

static void uses_the_largest_pages_that_fit(void **state)
{
    (void)state;
    uint64_t first = GIB1 - MIB2 - KIB4, end = 2 * GIB1 + MIB2 + KIB4;
    assert_true(paging_map(&p, DIRECT + first, hpa(first), end - first, PAGE_WRITE, CACHE_WRITE_BACK));
    expect(DIRECT + first, first, KIB4);
    expect(DIRECT + GIB1 - MIB2, GIB1 - MIB2, MIB2);
    expect(DIRECT + GIB1 + 12345, GIB1 + 12345, GIB1);
    expect(DIRECT + 2 * GIB1, 2 * GIB1, MIB2);
    expect(DIRECT + 2 * GIB1 + MIB2, 2 * GIB1 + MIB2, KIB4);
    assert_false(translate(DIRECT + first - 1).present);
    assert_false(translate(DIRECT + end).present);
}

static void without_1g_pages_2m_is_the_largest(void **state)
{
    (void)state;
    p.pages_1g = false;
    assert_true(paging_map(&p, DIRECT, hpa(0), 2 * GIB1, PAGE_WRITE, CACHE_WRITE_BACK));
    expect(DIRECT + GIB1 + MIB2, GIB1 + MIB2, MIB2);
}

static void misaligned_against_each_other_stays_small(void **state)
{
    (void)state;
    assert_true(paging_map(&p, DIRECT, hpa(KIB4), 2 * MIB2, PAGE_WRITE, CACHE_WRITE_BACK));
    expect(DIRECT + MIB2, MIB2 + KIB4, KIB4);
    expect(DIRECT + 2 * MIB2 - 1, 2 * MIB2 + KIB4 - 1, KIB4);
}

static void caching_is_in_the_bits_of_the_page_size(void **state)
{
    (void)state;
    const uint64_t pwt = 8, pcd = 16, pat_4k = 0x80, pat_large = 0x1000;
    assert_true(paging_map(&p, DIRECT, hpa(0), KIB4, PAGE_WRITE, CACHE_NONE));
    assert_true(paging_map(&p, DIRECT + KIB4, hpa(KIB4), KIB4, PAGE_WRITE, CACHE_WRITE_COMBINING));
    assert_true(paging_map(&p, DIRECT + MIB2, hpa(MIB2), MIB2, PAGE_WRITE, CACHE_WRITE_COMBINING));
    assert_int_equal(translate(DIRECT).entry & (pwt | pcd | pat_4k), pwt | pcd);
    assert_int_equal(translate(DIRECT + KIB4).entry & (pwt | pcd | pat_4k), pat_4k);
    assert_int_equal(translate(DIRECT + MIB2).entry & (pwt | pcd | pat_large), pat_large);
    assert_int_equal(PAGING_PAT >> 32 & 7, 1); // entry 4 is what pat selects: write combining
}

static void nx_is_left_out_where_there_is_none(void **state)
{
    (void)state;
    p.nx = false;
    assert_true(paging_map(&p, DIRECT, hpa(0), KIB4, PAGE_WRITE, CACHE_WRITE_BACK));
    assert_int_equal(translate(DIRECT).entry >> 63, 0);
}

static void running_out_of_frames_is_an_error(void **state)
{
    (void)state;
    frames_left = 2; // PDPT and PD, no PT
    assert_false(paging_map(&p, DIRECT, hpa(0), KIB4, PAGE_WRITE, CACHE_WRITE_BACK));
    frames_left = 0;
    assert_false(paging_create(&p, frame, true, true));
}

#define assert_panics(statement)                      \
    do {                                              \
        if (!setjmp(panicked)) {                      \
            statement;                                \
            fail_msg("no panic from %s", #statement); \
        }                                             \
    } while (0)

static void wrong_use_panics(void **state)
{
    (void)state;
    assert_panics(paging_map(&p, DIRECT, hpa(0), KIB4, PAGE_WRITE | PAGE_EXEC, CACHE_WRITE_BACK));
    assert_panics(paging_map(&p, DIRECT + 1, hpa(0), KIB4, PAGE_WRITE, CACHE_WRITE_BACK));
    assert_true(paging_map(&p, DIRECT, hpa(0), KIB4, PAGE_WRITE, CACHE_WRITE_BACK));
    assert_panics(paging_map(&p, DIRECT, hpa(0), KIB4, PAGE_WRITE, CACHE_WRITE_BACK));
    assert_true(paging_map(&p, DIRECT + MIB2, hpa(MIB2), MIB2, PAGE_WRITE, CACHE_WRITE_BACK));
    assert_panics(paging_map(&p, DIRECT + MIB2, hpa(0), KIB4, PAGE_WRITE, CACHE_WRITE_BACK));
}

#define IMAGE_START hpa(MIB2)
#define IMAGE_END   hpa(MIB2 + 8 * KIB4)

static const char *check(void)
{
    const char *flaw = paging_check_wx(p.root, IMAGE_START, IMAGE_END).flaw;
    return flaw ? flaw : "sound";
}

static void map_like_the_hypervisor(void)
{
    assert_true(paging_map(&p, DIRECT, hpa(0), MIB2, PAGE_WRITE, CACHE_WRITE_BACK));
    assert_true(paging_map(&p, DIRECT + IMAGE_END.v, IMAGE_END, 4 * GIB1 - IMAGE_END.v, PAGE_WRITE,
                           CACHE_WRITE_BACK));
    assert_true(paging_map(&p, IMAGE_BASE + MIB2, IMAGE_START, KIB4, PAGE_EXEC, CACHE_WRITE_BACK));
    assert_true(
        paging_map(&p, IMAGE_BASE + MIB2 + KIB4, hpa(MIB2 + KIB4), KIB4, PAGE_WRITE, CACHE_WRITE_BACK));
}

// Finds the entry that translate() would use, to break it.
static uint64_t *leaf(uint64_t va, int last_shift)
{
    uint64_t table = p.root.v, *e = NULL;
    for (int shift = 39; shift >= last_shift; shift -= 9) {
        e = &((uint64_t *)hpa_to_virt(hpa(table)))[va >> shift & 511];
        table = *e & 0x000ffffffffff000;
    }
    return e;
}

static void check_passes_sound_tables(void **state)
{
    (void)state;
    map_like_the_hypervisor();
    struct paging_check c = paging_check_wx(p.root, IMAGE_START, IMAGE_END);
    assert_null(c.flaw);
    assert_int_equal(c.leaves, 1 + (512 - 8) + 510 + 3 + 2); // 2M, 4K, 2M, 1G, image
}

static void check_sees_each_flaw(void **state)
{
    (void)state;
    map_like_the_hypervisor();
    const uint64_t nx = 1ull << 63, text = IMAGE_BASE + MIB2, data = text + KIB4;

    *leaf(text, 12) |= 2;
    assert_string_equal(check(), "a page is writable and executable");
    *leaf(text, 12) &= ~2ull;
    *leaf(data, 12) &= ~nx;
    assert_string_equal(check(), "a page is writable and executable");
    *leaf(data, 21) |= nx; // a table's NX counts for all below it
    assert_string_equal(check(), "sound");
    *leaf(data, 21) &= ~nx;
    *leaf(data, 12) |= nx;

    *leaf(DIRECT, 21) &= ~(nx | 2);
    assert_string_equal(check(), "a page outside the image is executable");
    *leaf(DIRECT, 21) |= nx | 2;

    assert_true(paging_map(&p, DIRECT + IMAGE_START.v, IMAGE_START, KIB4, PAGE_READ, CACHE_WRITE_BACK));
    assert_string_equal(check(), "sound"); // a read-only alias does no harm
    *leaf(DIRECT + IMAGE_START.v, 12) |= 2;
    assert_string_equal(check(), "the image can be written through an alias");
    *leaf(DIRECT + IMAGE_START.v, 12) = 0;

    assert_true(paging_map(&p, 0, hpa(0), KIB4, PAGE_READ, CACHE_WRITE_BACK));
    assert_string_equal(check(), "something is mapped in the lower half");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(maps_one_page_with_its_rights),
        TEST(uses_the_largest_pages_that_fit),
        TEST(without_1g_pages_2m_is_the_largest),
        TEST(misaligned_against_each_other_stays_small),
        TEST(caching_is_in_the_bits_of_the_page_size),
        TEST(nx_is_left_out_where_there_is_none),
        TEST(running_out_of_frames_is_an_error),
        TEST(wrong_use_panics),
        TEST(check_passes_sound_tables),
        TEST(check_sees_each_flaw),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
