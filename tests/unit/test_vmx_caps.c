#include "sdm/vmx_caps.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/types.h"

// A Haswell without posted interrupts, MTF and PML.
static const struct vmx_caps haswell = {
    .basic = 0x00d810000000002b,
    .pin = 0x0000007f00000016,
    .primary = 0xf7f9fffe0401e172,
    .exit = 0x007fffff00036dff,
    .entry = 0x0000ffff000011ff,
    .misc = 0x200401e0,
    .cr0_fixed0 = 0x80000021,
    .cr0_fixed1 = 0xffffffff,
    .cr4_fixed0 = 0x2000,
    .cr4_fixed1 = 0x1727ff,
    .vmcs_enum = 0x2e,
    .true_pin = 0x0000007f00000016,
    .true_primary = 0xf7f9fffe04006172,
    .true_exit = 0x007fffff00036dfb,
    .true_entry = 0x0000ffff000011fb,
    .secondary = 0x00047fff00000000,
    .ept_vpid = 0x00000f0106334141,
    .vm_functions = 1,
};

static char text[8192];
static unsigned lines;

static void keep(void *context, const char *line)
{
    (void)context;
    assert_true(strlen(line) < 192);
    assert_true(strlen(text) + strlen(line) + 2 < sizeof(text));
    strcat(strcat(text, line), "\n");
    lines++;
}

static int start(void **state)
{
    (void)state;
    text[0] = 0;
    lines = 0;
    return 0;
}

static uint64_t read_haswell(void *context, uint32_t msr)
{
    (void)context;
    switch (msr) {
#define CAPS_TO_CASE(member, name, exists) \
    case MSR_##name:                       \
        return haswell.member;
        VMX_CAPS(CAPS_TO_CASE)
#undef CAPS_TO_CASE
    }
    fail_msg("MSR %x is no capability", msr);
    return 0;
}

// The first VMX processors have nothing above 48aH: reading further is #GP.
static uint64_t read_first_vmx(void *context, uint32_t msr)
{
    (void)context;
    if (msr > MSR_VMX_VMCS_ENUM)
        fail_msg("%s read where it does not exist", msr_name(msr));
    return msr == MSR_VMX_PROCBASED_CTLS ? 0x77f9fffe0401e172 : 0;
}

static void reads_only_what_exists(void **state)
{
    (void)state;
    struct vmx_caps c;
    vmx_caps_read(&c, read_haswell, NULL);
    assert_null(vmx_caps_difference(&c, &haswell));
    assert_int_equal(c.tertiary, 0);
    vmx_caps_read(&c, read_first_vmx, NULL);
    assert_int_equal(c.ept_vpid, 0);
    assert_false(vmx_caps_can(&c, WORD_SECONDARY, SECONDARY_EPT));
}

static void difference_is_named(void **state)
{
    (void)state;
    struct vmx_caps other = haswell;
    other.misc++;
    assert_string_equal(vmx_caps_difference(&haswell, &other), "IA32_VMX_MISC");
}

static void true_msrs_count_where_they_exist(void **state)
{
    (void)state;
    struct vmx_caps c = haswell;
    assert_false(vmx_caps_control(&c, WORD_PRIMARY).must_be_1 & PRIMARY_CR3_LOAD_EXITING);
    assert_true(vmx_caps_control(&c, WORD_PRIMARY).default1 & PRIMARY_CR3_LOAD_EXITING);
    c.basic &= ~VMX_BASIC_TRUE_CONTROLS;
    assert_true(vmx_caps_control(&c, WORD_PRIMARY).must_be_1 & PRIMARY_CR3_LOAD_EXITING);
    assert_false(vmx_caps_can(&c, WORD_SEAM, 1));
}

static void fields_exist_by_controls(void **state)
{
    (void)state;
    assert_true(vmx_caps_field_exists(&haswell, vmcs_field_find(GUEST_RIP)));
    assert_true(vmx_caps_field_exists(&haswell, vmcs_field_find(EPT_POINTER)));
    assert_true(vmx_caps_field_exists(&haswell, vmcs_field_find(GUEST_EFER)));
    assert_false(vmx_caps_field_exists(&haswell, vmcs_field_find(PML_ADDRESS)));
    assert_false(vmx_caps_field_exists(&haswell, vmcs_field_find(TERTIARY_CONTROLS)));
    assert_false(vmx_caps_field_exists(&haswell, vmcs_field_find(SHARED_EPT_POINTER)));
    assert_false(vmx_caps_field_exists(&haswell, vmcs_field_find(POSTED_INTERRUPT_VECTOR)));
}

