#include "vmx/guest_paging.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include "sdm/bits.h"
#include "tests/host/fake_space.h"

enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80, RAM = 1 << 20 };
enum { TOP = 0x1000, SECOND = 0x2000, THIRD = 0x3000, LAST = 0x4000, PAGE = 0x5000 };
#define NX     (1ull << 63)
#define LINEAR 0x12345678ull // indexes 0, 0, 145, 325 of 4 levels; 72, 837 of 2

static struct space *s;
static struct guest_paging p;

static int start(void **state)
{
    (void)state;
    s = fake_space(RAM);
    p = (struct guest_paging){.cr0 = CR0_PE | CR0_PG | CR0_WP, .cr3 = TOP, .physical_bits = 40};
    return 0;
}

static int stop(void **state)
{
    (void)state;
    fake_space_free(s);
    return 0;
}

static void put(uint64_t at, uint64_t entry, unsigned bytes)
{
    assert_int_equal(guest_write(s, gpa(at), &entry, bytes), E_OK);
}

static uint64_t get(uint64_t at, unsigned bytes)
{
    uint64_t entry = 0;
    assert_int_equal(guest_read(s, gpa(at), &entry, bytes), E_OK);
    return entry;
}

// The four tables of LINEAR, all rights.
static void four_levels(uint64_t leaf)
{
    p.cr4 = CR4_PAE;
    p.efer = EFER_LME | EFER_LMA;
    put(TOP, SECOND | P | W | U, 8);
    put(SECOND, THIRD | P | W | U, 8);
    put(THIRD + 145 * 8, LAST | P | W | U, 8);
    put(LAST + 325 * 8, leaf, 8);
}

static void two_levels(uint32_t directory, uint32_t leaf)
{
    put(TOP + 72 * 4, directory, 4);
    put(LAST + 837 * 4, leaf, 4);
}

static void pae(uint64_t directory, uint64_t leaf)
{
    p.cr4 = CR4_PAE;
    p.pdpte[0] = THIRD | P;
    put(THIRD + 145 * 8, directory, 8);
    put(LAST + 325 * 8, leaf, 8);
}

static void expect(uint64_t linear, enum access access, uint64_t to)
{
    gpa_t got = gpa(~0ull);
    uint32_t code = 0;
    assert_int_equal(guest_translate(&p, s, linear, access, &got, &code), E_OK);
    assert_int_equal(got.v, to);
}

static void expect_fault(uint64_t linear, enum access access, uint32_t code)
{
    gpa_t got;
    uint32_t got_code = ~0u;
    assert_int_equal(guest_translate(&p, s, linear, access, &got, &got_code), E_NOT_FOUND);
    assert_int_equal(got_code, code);
}

static void no_paging(void **state)
{
    (void)state;
    p.cr0 = 0;
    expect(0x1234, ACCESS_WRITE, 0x1234);
    expect(0x100001234, ACCESS_READ, 0x1234);
}

static void accessed_and_dirty(void **state)
{
    (void)state;
    four_levels(PAGE | P | W | U);
    expect(LINEAR, ACCESS_READ, PAGE + 0x678);
    assert_int_equal(get(TOP, 8), SECOND | P | W | U | A);
    assert_int_equal(get(LAST + 325 * 8, 8), PAGE | P | W | U | A);
    expect(LINEAR, ACCESS_WRITE, PAGE + 0x678);
    assert_int_equal(get(THIRD + 145 * 8, 8), LAST | P | W | U | A);
    assert_int_equal(get(LAST + 325 * 8, 8), PAGE | P | W | U | A | D);
}

static void unmap(struct space *to)
{
    memset(to->ram + LAST + 325 * 8, 0, 8);
    to->before_write = NULL;
}

// A bit that is ignored.
static void change(struct space *to)
{
    to->ram[TOP + 7] ^= 1;
}

// Another processor of the guest unmaps the page while we set a flag in its entry: it stays unmapped.
static void flags_map_nothing_again(void **state)
{
    (void)state;
    four_levels(PAGE | P | W | U);
    expect(LINEAR, ACCESS_READ, PAGE + 0x678);
    s->before_write = unmap;
    expect_fault(LINEAR, ACCESS_WRITE, PF_ERROR_W);
    assert_int_equal(get(LAST + 325 * 8, 8), 0);
}

