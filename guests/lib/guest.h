// What a test guest includes: everything in guests/lib. A guest is one function,
//     int main(const struct start_info *start);
// whose return value is the machine's exit code. docs/abi.md shows one.
#pragma once
#include "guests/lib/cpu.h"
#include "guests/lib/exception.h"
#include "guests/lib/hypercall.h"
#include "guests/lib/print.h"
#include "guests/lib/string.h"
#include "guests/lib/tap.h"

#define array_size(a) (sizeof(a) / sizeof((a)[0]))

// The registers as _start found them, before anything else ran.
struct entry_state {
    word_t ax, cx, dx, bx, sp, bp, si, di;
#ifdef __x86_64__
    word_t r8, r9, r10, r11, r12, r13, r14, r15;
#endif
    word_t flags;
    uint32_t tsc_low, tsc_high; // a few instructions after the first
};
extern const struct entry_state entry_state;

extern char image_start[], image_end[]; // what the file occupies, and the stack

int main(const struct start_info *start);

static inline const char *command_line(const struct start_info *start)
{
    return (const char *)(word_t)start->cmdline;
}

// Whether [at, at + bytes) overlaps anything the loader put into memory: start area, image, cmdline, initrd.
bool loader_owns(const struct start_info *start, word_t at, size_t bytes);
