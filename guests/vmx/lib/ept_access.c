// Accesses through the window of an EPT.
#include "guests/vmx/lib/ept.h"

CODE(ept_code_read, "mov (%rbx), %rax");
CODE(ept_code_write, "mov %rax, (%rbx)");
CODE(ept_code_fetch, "jmp *%rbx");

const struct ept_access ept_accesses[EPT_ACCESSES] = {
    [EPT_TO_READ] = {"read",  ept_code_read,  Q_READ },
    [EPT_TO_WRITE] = {"write", ept_code_write, Q_WRITE},
    [EPT_TO_FETCH] = {"fetch", ept_code_fetch, Q_FETCH},
};

uint64_t ept_pointer;
uint8_t *ept_target;
uint64_t *ept_walk_entry;

void ept_begin(void)
{
    ept_target = page_take();
    ept_walk_entry = page_take();
    ept_pointer = ept_build();
}

void ept_describe(const char *code, uint64_t offset)
{
    memcpy(ept_target + EPT_OFFSET, "\x0f\x01\xc1", 3);
    vm_reset();
    vm_mode(MODE_LONG);
    ept_use(ept_pointer);
    vm_run(code);
    vm_gpr[3] = EPT_WINDOW + offset;
    vm_gpr[0] = EPT_VALUE;
}

// ---- Page sizes: a large page's base is what its size leaves of the target's address ----

bool ept_size_there(unsigned level)
{
    uint64_t caps = processor.caps.ept_vpid;
    return level == 1 || (level == 2 && caps & EPT_CAP_PAGE_2M) || (level == 3 && caps & EPT_CAP_PAGE_1G);
}

uint64_t ept_size_mask(unsigned level)
{
    return (1ull << (12 + 9 * (level - 1))) - 1;
}

// Returns the offset of the target from the linear window's beginning.
static uint64_t map_size(unsigned level, uint64_t bits)
{
    enum { LARGE = 1 << 7 };
    uint64_t at = physical(ept_target);
    ept_window_map(ept_target);
    *ept_window[level] = (at & ~ept_size_mask(level)) | (level > 1 ? LARGE : 0) | bits;
    return level == 1 ? 0 : at & ept_size_mask(2);
}

// The linear window leads to that part of a page of 1 GByte in which the target is.
void ept_aim(unsigned level)
{
    uint64_t inside = physical(ept_target) & ept_size_mask(level) & ~ept_size_mask(2);
    if (level == 3)
        subject_pages[2][EPT_WINDOW >> 21] += inside;
}

void ept_describe_size(unsigned level, const char *code, uint64_t bits)
{
    uint64_t at = map_size(level, bits);
    ept_describe(code, at + EPT_OFFSET);
    ept_aim(level);
}

// ---- Walks ----

// What is translated through the page directory in the window begins at 1 GByte of linear addresses.
void ept_describe_walk(bool accessed)
{
    enum { OPEN = 7, ACCESSED = 1 << 5, DIRTY = 1 << 6, LARGE = 1 << 7 };
    memset(ept_walk_entry, 0, EPT_PAGE);
    ept_window_map(ept_walk_entry);
    *ept_walk_entry = LARGE | OPEN | DIRTY | (accessed ? ACCESSED : 0); // 2 MBytes at 0
    ept_describe(ept_code_read, 0);
    subject_pages[1][1] = ept_window_gpa | OPEN | ACCESSED;
    vm_gpr[3] = (1ull << 30) + (word_t)ept_target;
}

// ---- Points ----

bool expect_violation(const char *name, uint64_t qualification)
{
    if (stepped_over(name))
        return true;
    const char *why = vm_enter();
    bool ok = !why && result.outcome == PROBE_ENTERED && result.reason == REASON_EPT_VIOLATION;
    return expect_true(name, ok && (result.qualification & Q_DEFINED) == qualification,
                       "expected an EPT violation, qualification %#llx\ngot %s",
                       (unsigned long long)qualification, why ? why : result_words());
}