static void a_good_box_has_no_contradiction(void **state)
{
    (void)state;
    assert_int_equal(vmx_caps_check(&haswell, keep, NULL), 0);
    assert_string_equal(text, "");
}

static void contradictions_are_told(void **state)
{
    (void)state;
    static const struct {
        size_t offset;
        uint64_t flip;
        const char *line;
    } rows[] = {
        {offsetof(struct vmx_caps, basic),      1ull << 31, "IA32_VMX_BASIC: bit 31 is not 0\n"       },
        {offsetof(struct vmx_caps, basic),      1ull << 44,
         "IA32_VMX_BASIC: a VMCS region of 0 or of more than 4096 bytes\n"                            },
        {offsetof(struct vmx_caps, cr4_fixed1), 1ull << 3,  NULL                                      },
        {offsetof(struct vmx_caps, cr0_fixed1), 1ull << 5,
         "IA32_VMX_CR0_FIXED0: a bit fixed to 0 and to 1\n"                                           },
        {offsetof(struct vmx_caps, secondary),  1ull << 33,
         "unrestricted guest without EPT\nEPT-violation #VE without EPT\nEPTP switching without EPT\n"},
        {offsetof(struct vmx_caps, true_pin),   1ull << 38,
         "save VMX preemption-timer value on exit without VMX preemption timer\n"                     },
        {offsetof(struct vmx_caps, true_entry), 1ull << 32,
         "VM-entry controls: can be neither 0 nor 1: 1h\n"                                            },
        {offsetof(struct vmx_caps, entry),      1ull << 0,
         "VM-entry controls: the TRUE MSR forces what the other does not: 1h\n"                       },
        {offsetof(struct vmx_caps, ept_vpid),   1ull << 6,  "EPT without a page-walk length\n"        },
    };
    for (unsigned i = 0; i < array_size(rows); i++) {
        struct vmx_caps c = haswell;
        *(uint64_t *)((char *)&c + rows[i].offset) ^= rows[i].flip;
        start(NULL);
        unsigned found = vmx_caps_check(&c, keep, NULL);
        assert_int_equal(found, lines);
        assert_string_equal(text, rows[i].line ? rows[i].line : "");
    }
}

static void words_for_the_log(void **state)
{
    (void)state;
    vmx_caps_text(&haswell, keep, NULL);
    if (getenv("VERBOSE"))
        print_message("%s", text);
    assert_non_null(strstr(text, "VMX basic 00d810000000002b: VMCS revision 43, region bytes 4096,"));
    assert_non_null(strstr(text, "secondary controls 00047fff00000000: virtualized APIC accesses, EPT,"));
    assert_non_null(
        strstr(text, "external-interrupt exiting, NMI exiting, virtual NMIs,\n  VMX preemption timer\n"));
    assert_non_null(strstr(text, "64-bit host"));
    assert_non_null(strstr(text, "CR0 always 1 0000000080000021: PE, NE, PG\n"));
}

static void words_for_anything(void **state)
{
    (void)state;
    struct vmx_caps c;
    memset(&c, 0xff, sizeof(c));
    vmx_caps_text(&c, keep, NULL);
    vmx_caps_check(&c, keep, NULL);
    memset(&c, 0, sizeof(c));
    start(NULL);
    vmx_caps_text(&c, keep, NULL);
    vmx_caps_check(&c, keep, NULL);
    assert_non_null(strstr(text, "none\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(reads_only_what_exists, start),
        cmocka_unit_test_setup(difference_is_named, start),
        cmocka_unit_test_setup(true_msrs_count_where_they_exist, start),
        cmocka_unit_test_setup(fields_exist_by_controls, start),
        cmocka_unit_test_setup(a_good_box_has_no_contradiction, start),
        cmocka_unit_test_setup(contradictions_are_told, start),
        cmocka_unit_test_setup(words_for_the_log, start),
        cmocka_unit_test_setup(words_for_anything, start),
    };
    return cmocka_run_group_tests_name("vmx_caps", tests, NULL, NULL);
}
