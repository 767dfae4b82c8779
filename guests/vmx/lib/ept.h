// Accesses through the window of an EPT of the test's own (guests/vmx/lib/vmx.h): what a bucket about EPT is made of.
#pragma once
#include "guests/vmx/lib/vmx.h"

enum { EPT_OFFSET = 0x800, EPT_PAGE = 4096 };
#define EPT_VALUE 0x1122334455667788
// Bits of the qualification (SDM, "Exit Qualification for EPT Violations"), and those that every processor tells.
enum { Q_READ = 1, Q_WRITE = 2, Q_FETCH = 4, Q_ALLOWED = 3, Q_LINEAR = 1 << 7, Q_FINAL = 1 << 8 };
enum { Q_NMI_UNBLOCKING = 1 << 12 };
enum { Q_DEFINED = 0x3f | Q_LINEAR | Q_FINAL | Q_NMI_UNBLOCKING };

enum { EPT_TO_READ, EPT_TO_WRITE, EPT_TO_FETCH, EPT_ACCESSES };
extern const struct ept_access {
    const char *name, *code; // the code accesses what RBX leads to
    unsigned bit;            // of the qualification; the right of an entry is the same
} ept_accesses[EPT_ACCESSES];

extern uint64_t ept_pointer; // EPTP
extern uint8_t *ept_target;  // a page: VMCALL in its middle, at EPT_OFFSET
// Makes EPT and target. Once, before anything else here.
void ept_begin(void);
// A valid 64-bit guest in which `code` accesses the window at `offset` from its beginning, and RAX is EPT_VALUE.
void ept_describe(const char *code, uint64_t offset);

// Bits from the physical-address width up to 51.
static inline uint64_t ept_beyond_width(void)
{
    return ((1ull << 52) - 1) & ~((1ull << processor.physical_width) - 1);
}
// Whether the processor has EPT pages of that level: 1 (4 KBytes), 2 (2 MBytes), 3 (1 GByte).
bool ept_size_there(unsigned level);
uint64_t ept_size_mask(unsigned level); // bits of an address within such a page
// The same as ept_describe(), at EPT_OFFSET in the target, which a page of this level maps; `bits` of its entry.
void ept_describe_size(unsigned level, const char *code, uint64_t bits);
// Behind another ept_use(): what the last ept_describe_size() of that level aimed at, once more.
void ept_aim(unsigned level);

// The window's page is a page directory of the entered code, through which it reads; *ept_walk_entry is the entry,
// whose accessed flag is set or not.
extern uint64_t *ept_walk_entry;
void ept_describe_walk(bool accessed);

// Enters; one point about exit reason and qualification.
bool expect_violation(const char *name, uint64_t qualification);
