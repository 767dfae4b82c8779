#include "vmx/controls.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/types.h"
#include "sdm/controls.h"

static const struct vmx_caps haswell = {
    .basic = 0x00d810000000002b,
    .pin = 0x0000007f00000016,
    .primary = 0xf7f9fffe0401e172,
    .exit = 0x007fffff00036dff,
    .entry = 0x0000ffff000011ff,
    .misc = 0x200401e0,
    .true_pin = 0x0000007f00000016,
    .true_primary = 0xf7f9fffe04006172,
    .true_exit = 0x007fffff00036dfb,
    .true_entry = 0x0000ffff000011fb,
    .secondary = 0x00047fff00000000,
    .ept_vpid = 0x00000f0106334141,
};

static struct controls got;
static struct reason why;

static enum error negotiate(const struct vmx_caps *caps)
{
    memset(&got, 0, sizeof(got));
    memset(&why, 0, sizeof(why));
    return controls_negotiate(caps, &got, &why);
}

static void good_box(void **state)
{
    (void)state;
    assert_int_equal(negotiate(&haswell), E_OK);
    assert_true(got.secondary & SECONDARY_EPT);
    assert_true(got.secondary & SECONDARY_VPID);
    assert_true(got.secondary & SECONDARY_UNRESTRICTED_GUEST);
    assert_true(got.pin & PIN_PREEMPTION_TIMER);
    assert_false(got.primary & (PRIMARY_CR3_LOAD_EXITING | PRIMARY_CR3_STORE_EXITING));
    assert_false(got.entry & ENTRY_IA32E_MODE_GUEST);
}

#define NO_SECONDARY(bit) .member = offsetof(struct vmx_caps, secondary), .clear = (uint64_t)(bit) << 32
#define NO(name, bit)     .member = offsetof(struct vmx_caps, name), .clear = (bit)

// What a box may lack, and the words in which it is refused.
static const struct {
    size_t member;
    uint64_t clear;
    const char *words;
} lacks[] = {
  // clang-format off
    {NO_SECONDARY(SECONDARY_EPT), "EPT"},
    {NO_SECONDARY(SECONDARY_UNRESTRICTED_GUEST), "unrestricted guest"},
    {NO(primary, (uint64_t)PRIMARY_ACTIVATE_SECONDARY << 32), "secondary controls"},
    {NO(basic, VMX_BASIC_TRUE_CONTROLS), "CR3"}, // then the default1 class is forced
    {NO(basic, VMX_BASIC_INS_OUTS_INFO), "INS and OUTS"},
    {NO(misc, VMX_MISC_SAVE_LMA), "long-mode"},
    {NO(ept_vpid, EPT_CAP_WALK_4), "4-level"},
    {NO(ept_vpid, EPT_CAP_WB), "write-back"},
    {NO(ept_vpid, EPT_CAP_INVEPT), "INVEPT"},
    {NO(ept_vpid, EPT_CAP_INVEPT_ALL), "all contexts"},
  // clang-format on
};

static void refusals(void **state)
{
    (void)state;
    for (unsigned i = 0; i < array_size(lacks); i++) {
        struct vmx_caps caps = haswell;
        *(uint64_t *)((char *)&caps + lacks[i].member) &= ~lacks[i].clear;
        if (lacks[i].member == offsetof(struct vmx_caps, primary))
            caps.true_primary &= ~lacks[i].clear;
        enum error e = negotiate(&caps);
        if (e != E_UNSUPPORTED || !strstr(why.text, lacks[i].words))
            fail_msg("expected a refusal with \"%s\", got %d \"%s\"", lacks[i].words, (int)e, why.text);
    }
}

// A VPID is of use only where it can be flushed.
static void vpid_needs_invvpid(void **state)
{
    (void)state;
    struct vmx_caps caps = haswell;
    caps.ept_vpid &= ~(uint64_t)EPT_CAP_INVVPID;
    assert_int_equal(negotiate(&caps), E_OK);
    assert_false(got.secondary & SECONDARY_VPID);
    caps = haswell;
    caps.ept_vpid &= ~(uint64_t)EPT_CAP_INVVPID_SINGLE;
    assert_int_equal(negotiate(&caps), E_OK);
    assert_true(got.secondary & SECONDARY_VPID);
    caps.ept_vpid &= ~(uint64_t)EPT_CAP_INVVPID_ALL;
    assert_int_equal(negotiate(&caps), E_OK);
    assert_false(got.secondary & SECONDARY_VPID);
}

