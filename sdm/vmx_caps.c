#include "sdm/vmx_caps.h"
#include "sdm/text.h"

void vmx_caps_read(struct vmx_caps *c, uint64_t (*rdmsr)(void *context, uint32_t msr), void *context)
{
#define CAPS_TO_READ(member, msr, exists) c->member = (exists) ? rdmsr(context, MSR_##msr) : 0;
    VMX_CAPS(CAPS_TO_READ)
#undef CAPS_TO_READ
}

struct control_capability vmx_caps_control(const struct vmx_caps *c, enum vmcs_control_word word)
{
    bool t = c->basic & VMX_BASIC_TRUE_CONTROLS;
    switch (word) {
    case WORD_PIN:
        return control_capability(c->pin, t ? c->true_pin : c->pin);
    case WORD_PRIMARY:
        return control_capability(c->primary, t ? c->true_primary : c->primary);
    case WORD_EXIT:
        return control_capability(c->exit, t ? c->true_exit : c->exit);
    case WORD_ENTRY:
        return control_capability(c->entry, t ? c->true_entry : c->entry);
    case WORD_SECONDARY:
        return control_capability(c->secondary, c->secondary);
    case WORD_TERTIARY:
        return control_capability_64(c->tertiary);
    case WORD_EXIT2:
        return control_capability_64(c->exit2);
    case WORD_FUNCTION:
        return control_capability_64(c->vm_functions);
    default:
        return control_capability_64(0);
    }
}

bool vmx_caps_field_exists(const struct vmx_caps *c, const struct vmcs_field *field)
{
    if (field->needs == NEEDS_ALWAYS)
        return true;
    const struct vmcs_need *need = &vmcs_needs[field->needs];
    for (unsigned i = 0; i < 2; i++)
        if (vmx_caps_can(c, need->control[i].word, 1ull << need->control[i].bit))
            return true;
    return false;
}

const char *vmx_caps_difference(const struct vmx_caps *a, const struct vmx_caps *b)
{
#define CAPS_TO_COMPARE(member, msr, exists) \
    if (a->member != b->member)              \
        return msr_name(MSR_##msr);
    VMX_CAPS(CAPS_TO_COMPARE)
#undef CAPS_TO_COMPARE
    return NULL;
}
