// Memory type range registers: read, compared between processors, and asked for the type of an address.
// SDM, "Memory Type Range Registers (MTRRs)". mtrr_type is pure.
#pragma once
#include "arch/types.h"

enum { MTRR_VARIABLE_MAX = 32, MTRR_FIXED = 11 };

struct mtrr_state {
    uint64_t capability, def_type; // 0 without MTRRs
    uint64_t base[MTRR_VARIABLE_MAX], mask[MTRR_VARIABLE_MAX];
    uint64_t fixed[MTRR_FIXED];
    uint32_t variable;
};

extern struct mtrr_state mtrrs; // of the boot processor

void mtrr_read(struct mtrr_state *m);
bool mtrr_equal(const struct mtrr_state *a, const struct mtrr_state *b);
// The type (MT_* of sdm/msr.h) of the byte at `at`, and in *run how many bytes from there have the same type
// for sure.
uint8_t mtrr_type(const struct mtrr_state *m, hpa_t at, uint64_t *run);
