// The entry doctor: SDM volume 3, chapter "VM Entries", as one table of rules, and the judge that holds a VMCS
// against it. A rule says what it demands, which fields it reads, where the manual says so and how VM entry
// fails when it is broken. The rules themselves are rows in sdm/entry_rules_*.h. Pure.
#pragma once
#include "sdm/entry_open.h"
#include "sdm/entry_rules_list.h"
#include "sdm/text.h"
#include "sdm/vmcs_image.h"

// How a broken rule shows.
// clang-format off
// name, words, stage: what happens first in time; within a stage the manual leaves the order open
#define RULE_KINDS(X) \
    X(INSTRUCTION, "before the VMCS is looked at",       0) /* VMfail with the rule's error number; 0: VMfailInvalid */ \
    X(CONTROL,     "VM-instruction error 7",             1) /* invalid control fields */ \
    X(HOST,        "VM-instruction error 8",             1) /* invalid host-state fields */ \
    X(CONTROL_OR_HOST, "VM-instruction error 7 or 8",    1) /* the manual does not say which */ \
    X(GUEST,       "exit reason 33",                     2) /* invalid guest state; the rule's exit qualification */ \
    X(MSR_LOAD,    "exit reason 34",                     3) /* MSR loading; the qualification is the entry, from 1 */

#define ENTRY_SECTIONS(X) \
    X(BASIC,           "Basic VM-Entry Checks") \
    X(EXECUTION,       "VM-Execution Control Fields") \
    X(EXIT,            "VM-Exit Control Fields") \
    X(ENTRY,           "VM-Entry Control Fields") \
    X(HOST_REGISTERS,  "Checks on Host Control Registers, MSRs, and SSP") \
    X(HOST_SEGMENTS,   "Checks on Host Segment and Descriptor-Table Registers") \
    X(ADDRESS_SPACE,   "Checks Related to Address-Space Size") \
    X(GUEST_REGISTERS, "Checks on Guest Control Registers, Debug Registers, and MSRs") \
    X(GUEST_SEGMENTS,  "Checks on Guest Segment Registers") \
    X(GUEST_TABLES,    "Checks on Guest Descriptor-Table Registers") \
    X(GUEST_RIP,       "Checks on Guest RIP, RFLAGS, and SSP") \
    X(NON_REGISTER,    "Checks on Guest Non-Register State") \
    X(PDPTES,          "Checks on Guest Page-Directory-Pointer-Table Entries") \
    X(MSRS,            "Loading MSRs")
// clang-format on

#define KIND_TO_ENUM(name, words, stage) KIND_##name,
enum rule_kind { RULE_KINDS(KIND_TO_ENUM) KIND_COUNT };
#undef KIND_TO_ENUM
#define SECTION_TO_ENUM(name, title) SECTION_##name,
enum entry_section { ENTRY_SECTIONS(SECTION_TO_ENUM) SECTION_COUNT };
#undef SECTION_TO_ENUM

#define RULE_TO_ENUM(name, kind, number, section, fields, broken, sentence) RULE_##name,
enum entry_rule { ENTRY_RULES(RULE_TO_ENUM) RULE_COUNT };
#undef RULE_TO_ENUM

enum { RULE_FIELDS = 4, RULE_WORDS = (RULE_COUNT + 63) / 64 };
struct entry_rule_info {
    const char *sentence;        // what the rule demands
    uint8_t kind;                // enum rule_kind
    uint8_t number;              // error number of KIND_INSTRUCTION, exit qualification of KIND_GUEST
    uint8_t section;             // enum entry_section
    uint8_t fields;              // how many of field[] are used
    uint16_t field[RULE_FIELDS]; // encodings (IMAGE_FACTS too), what the rule is about first
};
extern const struct entry_rule_info entry_rules[RULE_COUNT];

// Adds the rule's id, "guest-cs-base-high": unique, and stable from version to version.
void entry_rule_id(struct text *t, enum entry_rule rule);
const char *entry_section_title(enum entry_section section);
const char *rule_kind_words(enum rule_kind kind); // "exit reason 33"

// What the table cannot judge: the manual leaves it to the model, or the table does not know enough.
#define OPEN_TO_ENUM(name, stage, broken, words) OPEN_##name,
enum open_question { OPEN_QUESTIONS(OPEN_TO_ENUM) OPEN_COUNT };
#undef OPEN_TO_ENUM
const char *open_question_words(enum open_question question);

enum verdict_kind {
    VERDICT_OBEYS,      // the entry succeeds
    VERDICT_BREAKS,     // the entry fails, in a way that entry_agrees() knows
    VERDICT_NOT_JUDGED, // it may do either: `open` says why
};

struct entry_verdict {
    enum verdict_kind kind;
    uint64_t broken[RULE_WORDS]; // a bit a rule; those of later stages show only once the others are mended
    uint32_t open;               // a bit an open_question
    uint8_t msr_entry;           // entry of the MSR-load area that breaks a rule, from 1
};

// Holds the image against every rule. That something is broken is a verdict though something else is an open
// question, unless that could make the entry fail at an earlier stage.
void entry_judge(struct entry_verdict *v, const struct vmcs_image *im, const struct entry_env *env);

static inline bool entry_breaks(const struct entry_verdict *v, enum entry_rule rule)
{
    return v->broken[rule / 64] >> rule % 64 & 1;
}
// First broken rule from `from` on; RULE_COUNT: no more.
enum entry_rule entry_next_broken(const struct entry_verdict *v, unsigned from);

// What became of an attempt, as the processor showed it.
enum entry_end {
    ENTRY_ENTERED, // the guest was entered: any VM exit without the bit for a failed entry
    ENTRY_VMFAIL_INVALID,
    ENTRY_VMFAIL_VALID, // `number` is the VM-instruction error
    ENTRY_FAILED,       // `number` is the basic exit reason
};
struct entry_outcome {
    enum entry_end end;
    uint32_t number;
    uint64_t qualification; // of ENTRY_FAILED
};
// Is the outcome one that the verdict allows? "Not judged" allows all.
bool entry_agrees(const struct entry_verdict *v, struct entry_outcome got);

// Adds a sentence about a broken rule: id, what it demands, the fields with their values, kind and section.
void entry_explain(struct text *t, enum entry_rule rule, const struct vmcs_image *im);
