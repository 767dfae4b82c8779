// Hypercalls with numbers, addresses and lengths that no honest guest would pass.
#include "guests/hostile/hostile.h"

// Addresses are made when a row runs, since they depend on the machine's size.
enum address { AS_WRITTEN, TEXT, LAST_BYTE, END, HUGE, TOP_BYTE, ODD_BITS };

struct row {
    const char *name;
    word_t number;
    word_t a, b, c, d, e;
    enum address a_is, b_is, d_is; // replace a, b, d
    sword_t expected;
};

#define ALL_ONES (~(word_t)0)

static const char good_name[] = "never-delivered", newline_name[] = "a\nok 1", slash_name[] = "a/b",
                  empty_text[] = "";

// clang-format off
static const struct row rows[] = {
    {"unknown-next",     HC_COUNT,                 .expected = -E_UNKNOWN_CALL},
    {"unknown-7fff",     .number = 0x7fff, .expected = -E_UNKNOWN_CALL},
    {"unknown-31",       1u << 31,                 .expected = -E_UNKNOWN_CALL},
    {"unknown-high",     1ull << 32 | HC_VERSION,  .expected = -E_UNKNOWN_CALL},
    {"unknown-ones",     ALL_ONES,                 .expected = -E_UNKNOWN_CALL},
    {"version-garbage",  HC_VERSION, ALL_ONES, ALL_ONES, ALL_ONES, ALL_ONES, ALL_ONES, .expected = ABI_VERSION},
    {"yield-garbage",    HC_YIELD, ALL_ONES, ALL_ONES, ALL_ONES, ALL_ONES, ALL_ONES, .expected = 0},

    {"write-too-long",   HC_CONSOLE_WRITE, .a_is = TEXT, .b = CONSOLE_WRITE_MAX + 1, .expected = -E_TOO_BIG},
    {"write-endless",    HC_CONSOLE_WRITE, .a_is = TEXT, .b = ALL_ONES,  .expected = -E_TOO_BIG},
    {"write-nothing",    HC_CONSOLE_WRITE, .a_is = HUGE, .b = 0,         .expected = 0},
    {"write-last-byte",  HC_CONSOLE_WRITE, .a_is = LAST_BYTE, .b = 1,    .expected = 1},
    {"write-over-end",   HC_CONSOLE_WRITE, .a_is = LAST_BYTE, .b = 2,    .expected = -E_BAD_ADDRESS},
    {"write-behind-end", HC_CONSOLE_WRITE, .a_is = END, .b = 1,          .expected = -E_BAD_ADDRESS},
    {"write-huge",       HC_CONSOLE_WRITE, .a_is = HUGE, .b = 16,        .expected = -E_BAD_ADDRESS},
    {"write-top-byte",   HC_CONSOLE_WRITE, .a_is = TOP_BYTE, .b = 1,     .expected = -E_BAD_ADDRESS},
    {"write-wraps",      HC_CONSOLE_WRITE, .a_is = TOP_BYTE, .b = 2,     .expected = -E_BAD_ADDRESS},
    {"write-odd-bits",   HC_CONSOLE_WRITE, .a_is = ODD_BITS, .b = 1,     .expected = -E_BAD_ADDRESS},

    {"plan-twice",       HC_TAP_PLAN, 7,                                 .expected = -E_EXISTS},

    {"point-flag-3",     HC_TAP_POINT, 3, .b_is = TEXT, .c = sizeof good_name - 1,        .expected = -E_INVALID},
    {"point-flag-ones",  HC_TAP_POINT, ALL_ONES, .b_is = TEXT, .c = sizeof good_name - 1, .expected = -E_INVALID},
    {"point-no-name",    HC_TAP_POINT, TAP_OK, .b_is = TEXT, .c = 0,                      .expected = -E_INVALID},
    {"point-long-name",  HC_TAP_POINT, TAP_OK, .b_is = TEXT, .c = TAP_NAME_MAX + 1,       .expected = -E_TOO_BIG},
    {"point-name-ones",  HC_TAP_POINT, TAP_OK, .b_is = TEXT, .c = ALL_ONES,               .expected = -E_TOO_BIG},
    {"point-newline",    HC_TAP_POINT, TAP_OK, (word_t)newline_name, sizeof newline_name - 1, .expected = -E_INVALID},
    {"point-slash",      HC_TAP_POINT, TAP_OK, (word_t)slash_name, sizeof slash_name - 1,  .expected = -E_INVALID},
    {"point-nul",        HC_TAP_POINT, TAP_OK, (word_t)empty_text, 1,                     .expected = -E_INVALID},
    {"point-name-end",   HC_TAP_POINT, TAP_OK, .b_is = END, .c = 8,                       .expected = -E_BAD_ADDRESS},
    {"point-name-wraps", HC_TAP_POINT, TAP_OK, .b_is = TOP_BYTE, .c = 8,                  .expected = -E_BAD_ADDRESS},
    {"point-long-detail", HC_TAP_POINT, TAP_OK, .b_is = TEXT, .c = 5, .d_is = TEXT, .e = TAP_DETAIL_MAX + 1, .expected = -E_TOO_BIG},
    {"point-detail-end", HC_TAP_POINT, TAP_OK, .b_is = TEXT, .c = 5, .d_is = LAST_BYTE, .e = 2, .expected = -E_BAD_ADDRESS},
    {"point-detail-wraps", HC_TAP_POINT, TAP_OK, .b_is = TEXT, .c = 5, .d_is = TOP_BYTE, .e = 2, .expected = -E_BAD_ADDRESS},

    {"time-unknown",     HC_TIME, 99,        .expected = -E_INVALID},
    {"time-ones",        HC_TIME, ALL_ONES,  .expected = -E_INVALID},
    {"query-unknown",    HC_QUERY, 99,       .expected = -E_INVALID},
    {"query-ones",       HC_QUERY, ALL_ONES, .expected = -E_INVALID},

    {"bench-no-name",    HC_BENCH, 1, .b_is = TEXT, .c = 0, .d_is = TEXT, .e = 5,         .expected = -E_INVALID},
    {"bench-long-name",  HC_BENCH, 1, .b_is = TEXT, .c = TAP_NAME_MAX + 1, .d_is = TEXT, .e = 5, .expected = -E_TOO_BIG},
    {"bench-name-end",   HC_BENCH, 1, .b_is = END, .c = 5, .d_is = TEXT, .e = 5,          .expected = -E_BAD_ADDRESS},
    {"bench-unit-ones",  HC_BENCH, 1, .b_is = TEXT, .c = 5, .d_is = TEXT, .e = ALL_ONES,  .expected = -E_TOO_BIG},
    {"bench-unit-wraps", HC_BENCH, 1, .b_is = TEXT, .c = 5, .d_is = TOP_BYTE, .e = 5,     .expected = -E_BAD_ADDRESS},
};
// clang-format on

