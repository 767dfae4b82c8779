#include "vmx/guest_segment.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include "sdm/bits.h"

enum {
    DATA = AR_S | AR_P | AR_TYPE_ACCESSED | AR_TYPE_WRITABLE | AR_DB,
    READ_ONLY = DATA & ~AR_TYPE_WRITABLE,
    DOWN = DATA | AR_TYPE_EXPAND_DOWN,
    CODE = AR_S | AR_P | AR_TYPE_CODE | AR_TYPE_ACCESSED | AR_TYPE_WRITABLE,
    EXECUTE_ONLY = CODE & ~AR_TYPE_WRITABLE,
};
#define BASE 0x12340000ull

// clang-format off
static const struct {
    struct guest_segment s;
    bool in_64bit, ok;
    uint64_t offset;
    unsigned size;
    enum access access;
    uint64_t linear;
} rows[] = {
    {{BASE, 0xffffffff, DATA, false}, false, true,  0x10, 4, ACCESS_WRITE, BASE + 0x10},
    {{BASE, 0xffff, DATA, false},     false, true,  0xfffc, 4, ACCESS_READ, BASE + 0xfffc},
    {{BASE, 0xffff, DATA, false},     false, false, 0xfffd, 4, ACCESS_READ, 0},
    {{BASE, 0xffffffff, DATA, false}, false, false, 0xfffffffd, 4, ACCESS_READ, 0},
    {{BASE, 0xffffffff, DATA, false}, false, true,  0xfffffffc, 4, ACCESS_READ, BASE - 4},
    {{BASE, 0xffffffff, DATA | AR_UNUSABLE, false}, false, false, 0, 1, ACCESS_READ, 0},
    {{BASE, 0xffffffff, DATA & ~AR_S, false}, false, false, 0, 1, ACCESS_READ, 0},
    {{BASE, 0xffffffff, READ_ONLY, false}, false, true,  0, 1, ACCESS_READ, BASE},
    {{BASE, 0xffffffff, READ_ONLY, false}, false, false, 0, 1, ACCESS_WRITE, 0},
    {{BASE, 0xffffffff, CODE, false}, false, true,  0, 1, ACCESS_READ, BASE},
    {{BASE, 0xffffffff, CODE, false}, false, false, 0, 1, ACCESS_WRITE, 0},
    {{BASE, 0xffffffff, EXECUTE_ONLY, false}, false, false, 0, 1, ACCESS_READ, 0},
    {{0, 0xfff, DOWN, false}, false, false, 0xfff, 1, ACCESS_READ, 0},
    {{0, 0xfff, DOWN, false}, false, true,  0x1000, 1, ACCESS_READ, 0x1000},
    {{0, 0xfff, DOWN, false}, false, true,  0xffffffff, 1, ACCESS_READ, 0xffffffff},
    {{0, 0xfff, DOWN & ~AR_DB, false}, false, true,  0xfffe, 2, ACCESS_READ, 0xfffe},
    {{0, 0xfff, DOWN & ~AR_DB, false}, false, false, 0xffff, 2, ACCESS_READ, 0},
    // 64-bit mode: neither base nor limit nor type but of FS and GS, whose base counts.
    {{BASE, 0, AR_UNUSABLE, false}, true, true, 0x7fffffffffff, 1, ACCESS_WRITE, 0x7fffffffffff},
    {{BASE, 0, AR_UNUSABLE, false}, true, false, 0x7fffffffffff, 2, ACCESS_WRITE, 0},
    {{BASE, 0, AR_UNUSABLE, false}, true, false, 0x800000000000, 1, ACCESS_READ, 0},
    {{BASE, 0, AR_UNUSABLE, false}, true, true, 0xffff800000000000, 1, ACCESS_READ, 0xffff800000000000},
    {{BASE, 0, AR_UNUSABLE, true}, true, true, 0x10, 1, ACCESS_READ, BASE + 0x10},
    {{BASE, 0, AR_UNUSABLE, true}, true, false, 0x7ffffffffff0, 1, ACCESS_READ, 0},
};
// clang-format on

static void every_row(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t linear = 0;
        bool ok =
            guest_linear(&rows[i].s, rows[i].in_64bit, rows[i].offset, rows[i].size, rows[i].access, &linear);
        if (ok != rows[i].ok)
            print_error("row %u\n", i);
        assert_int_equal(ok, rows[i].ok);
        if (ok)
            assert_int_equal(linear, rows[i].linear);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_row)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
