#include "sdm/vmcs_fields.h"
#include <stddef.h>

// All names in one block, to whose members the rows have offsets: a pointer in each row would be 8 bytes.
#define FIELD_TO_MEMBER(name, encoding, group, needs) char name[sizeof(#name)];
#define FIELD_TO_NAME(name, encoding, group, needs)   #name,
static const struct field_names {
    VMCS_FIELDS(FIELD_TO_MEMBER)
} names = {VMCS_FIELDS(FIELD_TO_NAME)};

#define FIELD_TO_ROW(name, encoding, group, needs) \
    {encoding, offsetof(struct field_names, name), NEEDS_##needs},
const struct vmcs_field vmcs_fields[VMCS_FIELD_COUNT] = {VMCS_FIELDS(FIELD_TO_ROW)};

// clang-format off
#define NEED_TO_ROW(name, word, bit, word2, bit2) [NEEDS_##name] = {{{WORD_##word, bit}, {WORD_##word2, bit2}}},
const struct vmcs_need vmcs_needs[NEEDS_COUNT] = {
    [NEEDS_ALWAYS] = {{{WORD_NONE, 0}, {WORD_NONE, 0}}},
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
    return field ? (const char *)&names + field->name : "unknown field";
}