static word_t address(const struct start_info *start, enum address is, word_t plain)
{
    const word_t values[] = {
        [AS_WRITTEN] = plain,
        [TEXT] = (word_t)good_name,
        [LAST_BYTE] = start->mem_bytes - 1,
        [END] = start->mem_bytes,
        [HUGE] = 1ull << 63,
        [TOP_BYTE] = ALL_ONES,
        [ODD_BITS] = 1ull << 52 | (word_t)good_name,
    };
    return values[is];
}

static sword_t call(const struct start_info *start, const struct row *r)
{
    return hypercall(r->number, address(start, r->a_is, r->a), address(start, r->b_is, r->b), r->c,
                     address(start, r->d_is, r->d), r->e);
}

int attack_hypercalls(const struct start_info *start)
{
    enum { PLANS = 1, ALIVE = 1 };
    *(char *)(start->mem_bytes - 1) = '\n';
    sword_t too_many = hypercall1(HC_TAP_PLAN, TAP_PLAN_MAX + 1);
    tap_plan(array_size(rows) + PLANS + ALIVE);
    check_equal("plan-too-many", (uint64_t)-E_TOO_BIG, (uint64_t)too_many);
    for (unsigned i = 0; i < array_size(rows); i++) {
        sword_t got = call(start, &rows[i]);
        while (got == -E_AGAIN) {
            yield();
            got = call(start, &rows[i]);
        }
        check(got == rows[i].expected, rows[i].name, "expected %ld\ngot %ld", (long)rows[i].expected,
              (long)got);
    }
    check_equal("alive", ABI_VERSION, (uint64_t)hypercall0(HC_VERSION));
    return tap_end();
}