static void who_changes_tables_for_ever_does_not_hold_us(void **state)
{
    (void)state;
    four_levels(PAGE | P | W | U);
    s->before_write = change;
    expect(LINEAR, ACCESS_WRITE, PAGE + 0x678);
    assert_int_equal(get(LAST + 325 * 8, 8), PAGE | P | W | U | A | D);
    assert_int_equal(get(TOP, 8) & A, 0);
    s->before_write = NULL;
}

static void not_present(void **state)
{
    (void)state;
    four_levels(0);
    expect_fault(LINEAR, ACCESS_WRITE, PF_ERROR_W);
    assert_int_equal(get(LAST + 325 * 8, 8), 0);
    p.cpl = 3;
    expect_fault(LINEAR, ACCESS_READ, PF_ERROR_U);
}

static void rights(void **state)
{
    (void)state;
    four_levels(PAGE | P);
    expect(LINEAR, ACCESS_READ, PAGE + 0x678);
    expect_fault(LINEAR, ACCESS_WRITE, PF_ERROR_P | PF_ERROR_W);
    p.cr0 &= ~(uint64_t)CR0_WP;
    expect(LINEAR, ACCESS_WRITE, PAGE + 0x678);
    p.cpl = 3;
    expect_fault(LINEAR, ACCESS_READ, PF_ERROR_P | PF_ERROR_U);
    four_levels(PAGE | P | U);
    expect(LINEAR, ACCESS_READ, PAGE + 0x678);
    expect_fault(LINEAR, ACCESS_WRITE, PF_ERROR_P | PF_ERROR_W | PF_ERROR_U); // WP is for supervisors
}

static void every_level_counts(void **state)
{
    (void)state;
    four_levels(PAGE | P | W | U);
    put(SECOND, THIRD | P | U, 8);
    expect_fault(LINEAR, ACCESS_WRITE, PF_ERROR_P | PF_ERROR_W);
    put(SECOND, THIRD | P | W, 8);
    p.cpl = 3;
    expect_fault(LINEAR, ACCESS_READ, PF_ERROR_P | PF_ERROR_U);
}

static void smap(void **state)
{
    (void)state;
    four_levels(PAGE | P | W | U);
    p.cr4 |= CR4_SMAP;
    expect_fault(LINEAR, ACCESS_READ, PF_ERROR_P);
    p.rflags = RFLAGS_AC;
    expect(LINEAR, ACCESS_READ, PAGE + 0x678);
    p.rflags = 0;
    p.cpl = 3;
    expect(LINEAR, ACCESS_READ, PAGE + 0x678);
    p.cpl = 0;
    four_levels(PAGE | P | W);
    p.cr4 |= CR4_SMAP;
    expect(LINEAR, ACCESS_READ, PAGE + 0x678);
}

static void reserved(void **state)
{
    (void)state;
    four_levels(PAGE | P | W | NX);
    expect_fault(LINEAR, ACCESS_READ, PF_ERROR_P | PF_ERROR_RSVD);
    p.efer |= EFER_NXE;
    expect(LINEAR, ACCESS_READ, PAGE + 0x678);
    four_levels(PAGE | P | W | 1ull << 40);
    expect_fault(LINEAR, ACCESS_READ, PF_ERROR_P | PF_ERROR_RSVD);
    four_levels(PAGE | P | W | 1ull << 52); // ignored
    expect(LINEAR, ACCESS_READ, PAGE + 0x678);
    put(TOP, SECOND | P | W | PS, 8);
    expect_fault(LINEAR, ACCESS_READ, PF_ERROR_P | PF_ERROR_RSVD);
}

static void large_pages(void **state)
{
    (void)state;
    four_levels(0);
    put(THIRD + 145 * 8, 0x40000000 | P | W | PS | 1 << 12, 8); // bit 12 is PAT
    expect(LINEAR, ACCESS_READ, 0x40000000 + (LINEAR & 0x1fffff));
    put(THIRD + 145 * 8, 0x40000000 | P | W | PS | 1 << 13, 8);
    expect_fault(LINEAR, ACCESS_READ, PF_ERROR_P | PF_ERROR_RSVD);
    put(SECOND, 0x80000000 | P | W | PS, 8);
    expect(LINEAR, ACCESS_WRITE, 0x80000000 + LINEAR);
    assert_int_equal(get(SECOND, 8), 0x80000000 | P | W | PS | A | D);
    put(SECOND, 0x80000000 | P | W | PS | 1 << 29, 8);
    expect_fault(LINEAR, ACCESS_READ, PF_ERROR_P | PF_ERROR_RSVD);
}