static void no_preemption_timer(void **state)
{
    (void)state;
    struct vmx_caps caps = haswell;
    caps.true_pin &= ~((uint64_t)PIN_PREEMPTION_TIMER << 32);
    caps.pin = caps.true_pin;
    assert_int_equal(negotiate(&caps), E_OK);
    assert_false(got.pin & PIN_PREEMPTION_TIMER);
}

static enum error negotiate_apicv(const struct vmx_caps *caps)
{
    assert_int_equal(negotiate(caps), E_OK);
    assert_false(got.apicv);
    assert_int_equal(got.apic[APIC_HELP_NONE].primary, got.primary);
    assert_int_equal(got.apic[APIC_HELP_NONE].secondary, 0);
    return controls_negotiate_apicv(caps, &got, &why);
}

// Every help but none has what SDM, "Checks on VM-Execution Control Fields", wants together.
static void apic_help_is_legal(void **state)
{
    (void)state;
    assert_int_equal(negotiate_apicv(&haswell), E_OK);
    assert_true(got.apicv);
    uint32_t delivery = SECONDARY_APIC_REGISTERS | SECONDARY_VIRTUAL_INTERRUPT_DELIVERY;
    for (unsigned i = 0; i < APIC_HELP_COUNT; i++) {
        uint32_t primary = got.apic[i].primary, secondary = got.apic[i].secondary;
        bool shadow = primary & PRIMARY_TPR_SHADOW;
        assert_true(shadow || !(secondary & (SECONDARY_X2APIC_MODE | delivery)));
        assert_true(!(secondary & SECONDARY_X2APIC_MODE) || !(secondary & SECONDARY_APIC_ACCESSES));
        assert_int_equal(shadow, !(primary & PRIMARY_CR8_LOAD_EXITING));
        assert_int_equal(shadow, !(primary & PRIMARY_CR8_STORE_EXITING));
        assert_int_equal(shadow, i >= APIC_HELP_PAGE);
        assert_int_equal((secondary & delivery) == delivery, i >= APIC_HELP_PAGE);
        assert_int_equal((secondary & SECONDARY_APIC_ACCESSES) != 0,
                         i == APIC_HELP_PAGE || i == APIC_HELP_PAGE_EXITS);
    }
    assert_true(got.pin & PIN_EXTERNAL_INTERRUPT_EXITING);
}

// All of it or nothing; what lacks is named and the box runs machines all the same.
static void apicv_is_whole(void **state)
{
    (void)state;
    static const struct {
        uint32_t bit;
        const char *words;
    } parts[] = {
        {SECONDARY_APIC_ACCESSES,              "virtualized APIC accesses" },
        {SECONDARY_X2APIC_MODE,                "virtualized x2APIC mode"   },
        {SECONDARY_APIC_REGISTERS,             "APIC-register"             },
        {SECONDARY_VIRTUAL_INTERRUPT_DELIVERY, "virtual-interrupt delivery"},
    };
    for (unsigned i = 0; i < array_size(parts); i++) {
        struct vmx_caps caps = haswell;
        caps.secondary &= ~((uint64_t)parts[i].bit << 32);
        assert_int_equal(negotiate_apicv(&caps), E_UNSUPPORTED);
        assert_non_null(strstr(why.text, parts[i].words));
        assert_false(got.apicv);
    }
    struct vmx_caps caps = haswell;
    caps.true_primary &= ~((uint64_t)PRIMARY_TPR_SHADOW << 32);
    assert_int_equal(negotiate_apicv(&caps), E_UNSUPPORTED);
    assert_non_null(strstr(why.text, "TPR shadow"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_box),           cmocka_unit_test(refusals),
        cmocka_unit_test(vpid_needs_invvpid), cmocka_unit_test(no_preemption_timer),
        cmocka_unit_test(apic_help_is_legal), cmocka_unit_test(apicv_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
