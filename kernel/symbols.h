// The table of function names that backtraces print from: generated from the linked image by
// tools/symbols.py, section .symbols, which the linker script puts where filling it moves nothing.
#pragma once
#include "arch/types.h"

extern const uint32_t symbol_count;     // 0 in the first of the two links
extern const uint32_t symbol_offsets[]; // [symbol_count], ascending, bytes from IMAGE_BASE
extern const char symbol_names[];       // symbol_count names, each ended by a zero byte

// The function that holds `address`, and how far into it `address` is (bytes). NULL: none does. Any context.
const char *symbol_find(uint64_t address, uint64_t *offset);
