#include "sdm/vmcs_fields.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "sdm/controls.h"

struct claim {
    uint32_t encoding;
    int width, group;
    const char *name;
};

// The four lists and the group column claim what the bits of the encoding say.
static void encodings_say_width_and_group(void **state)
{
    (void)state;
#define CLAIM_16(name, encoding, group, needs)  {encoding, VMCS_WIDTH_16, VMCS_##group, #name},
#define CLAIM_64(name, encoding, group, needs)  {encoding, VMCS_WIDTH_64, VMCS_##group, #name},
#define CLAIM_32(name, encoding, group, needs)  {encoding, VMCS_WIDTH_32, VMCS_##group, #name},
#define CLAIM_NAT(name, encoding, group, needs) {encoding, VMCS_WIDTH_NAT, VMCS_##group, #name},
    static const struct claim claims[] = {VMCS_FIELDS_16(CLAIM_16) VMCS_FIELDS_64(CLAIM_64)
                                              VMCS_FIELDS_32(CLAIM_32) VMCS_FIELDS_NAT(CLAIM_NAT)};
    assert_int_equal(sizeof(claims) / sizeof(claims[0]), VMCS_FIELD_COUNT);
    for (unsigned i = 0; i < VMCS_FIELD_COUNT; i++) {
        if (vmcs_width(claims[i].encoding) != (unsigned)claims[i].width ||
            vmcs_group(claims[i].encoding) != (unsigned)claims[i].group)
            fail_msg("%s %x: width and group of the encoding: %d %d, of the list: %d %d", claims[i].name,
                     claims[i].encoding, vmcs_width(claims[i].encoding), vmcs_group(claims[i].encoding),
                     claims[i].width, claims[i].group);
        assert_int_equal(claims[i].encoding & ~0x6ffeu, 0); // bits 12, 15 and the access type are 0
    }
}

static void encodings_ascend(void **state)
{
    (void)state;
    for (unsigned i = 1; i < VMCS_FIELD_COUNT; i++)
        if (vmcs_fields[i].encoding <= vmcs_fields[i - 1].encoding)
            fail_msg("%s stands behind %s", vmcs_field_name(vmcs_fields[i].encoding),
                     vmcs_field_name(vmcs_fields[i - 1].encoding));
}

static void every_field_is_found(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VMCS_FIELD_COUNT; i++)
        assert_ptr_equal(vmcs_field_find(vmcs_fields[i].encoding), &vmcs_fields[i]);
    unsigned found = 0;
    for (uint32_t encoding = 0; encoding < 0x8000; encoding++)
        found += vmcs_field_find(encoding) != NULL;
    assert_int_equal(found, VMCS_FIELD_COUNT);
    assert_null(vmcs_field_find(UINT32_MAX));
    assert_string_equal(vmcs_field_name(0x681e), "GUEST_RIP");
    assert_string_equal(vmcs_field_name(0x4026), "unknown field");
}

// Segment registers run in one order through selectors, limits, access rights and bases.
static void segments_run_in_step(void **state)
{
    (void)state;
    assert_int_equal(GUEST_TR_SELECTOR - GUEST_ES_SELECTOR, 14);
    assert_int_equal(GUEST_TR_LIMIT - GUEST_ES_LIMIT, 14);
    assert_int_equal(GUEST_TR_ACCESS_RIGHTS - GUEST_ES_ACCESS_RIGHTS, 14);
    assert_int_equal(GUEST_TR_BASE - GUEST_ES_BASE, 14);
}

// What a field needs is typed as word and bit; the list of controls must know each by name.
static void needs_are_controls(void **state)
{
    (void)state;
    for (unsigned i = NEEDS_ALWAYS + 1; i < NEEDS_COUNT; i++)
        for (unsigned k = 0; k < 2; k++) {
            unsigned word = vmcs_needs[i].control[k].word;
            if (word != WORD_NONE && word != WORD_SEAM &&
                !strcmp(control_name(word, vmcs_needs[i].control[k].bit), "unnamed control"))
                fail_msg("row %u of VMCS_NEEDS needs a control that has no name", i);
        }
    static const struct {
        unsigned needs;
        uint64_t control;
    } samples[] = {
        {NEEDS_VPID,             SECONDARY_VPID       },
        {NEEDS_EPT,              SECONDARY_EPT        },
        {NEEDS_PREEMPTION_TIMER, PIN_PREEMPTION_TIMER },
        {NEEDS_TPR_SHADOW,       PRIMARY_TPR_SHADOW   },
        {NEEDS_GUEST_EFER,       ENTRY_LOAD_EFER      },
        {NEEDS_HOST_EFER,        EXIT_LOAD_EFER       },
        {NEEDS_HOST_PAT,         EXIT_LOAD_PAT        },
        {NEEDS_PML,              SECONDARY_PML        },
        {NEEDS_TSC_SCALING,      SECONDARY_TSC_SCALING},
        {NEEDS_MSR_BITMAPS,      PRIMARY_MSR_BITMAPS  },
    };
    for (unsigned i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
        assert_int_equal(1ull << vmcs_needs[samples[i].needs].control[0].bit, samples[i].control);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodings_say_width_and_group),
        cmocka_unit_test(encodings_ascend),
        cmocka_unit_test(every_field_is_found),
        cmocka_unit_test(segments_run_in_step),
        cmocka_unit_test(needs_are_controls),
    };
    return cmocka_run_group_tests_name("vmcs_fields", tests, NULL, NULL);
}
