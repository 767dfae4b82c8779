#include "arch/mtrr.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include "sdm/msr.h"

#define GIB 0x40000000ull

enum { ENABLED = MTRR_DEF_TYPE_ENABLE, FIXED = MTRR_DEF_TYPE_FIXED_ENABLE };

// Variable pairs for a box with 36 address bits.
static uint64_t mask_of(uint64_t size)
{
    return (~(size - 1) & 0xfffffffffull) | MTRR_PHYSMASK_VALID;
}

static uint8_t type_at(const struct mtrr_state *m, uint64_t at)
{
    uint64_t run;
    return mtrr_type(m, hpa(at), &run);
}

static void without_mtrrs_everything_is_write_back(void **state)
{
    (void)state;
    const struct mtrr_state none = {0};
    assert_int_equal(type_at(&none, 0), MT_WB);
}

static void disabled_means_uncached(void **state)
{
    (void)state;
    const struct mtrr_state off = {.capability = 8 | MTRRCAP_FIXED, .def_type = MT_WB};
    assert_int_equal(type_at(&off, 0), MT_UC);
}

static void the_default_type_fills_the_gaps(void **state)
{
    (void)state;
    const struct mtrr_state m = {
        .capability = 2,
        .variable = 2,
        .def_type = ENABLED | MT_WB,
        .base = {3 * GIB | MT_UC, GIB | MT_WC                },
        .mask = {mask_of(GIB),    0xfc0000000 /* not valid */}
    };
    assert_int_equal(type_at(&m, 3 * GIB - 1), MT_WB);
    assert_int_equal(type_at(&m, 3 * GIB), MT_UC);
    assert_int_equal(type_at(&m, 4 * GIB - 1), MT_UC);
    assert_int_equal(type_at(&m, 4 * GIB), MT_WB);
    assert_int_equal(type_at(&m, GIB), MT_WB);
}

static void overlaps_follow_the_precedence(void **state)
{
    (void)state;
    static const struct {
        uint8_t a, b, expected;
    } rows[] = {
        {MT_UC, MT_WB, MT_UC},
        {MT_WB, MT_UC, MT_UC},
        {MT_WT, MT_WB, MT_WT},
        {MT_WB, MT_WT, MT_WT},
        {MT_WB, MT_WB, MT_WB},
        {MT_WC, MT_WB, MT_UC}
    };
    for (unsigned i = 0; i < array_size(rows); i++) {
        const struct mtrr_state m = {
            .capability = 2,
            .variable = 2,
            .def_type = ENABLED,
            .base = {rows[i].a,    rows[i].b       },
            .mask = {mask_of(GIB), mask_of(2 * GIB)}
        };
        assert_int_equal(type_at(&m, GIB / 2), rows[i].expected);
    }
}

static void fixed_ranges_rule_the_first_mebibyte(void **state)
{
    (void)state;
    struct mtrr_state m = {.capability = MTRRCAP_FIXED, .def_type = ENABLED | FIXED | MT_WT};
    m.fixed[0] = (uint64_t)MT_WB << 56;  // 64 KiB at 70000H
    m.fixed[2] = (uint64_t)MT_WC;        // 16 KiB at A0000H
    m.fixed[10] = (uint64_t)MT_WP << 56; // 4 KiB at FF000H
    assert_int_equal(type_at(&m, 0x6ffff), MT_UC);
    assert_int_equal(type_at(&m, 0x70000), MT_WB);
    assert_int_equal(type_at(&m, 0x7ffff), MT_WB);
    assert_int_equal(type_at(&m, 0x80000), MT_UC);
    assert_int_equal(type_at(&m, 0xa3fff), MT_WC);
    assert_int_equal(type_at(&m, 0xa4000), MT_UC);
    assert_int_equal(type_at(&m, 0xff000), MT_WP);
    assert_int_equal(type_at(&m, 0x100000), MT_WT);
}

// Whatever `run` promises must hold for the last byte of it, and it must not be empty.
static void runs_are_uniform(void **state)
{
    (void)state;
    struct mtrr_state m = {
        .capability = 2 | MTRRCAP_FIXED,
        .variable = 2,
        .def_type = ENABLED | FIXED | MT_WB,
        .base = {3 * GIB | MT_UC, 0x200000 | MT_WT },
        .mask = {mask_of(GIB),    mask_of(0x200000)}
    };
    for (unsigned i = 0; i < MTRR_FIXED; i++)
        m.fixed[i] = 0x0606000604040100ull >> i;
    uint64_t at = 0, run;
    for (unsigned steps = 0; at < 8 * GIB; at += run, steps++) {
        uint8_t type = mtrr_type(&m, hpa(at), &run);
        assert_true(run > 0);
        assert_true(steps < 10000);
        assert_int_equal(type_at(&m, at + run - 1), type);
        assert_int_equal(type_at(&m, at + run / 2), type);
    }
}

static void equal_means_every_register(void **state)
{
    (void)state;
    struct mtrr_state a = {.capability = 8, .variable = 8}, b = a;
    assert_true(mtrr_equal(&a, &b));
    b.mask[7] = MTRR_PHYSMASK_VALID;
    assert_false(mtrr_equal(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_mtrrs_everything_is_write_back),
        cmocka_unit_test(disabled_means_uncached),
        cmocka_unit_test(the_default_type_fills_the_gaps),
        cmocka_unit_test(overlaps_follow_the_precedence),
        cmocka_unit_test(fixed_ranges_rule_the_first_mebibyte),
        cmocka_unit_test(runs_are_uniform),
        cmocka_unit_test(equal_means_every_register),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
