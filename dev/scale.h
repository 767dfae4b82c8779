// Scaling between clocks without drift or overflow. Each use scales an absolute count, so that rounding never
// adds up. Pure.
#pragma once
#include "arch/types.h"

// a x b / c, rounded down, by way of a 128-bit product. The quotient must fit in 64 bits, as it does whenever
// b < c; the processor raises #DE otherwise.
static inline uint64_t scale(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t low, high, quotient, rest;
    __asm__("mulq %3" : "=a"(low), "=d"(high) : "a"(a), "r"(b) : "cc");
    __asm__("divq %4" : "=a"(quotient), "=d"(rest) : "a"(low), "d"(high), "r"(c) : "cc");
    return quotient;
}