static void classic(void **state)
{
    (void)state;
    two_levels(LAST | P | W, PAGE | P | W);
    expect(LINEAR, ACCESS_WRITE, PAGE + 0x678);
    assert_int_equal(get(LAST + 837 * 4, 8), PAGE | P | W | A | D); // the entry beside is untouched
    expect(LINEAR | 1ull << 32, ACCESS_READ, PAGE + 0x678);
    two_levels(LAST | P | W | PS, PAGE | P | W); // without CR4.PSE the bit is ignored
    expect(LINEAR, ACCESS_READ, PAGE + 0x678);
}

static void pse36(void **state)
{
    (void)state;
    p.cr4 = CR4_PSE;
    two_levels(0x00c00000 | 3 << 13 | P | W | PS, 0);
    expect(LINEAR, ACCESS_READ, 0x300c00000 + (LINEAR & 0x3fffff));
    two_levels(0x00c00000 | 1 << 21 | P | W | PS, 0);
    expect_fault(LINEAR, ACCESS_READ, PF_ERROR_P | PF_ERROR_RSVD);
    p.physical_bits = 36;
    two_levels(0x00c00000 | 1 << 16 | P | W | PS, 0);
    expect(LINEAR, ACCESS_READ, 0x800c00000 + (LINEAR & 0x3fffff));
    two_levels(0x00c00000 | 1 << 17 | P | W | PS, 0);
    expect_fault(LINEAR, ACCESS_READ, PF_ERROR_P | PF_ERROR_RSVD);
}

static void three_levels(void **state)
{
    (void)state;
    pae(LAST | P | W | U, PAGE | P | W | U);
    p.cpl = 3; // a PDPTE has no rights
    expect(LINEAR, ACCESS_WRITE, PAGE + 0x678);
    expect_fault(LINEAR | 1 << 30, ACCESS_READ, PF_ERROR_U);
    pae(LAST | P | W | U, PAGE | P | W | U | 1ull << 52); // reserved here, ignored with 4 levels
    expect_fault(LINEAR, ACCESS_READ, PF_ERROR_P | PF_ERROR_RSVD | PF_ERROR_U);
    pae(0x40000000 | P | W | U | PS, 0);
    expect(LINEAR, ACCESS_READ, 0x40000000 + (LINEAR & 0x1fffff));
}

static void outside(void **state)
{
    (void)state;
    gpa_t to;
    uint32_t code;
    four_levels(PAGE | P);
    p.cr3 = RAM;
    assert_int_equal(guest_translate(&p, s, LINEAR, ACCESS_READ, &to, &code), E_BAD_ADDRESS);
}

static const void *fetched(uint64_t linear)
{
    struct guest_view view = {.space = s, .region = ~0ull};
    return guest_fetched(&view, TOP, linear);
}

// Whatever a walk finds.
static void fetched_code(void **state)
{
    (void)state;
    four_levels(PAGE | P | A);
    assert_ptr_equal(fetched(LINEAR), s->ram + PAGE + 0x678);
    assert_null(fetched(LINEAR + 0x1000));
    assert_null(fetched(LINEAR + (1ull << 21)));
    assert_null(fetched(LINEAR + (1ull << 39)));
    assert_null(fetched(LINEAR + (1ull << 47)));
    put(THIRD + 145 * 8, P | PS, 8);
    assert_ptr_equal(fetched(LINEAR & ~0x100000ull), s->ram + (LINEAR & 0xfffff));
    assert_null(fetched(LINEAR)); // beyond the RAM
    put(SECOND, P | PS, 8);
    assert_ptr_equal(fetched(0x12345), s->ram + 0x12345);
    put(TOP, (uint64_t)RAM | P, 8);
    assert_null(fetched(LINEAR));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(no_paging),
        TEST(accessed_and_dirty),
        TEST(not_present),
        TEST(flags_map_nothing_again),
        TEST(who_changes_tables_for_ever_does_not_hold_us),
        TEST(rights),
        TEST(every_level_counts),
        TEST(smap),
        TEST(reserved),
        TEST(large_pages),
        TEST(classic),
        TEST(pse36),
        TEST(three_levels),
        TEST(outside),
        TEST(fetched_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
