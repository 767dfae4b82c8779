// Turns a policy, a row a control bit, into a control word that this processor accepts, or into the sentence
// that says why it cannot: SDM volume 3, "Algorithms for Determining VMX Capabilities". Pure.
#pragma once
#include "sdm/controls.h"

// What the processor lets one control word be. Bits of the default1 class are not known by a list typed here
// but by what the legacy capability MSR forces: there, software that knows no better finds them at 1.
struct control_capability {
    uint64_t must_be_1; // allowed 0-settings: a 1 here cannot be 0
    uint64_t may_be_1;  // allowed 1-settings: a 0 here cannot be 1
    uint64_t default1;  // what a bit that the policy does not name is set to, where it has a choice
};

// From a capability MSR and its TRUE sibling; where VMX_BASIC_TRUE_CONTROLS is clear, or a word has no
// sibling (secondary controls), pass the same value twice.
static inline struct control_capability control_capability(uint64_t legacy, uint64_t truth)
{
    return (struct control_capability){(uint32_t)truth, truth >> 32, (uint32_t)legacy};
}
// From a MSR that holds only 64 allowed 1-settings: tertiary controls, secondary VM-exit controls, VM
// functions.
static inline struct control_capability control_capability_64(uint64_t may_be_1)
{
    return (struct control_capability){0, may_be_1, 0};
}

enum control_wish {
    CONTROL_REQUIRED, // to be 1, or the box is refused
    CONTROL_WANTED,   // to be 1 where it can
    CONTROL_UNWANTED, // to be 0 where it can
    CONTROL_AVOIDED,  // to be 0, or the box is refused
};

struct control_policy {
    uint32_t bit; // one bit: PIN_NMI_EXITING ...; what is named so far lies in the lower half
    enum control_wish wish;
    const char *why; // "real mode runs on it": continues the sentence "no unrestricted guest: ..."
};

struct control_result {
    uint64_t value;                       // the control word to write
    const struct control_policy *refusal; // the first row that cannot be met, or NULL
};

// Resolves `count` rows, no bit in two of them.
struct control_result control_resolve(const struct control_capability *can, const struct control_policy *rows,
                                      unsigned count);

// "no unrestricted guest: real mode runs on it", or for an avoided one "cannot do without CR3-load exiting:
// ...". Returns the length of the whole text, like snprintf. Nothing refused: the empty text.
size_t control_refusal_text(char *buf, size_t size, enum vmcs_control_word word,
                            const struct control_result *r);
