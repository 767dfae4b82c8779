#include "sdm/control_resolve.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/types.h"

static struct control_result resolve(struct control_capability can, const struct control_policy *rows,
                                     unsigned count)
{
    return control_resolve(&can, rows, count);
}

enum { FREE, FORCED, ABSENT };
// legacy and TRUE MSR by what they leave of bit 0
static const uint64_t capability[] = {[FREE] = 1ull << 32, [FORCED] = 1ull << 32 | 1, [ABSENT] = 0};

// Every wish against everything that a processor can say of a bit.
static void wish_meets_capability(void **state)
{
    (void)state;
    static const struct {
        enum control_wish wish;
        unsigned can;
        unsigned value, refused;
    } rows[] = {
        {CONTROL_REQUIRED, FREE,   1, 0},
        {CONTROL_REQUIRED, FORCED, 1, 0},
        {CONTROL_REQUIRED, ABSENT, 0, 1},
        {CONTROL_WANTED,   FREE,   1, 0},
        {CONTROL_WANTED,   FORCED, 1, 0},
        {CONTROL_WANTED,   ABSENT, 0, 0},
        {CONTROL_UNWANTED, FREE,   0, 0},
        {CONTROL_UNWANTED, FORCED, 1, 0},
        {CONTROL_UNWANTED, ABSENT, 0, 0},
        {CONTROL_AVOIDED,  FREE,   0, 0},
        {CONTROL_AVOIDED,  FORCED, 1, 1},
        {CONTROL_AVOIDED,  ABSENT, 0, 0},
    };
    for (unsigned i = 0; i < array_size(rows); i++) {
        struct control_policy policy = {1, rows[i].wish, "why"};
        uint64_t msr = capability[rows[i].can];
        struct control_result r = resolve(control_capability(msr, msr), &policy, 1);
        assert_int_equal(r.value, rows[i].value);
        assert_ptr_equal(r.refusal, rows[i].refused ? &policy : NULL);
    }
}

// The primary controls of a Haswell: the legacy MSR forces the default1 class, the TRUE one frees CR3
// exiting.
static const uint64_t legacy = 0xf7f9fffe0401e172, truth = 0xf7f9fffe04006172;

static void default1_bits_stay_unless_named(void **state)
{
    (void)state;
    struct control_result r = resolve(control_capability(legacy, truth), NULL, 0);
    assert_int_equal(r.value, 0x0401e172);
    static const struct control_policy free_cr3[] = {
        {PRIMARY_CR3_LOAD_EXITING,  CONTROL_AVOIDED,  "EPT owns memory"},
        {PRIMARY_CR3_STORE_EXITING, CONTROL_UNWANTED, "EPT owns memory"},
        {PRIMARY_HLT_EXITING,       CONTROL_REQUIRED, "halts stay here"},
    };
    r = resolve(control_capability(legacy, truth), free_cr3, 3);
    assert_null(r.refusal);
    assert_int_equal(r.value, 0x040061f2);
    r = resolve(control_capability(legacy, legacy), free_cr3, 3);
    assert_ptr_equal(r.refusal, &free_cr3[0]);
    assert_int_equal(r.value, 0x0401e1f2);
    char text[80];
    control_refusal_text(text, sizeof(text), WORD_PRIMARY, &r);
    assert_string_equal(text, "cannot do without CR3-load exiting: EPT owns memory");
}

static void first_refusal_is_told(void **state)
{
    (void)state;
    static const struct control_policy policy[] = {
        {SECONDARY_VPID,               CONTROL_WANTED,   "TLB entries survive exits"},
        {SECONDARY_UNRESTRICTED_GUEST, CONTROL_REQUIRED, "real mode runs on it"     },
        {SECONDARY_EPT,                CONTROL_REQUIRED, "memory is its"            },
    };
    struct control_result r = resolve(control_capability(0, 0), policy, 3);
    assert_ptr_equal(r.refusal, &policy[1]);
    char text[64];
    size_t n = control_refusal_text(text, sizeof(text), WORD_SECONDARY, &r);
    assert_string_equal(text, "no unrestricted guest: real mode runs on it");
    assert_int_equal(n, strlen(text));
    char cut[8];
    assert_int_equal(control_refusal_text(cut, sizeof(cut), WORD_SECONDARY, &r), n);
    assert_string_equal(cut, "no unre");
    r.refusal = NULL;
    assert_int_equal(control_refusal_text(text, sizeof(text), WORD_SECONDARY, &r), 0);
    assert_string_equal(text, "");
}

// Whatever the capability, also a contradictory one: the value is never beyond what may be 1.
static void value_obeys_any_capability(void **state)
{
    (void)state;
    static const struct control_policy policy[] = {
        {1 << 0, CONTROL_REQUIRED, ""},
        {1 << 1, CONTROL_WANTED,   ""},
        {1 << 2, CONTROL_UNWANTED, ""}
    };
    for (unsigned must = 0; must < 16; must++)
        for (unsigned may = 0; may < 16; may++) {
            struct control_capability can = {must, may, must};
            struct control_result r = control_resolve(&can, policy, 3);
            assert_int_equal(r.value & ~may, 0);
            assert_int_equal(must & may & ~r.value, 0);
        }
}

// What the processor forces above the lower half is kept, though no policy row can name it.
static void tertiary_has_64_bits(void **state)
{
    (void)state;
    static const struct control_policy policy[] = {
        {1u << 4, CONTROL_WANTED, ""}
    };
    struct control_capability can = {1ull << 40, 1ull << 40 | 1ull << 4, 0};
    assert_int_equal(resolve(can, policy, 1).value, 1ull << 40 | 1ull << 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wish_meets_capability), cmocka_unit_test(default1_bits_stay_unless_named),
        cmocka_unit_test(first_refusal_is_told), cmocka_unit_test(value_obeys_any_capability),
        cmocka_unit_test(tertiary_has_64_bits),
    };
    return cmocka_run_group_tests_name("control_resolve", tests, NULL, NULL);
}
