// Scaling between clocks without drift or overflow, where each use scales an absolute count, so that rounding never
// adds up; and numbers of up to four decimal digits, four bits each. Pure.
#pragma once
#include "arch/types.h"

static inline uint32_t from_bcd(uint32_t v)
{
    return (v & 15) + 10 * (v >> 4 & 15) + 100 * (v >> 8 & 15) + 1000 * (v >> 12 & 15);
}

static inline uint32_t to_bcd(uint32_t v)
{
    return v % 10 | v / 10 % 10 << 4 | v / 100 % 10 << 8 | v / 1000 % 10 << 12;
}

// a x b / c, rounded down, by way of a 128-bit product. The quotient must fit in 64 bits, as it does whenever
// b < c; the processor raises #DE otherwise.
static inline uint64_t scale(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t low, high, quotient, rest;
    __asm__("mulq %3" : "=a"(low), "=d"(high) : "a"(a), "r"(b) : "cc");
    __asm__("divq %4" : "=a"(quotient), "=d"(rest) : "a"(low), "d"(high), "r"(c) : "cc");
    return quotient;
}
