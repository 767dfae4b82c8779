// For each VM-entry rule how to break it by as little as possible, and its good neighbour: the nearest state
// that obeys it. Tests on the host hold the doctor against these rows, and guests hold the processor against
// them. Pure.
//
// A case is a list of steps over an image: first the STEP_PREPARE ones (what the rule takes for granted), then
// either the STEP_BAD or the STEP_GOOD ones; where there are no GOOD ones the prepared state is the good
// neighbour. Memory is the runner's affair: STEP_PAGE asks for one of its scratch pages, and what the image
// then holds as facts is to be put where it points to.
//
// Where the processor has more than a rule takes for granted (software events of length 0, EPT by 5 levels ...),
// the bad side breaks nothing: ask the judge first.
#pragma once
#include "sdm/entry_rules.h"

// Valid states of a guest, what a case starts from.
enum entry_mode {
    MODE_REAL,      // needs unrestricted guest
    MODE_PROTECTED, // without paging: needs unrestricted guest
    MODE_PAGED,     // 32-bit, two-level paging
    MODE_PAE,
    MODE_LONG,
    MODE_V86,
    MODE_COUNT
};

enum step_when { STEP_PREPARE, STEP_BAD, STEP_GOOD };

enum step_op {
    STEP_VALUE,         // field = value
    STEP_SET,           // field |= value
    STEP_CLEAR,         // field &= ~value
    STEP_TOGGLE,        // field ^= value
    STEP_PAGE,          // field = address of scratch page number `value`, whose bytes are 0
    STEP_BEYOND,        // field |= the lowest address bit that the processor does not have
    STEP_TOP_BYTES,     // field = the last `value` bytes that physical addresses can name
    STEP_NONCANONICAL,  // field = the lowest address that is not canonical
    STEP_BEYOND_LINEAR, // field = the lowest bit beyond the linear-address width
    STEP_REVISION,      // field = VMCS revision of the processor | value
    STEP_CURRENT_VMCS,  // field = address of the VMCS that is entered
    STEP_CR3_TARGETS,   // field = number of CR3 targets that the processor has + value
    STEP_UNSUPPORTED,   // activity state: the lowest one that the processor does not have
    STEP_FEATURE,       // nothing; possible only where the processor has CPUID feature `value`
    STEP_NO_FEATURE,    // nothing; possible only where it has not
    STEP_RESERVED_1,    // control word, CR0, CR4: sets the highest bit that must be 0
    STEP_RESERVED_0,    // control word, CR0, CR4: clears the lowest bit that must be 1
};

struct entry_step {
    uint16_t field; // encoding: a VMCS field or an IMAGE_FACT
    uint8_t when;   // enum step_when
    uint8_t op;     // enum step_op
    uint32_t high;  // bits 63:32 of the value
    uint32_t low;
};

// One way to break one rule. A rule with several sides has several cases.
struct entry_case {
    enum entry_rule rule;
    enum entry_mode mode;
    const struct entry_step *step;
    unsigned steps;
    unsigned number; // counts the cases of the same rule from 0
};
// Makes `c` the case behind it; the first one if it is all zero. False: there is no more.
bool entry_case_next(struct entry_case *c);

// Makes the guest state and the controls of `im` those of a valid entry into `mode` with the fewest controls:
// EPT and unrestricted guest where they can be. What is the runner's it leaves as it is: host state,
// addresses (EPT_POINTER, too), the facts. RIP, RSP and CR3 become 0, descriptor tables empty. False: the
// processor cannot do that mode.
bool entry_mode_set(struct vmcs_image *im, const struct entry_env *env, enum entry_mode mode);

// Applies the STEP_PREPARE steps and those of `when` to `im`. `pages`: physical address of scratch page 0, the
// others follow. NULL, or the step that cannot be done on this processor: it sets a control that is not there,
// or there is no reserved bit. Then the case cannot be had here, and `im` is as far as the step.
const struct entry_step *entry_case_apply(const struct entry_case *c, enum step_when when,
                                          const struct entry_env *env, uint64_t pages, struct vmcs_image *im);

// The value that a step gives to a field that has `old`.
uint64_t entry_step_value(const struct entry_step *s, const struct entry_env *env, uint64_t old,
                          uint64_t pages);

// Scratch pages that cases use. All bytes of them are 0 but for the last one's, which is a list of MSRs: each
// entry says IA32_SYSENTER_CS, which every VM exit restores, and the value 0.
enum { ENTRY_CASE_PAGES = 3, ENTRY_CASE_MSR_PAGE = 2 };
