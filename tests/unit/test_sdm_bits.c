#include "sdm/bits.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/types.h"
#include "sdm/cpuid.h"
#include "sdm/exit_reason.h"
#include "sdm/msr.h"
#include "sdm/vm_error.h"

static void bits_become_names(void **state)
{
    (void)state;
    static const struct {
        uint64_t value;
        const struct bit_table *table;
        const char *text;
    } rows[] = {
        {0x80000023,     &cr0_bits,           "PE MP NE PG"           },
        {0,              &cr0_bits,           "-"                     },
        {1ull << 17,     &cr0_bits,           "bit17"                 },
        {1ull << 63 | 1, &cr0_bits,           "PE bit63"              },
        {0x2020,         &cr4_bits,           "PAE VMXE"              },
        {0xd01,          &efer_bits,          "SCE LME LMA NXE"       },
        {0x202,          &rflags_bits,        "FIXED1 IF"             },
        {0xa09b,         &access_rights_bits, "bit0 bit1 bit3 S P L G"},
    };
    for (unsigned i = 0; i < array_size(rows); i++) {
        char buf[64];
        size_t n = bits_text(buf, sizeof(buf), rows[i].value, rows[i].table);
        assert_string_equal(buf, rows[i].text);
        assert_int_equal(n, strlen(rows[i].text));
    }
}

static void text_is_cut_and_terminated(void **state)
{
    (void)state;
    for (size_t size = 0; size < 20; size++) {
        char *buf = malloc(size + 1); // the sanitizer watches the end
        assert_non_null(buf);
        buf[size] = 'x';
        assert_int_equal(bits_text(buf, size, 0x80000023, &cr0_bits), 11);
        if (size)
            assert_int_equal(strlen(buf), size < 12 ? size - 1 : 11);
        assert_int_equal(buf[size], 'x');
        free(buf);
    }
}

// What sdm/bits.h promises of its enums.
static void complement_clears_one_bit(void **state)
{
    (void)state;
    uint64_t all = UINT64_MAX;
    assert_int_equal(all & ~CR0_PG, 0xffffffff7fffffff);
    assert_int_equal(all & ~CR0_PE, 0xfffffffffffffffe);
    assert_int_equal(all & ~CR3_NOFLUSH, 0x7fffffffffffffff);
}

static void exceptions_are_the_manuals(void **state)
{
    (void)state;
    uint32_t with_code = 0, contributory = 0;
    for (unsigned v = 0; v < EXC_COUNT; v++) {
        with_code |= (uint32_t)exceptions[v].error_code << v;
        contributory |= (uint32_t)(exceptions[v].class == EXC_CONTRIBUTORY) << v;
    }
    assert_int_equal(with_code, 1 << 8 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 17 | 1 << 21);
    assert_int_equal(contributory, 1 << 0 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 21);
    assert_string_equal(exception_name(13), "#GP");
    assert_string_equal(exception_name(15), "vector");
    assert_string_equal(exception_name(UINT32_MAX), "vector");
}

static void names_of_numbers(void **state)
{
    (void)state;
    assert_string_equal(msr_name(0x1b), "IA32_APIC_BASE");
    assert_string_equal(msr_name(0xce), "MSR_PLATFORM_INFO");
    assert_string_equal(msr_name(0xc0000102), "IA32_KERNEL_GS_BASE");
    assert_string_equal(msr_name(0x203), "IA32_MTRR_PHYSMASK");
    assert_string_equal(msr_name(0x8ff), "IA32_X2APIC");
    assert_string_equal(msr_name(0x12345), "MSR");
    assert_string_equal(exit_reason_words(0x80000021), "VM-entry failure due to invalid guest state");
    assert_string_equal(exit_reason_words(35), "unknown exit reason");
    assert_string_equal(exit_reason_words(0xffff), "unknown exit reason");
    assert_int_equal(REASON_PREEMPTION_TIMER, 52);
    assert_string_equal(vm_error_words(14), "unknown VM-instruction error");
    assert_string_equal(vm_error_words(UINT32_MAX), "unknown VM-instruction error");
    assert_int_equal(VM_ERROR_ENTRY_MOV_SS, 26);
}

static void cpuid_features_know_their_place(void **state)
{
    (void)state;
    struct cpuid_regs leaf1 = {
        {0, 0, 1 << 5, 0}
    };
    assert_true(cpuid_feature_in(FEATURE_VMX, &leaf1));
    assert_false(cpuid_feature_in(FEATURE_XSAVE, &leaf1));
    for (unsigned i = 0; i < FEATURE_COUNT; i++)
        for (unsigned k = i + 1; k < FEATURE_COUNT; k++)
            assert_false(cpuid_features[i].leaf == cpuid_features[k].leaf &&
                         cpuid_features[i].subleaf == cpuid_features[k].subleaf &&
                         cpuid_features[i].reg == cpuid_features[k].reg &&
                         cpuid_features[i].bit == cpuid_features[k].bit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_become_names),         cmocka_unit_test(text_is_cut_and_terminated),
        cmocka_unit_test(complement_clears_one_bit), cmocka_unit_test(exceptions_are_the_manuals),
        cmocka_unit_test(names_of_numbers),          cmocka_unit_test(cpuid_features_know_their_place),
    };
    return cmocka_run_group_tests_name("sdm_bits", tests, NULL, NULL);
}
