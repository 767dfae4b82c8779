#include "sdm/controls.h"

#define CONTROL_BIT_TO_NAME(prefix, bit, name, words) words "\0"
#define CONTROL_BIT_TO_MASK(prefix, bit, name, words) | 1ull << (bit)
#define TABLE(list)                                            \
    {                                                          \
        0 list(CONTROL_BIT_TO_MASK), list(CONTROL_BIT_TO_NAME) \
    }

#define WORD_TO_INFO(word, PREFIX, list, text) [WORD_##word] = {text, TABLE(list)},
// clang-format off
const struct control_word_info control_words[WORD_COUNT] = {
    [WORD_NONE] = {"no control", {0, ""}},
    [WORD_SEAM] = {"SEAM", {0, ""}},
    CONTROL_WORDS(WORD_TO_INFO)
};
// clang-format on

const struct bit_table ept_vpid_cap_bits = TABLE(EPT_VPID_CAP_BITS);
const struct bit_table vmx_basic_bits = TABLE(VMX_BASIC_BITS);
const struct bit_table vmx_misc_bits = TABLE(VMX_MISC_BITS);

const char *control_name(enum vmcs_control_word word, unsigned bit)
{
    const char *name = bit_name(&control_words[word].bits, bit);
    return name ? name : "unnamed control";
}
