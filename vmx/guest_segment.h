// Segmentation of a guest's memory operands: from segment and offset to a linear address, with the checks
// that its processor makes (SDM, "Limit Checking", "Type Checking", "Canonical Addressing"). For the few
// instructions that are emulated with a memory operand. Pure.
#pragma once
#include "arch/types.h"
#include "mm/space.h"

struct guest_segment {
    uint64_t base;
    uint32_t limit, rights; // as in the VMCS
    bool keeps_base;        // FS or GS: its base counts in 64-bit mode too
};

// The linear address of `size` bytes at `offset`; `access` is ACCESS_READ or ACCESS_WRITE. False: #GP(0), or
// #SS(0) for SS.
bool guest_linear(const struct guest_segment *s, bool in_64bit_mode, uint64_t offset, unsigned size,
                  enum access access, uint64_t *linear);
