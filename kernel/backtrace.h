// Walks a chain of frame pointers that may be damaged: it reads only inside the one stack that the chain
// starts in, goes only upwards, and stops at the first thing that does not look like a frame. Pure.
#pragma once
#include "arch/types.h"

enum { BACKTRACE_MAX = 32 };

struct stack_bounds {
    uint64_t low, high; // [low, high): mapped; empty when the address is on no stack
};

// The stack of the processor's slot at `slot` (arch/pcpu.h) that holds `address`.
struct stack_bounds backtrace_stack(uint64_t slot, uint64_t address);

// Return addresses from frame pointer `rbp` on, the innermost first. Returns how many of BACKTRACE_MAX.
size_t backtrace_walk(uint64_t rbp, struct stack_bounds stack, uint64_t addresses[BACKTRACE_MAX]);
