// What a row about an instruction needs: the control that makes it exit, and the feature of the processor.
#pragma once
#include "guests/vmx/lib/vmx.h"

struct row_control {
    uint8_t word; // enum vmcs_control_word; WORD_NONE: no control
    uint64_t bit;
};
#define PRIMARY(name)                \
    {                                \
        WORD_PRIMARY, PRIMARY_##name \
    }
#define SECONDARY(name)                  \
    {                                    \
        WORD_SECONDARY, SECONDARY_##name \
    }
#define ALWAYS       \
    {                \
        WORD_NONE, 0 \
    }
enum { NO_FEATURE = FEATURE_COUNT };

static inline void row_control_set(const struct row_control *c, bool on)
{
    if (c->word != WORD_NONE)
        vm_control((enum vmcs_control_word)c->word, c->bit, on);
}
static inline bool row_control_there(const struct row_control *c)
{
    return c->word == WORD_NONE || can((enum vmcs_control_word)c->word, c->bit);
}
static inline bool row_feature_there(int feature)
{
    return feature == NO_FEATURE || entry_env_has(&processor, (enum cpuid_feature)feature);
}
