#include "sdm/controls.h"

#define CONTROL_BIT_TO_NAME(prefix, bit, name, words) {bit, words},

// clang-format off
#define WORD_TO_ROWS(word, PREFIX, list, text) \
    static const struct bit_name rows_##word[] = {list(CONTROL_BIT_TO_NAME)};
CONTROL_WORDS(WORD_TO_ROWS)

#define WORD_TO_INFO(word, PREFIX, list, text) \
    [WORD_##word] = {text, {sizeof(rows_##word) / sizeof(rows_##word[0]), rows_##word}},
const struct control_word_info control_words[WORD_COUNT] = {
    [WORD_NONE] = {"no control", {0, NULL}},
    [WORD_SEAM] = {"SEAM", {0, NULL}},
    CONTROL_WORDS(WORD_TO_INFO)
};

#define CAPABILITY_LISTS(X) \
    X(ept_vpid_cap, EPT_VPID_CAP_BITS) X(vmx_basic, VMX_BASIC_BITS) X(vmx_misc, VMX_MISC_BITS)
#define LIST_TO_TABLE(table, list) \
    static const struct bit_name table##_rows[] = {list(CONTROL_BIT_TO_NAME)}; \
    const struct bit_table table##_bits = {sizeof(table##_rows) / sizeof(table##_rows[0]), table##_rows};
CAPABILITY_LISTS(LIST_TO_TABLE)
// clang-format on

const char *control_name(enum vmcs_control_word word, unsigned bit)
{
    const struct bit_table *bits = &control_words[word].bits;
    for (unsigned i = 0; i < bits->count; i++)
        if (bits->rows[i].bit == bit)
            return bits->rows[i].name;
    return "unnamed control";
}
