// What the entry-* buckets share: the entry doctor (sdm/entry_rules.h) says what the SDM makes of a VMCS, the
// processor shows what it makes of it, and the two must agree.
#pragma once
#include "guests/vmx/lib/vmx.h"
#include "sdm/entry_cases.h"

// Makes `vm` a valid state of a guest in `mode` (sdm/entry_cases.h), with the probe's host state and the controls that
// end every run. False: the processor has no such mode; then nothing may be entered.
bool valid_state(enum entry_mode mode);
extern const char *const mode_names[MODE_COUNT]; // "real" ...

// Zeroed pages that follow one another: addresses in `vm` may name them, and the facts of `vm` (sdm/vmcs_image.h) are
// put where it points to. The last one is a list of MSRs (ENTRY_CASE_MSR_PAGE).
extern uint64_t entry_pages; // physical address

// One point: enters, and what comes must be what the doctor says of `vm`. Where the manual leaves it open there is
// nothing to be tried, and the point is a SKIP.
bool expect_judged(const char *name);
// The same where `rule` is broken on purpose, or RULE_COUNT and nothing is: should the doctor find otherwise, the
// processor has more or less than the row takes for granted, and the point is a SKIP.
bool expect_broken(const char *name, enum entry_rule rule);

// "# try NAME" leaves before each attempt: for rows that may be the last thing a box does.
extern bool entry_dangerous;

// The parts of a point, for who has points of his own. Asks the doctor about `vm`, less the bits that VMWRITE drops.
void entry_look(struct entry_verdict *v);
// Makes `vm`, of which the doctor says `v`, one that harms nobody if
// the processor does not agree: without EPT CR3 leads to a page of its own, and what is to be refused for its controls
// has an activity state that does not exist.
void entry_make_safe(const struct entry_verdict *v);
void entry_put_facts(void); // puts the facts of `vm` where it points to
struct entry_outcome entry_got(void);
void entry_expected(char *buf, size_t size, const struct entry_verdict *v);

// All cases of the rules from `first` to before `end`: points RULE[-N] and, where it is not just a valid state,
// RULE[-N]-good.
void entry_cases(enum entry_rule first, enum entry_rule end);
// The good neighbour of all that change one field of a valid state: a point for each mode.
void entry_modes_enter(void);

// One field, bit by bit: a point "NAME-bit-B" for each bit that differs from the valid state, and for nothing else.
struct sweep {
    const char *name;
    uint32_t field;
    uint8_t section;       // enum entry_section
    uint8_t mode;          // enum entry_mode
    uint64_t bits;         // which; EVERY_BIT: as many as the field has
    void (*prepare)(void); // on top of the valid state; NULL: nothing
};
#define EVERY_BIT  (~0ull)
#define HIGH_EDGES (1ull << 32 | 1ull << 47 | 1ull << 48 | 1ull << 63)
#define EDGES_64   (HIGH_EDGES | 0xffffffff) // of a field whose upper half has one meaning
void entry_sweep(const struct sweep *s);
#define entry_sweeps(table)                             \
    for (unsigned i_ = 0; i_ < array_size(table); i_++) \
    entry_sweep(&(table)[i_])

// Memory types as bytes of IA32_PAT have them, and what is none.
extern const uint8_t pat_types[12];

// Bits of an address that make it not canonical one by one, and those that no physical address has.
#define LINEAR_BITS   (~0ull << (processor.linear_width - 1))
#define PHYSICAL_BITS (~0ull << processor.physical_width)
