// The state in which a vCPU enters its machine for the first time, as loaders describe it: no VMX in it.
#pragma once
#include "arch/types.h"

enum gpr { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15, GPR_COUNT };

enum start_mode {
    START_REAL,   // real mode: CS base `code_base`, selector from its bits 19:4; rip is IP
    START_FLAT32, // protected mode, paging off, flat 4-GiB segments: CS 10H, data 18H
    START_LONG,   // 64-bit mode, paging by cr3: CS 10H, data 18H
};

struct guest_start {
    enum start_mode mode;
    uint64_t rip;
    uint64_t code_base;      // START_REAL only
    uint64_t cr3;            // START_LONG only, gpa of the PML4
    gpa_t gdt;               // three 8-byte descriptors behind the null one's place; see kernel/loader.h
    uint16_t gdt_limit;      // bytes - 1; 0: no table (the segment registers are loaded all the same)
    uint64_t gpr[GPR_COUNT]; // [RSP] too
};
