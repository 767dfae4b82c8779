#include "sdm/vmcs_fields.h"
#include <stddef.h>

#define FIELD_TO_ROW(name, encoding, group, needs) {encoding, NEEDS_##needs, #name},
const struct vmcs_field vmcs_fields[VMCS_FIELD_COUNT] = {VMCS_FIELDS(FIELD_TO_ROW)};

// clang-format off
#define NEED_TO_ROW(name, word, bit, word2, bit2) \
    [NEEDS_##name] = {#name, {{WORD_##word, bit}, {WORD_##word2, bit2}}},
const struct vmcs_need vmcs_needs[NEEDS_COUNT] = {
    [NEEDS_ALWAYS] = {"ALWAYS", {{WORD_NONE, 0}, {WORD_NONE, 0}}},
    VMCS_NEEDS(NEED_TO_ROW)
};
// clang-format on

const struct vmcs_field *vmcs_field_find(uint32_t encoding)
{
    unsigned first = 0, end = VMCS_FIELD_COUNT;
    while (first < end) {
        unsigned middle = (first + end) / 2;
        if (vmcs_fields[middle].encoding == encoding)
            return &vmcs_fields[middle];
        if (vmcs_fields[middle].encoding < encoding)
            first = middle + 1;
        else
            end = middle;
    }
    return NULL;
}

const char *vmcs_field_name(uint32_t encoding)
{
    const struct vmcs_field *field = vmcs_field_find(encoding);
    return field ? field->name : "unknown field";
}
