// The table of function names that backtraces print from: generated from the linked image by
// tools/symbols.py, section .symbols, which the linker script puts where filling it moves nothing.
#pragma once
#include <stdbool.h>
#include "arch/types.h"

extern const uint32_t symbol_count;   // 0 in the first of the two links
extern const uint64_t symbol_base;    // where the first function begins
extern const uint16_t symbol_sizes[]; // [symbol_count], bytes from each function's begin to the next one's
extern const uint8_t symbol_pairs[256][2]; // a byte of the names stands for {itself} or for two such bytes
extern const uint8_t symbol_names[];       // symbol_count names in that writing, each ended by a zero byte

struct symbol {
    char name[48]; // cut if it is longer
    uint64_t offset;
};

// Finds the function that holds `address`, and how far into it `address` is (bytes). false: none does, and it is "?" from
// 0 on. Any context.
bool symbol_find(uint64_t address, struct symbol *symbol);
