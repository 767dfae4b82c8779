// Hypercalls as C functions: the register conventions of abi/micronova.h in one place.
#pragma once
#include "abi/micronova.h"

typedef intptr_t sword_t; // a signed machine word: what a hypercall returns
typedef uintptr_t word_t;

// One VMCALL with five arguments. Below zero: an enum error, negated.
static inline sword_t hypercall(word_t number, word_t a, word_t b, word_t c, word_t d, word_t e)
{
#ifdef __x86_64__
    register word_t r10 __asm__("r10") = d;
    register word_t r8 __asm__("r8") = e;
    __asm__ volatile("vmcall" : "+a"(number) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "memory");
#else
    __asm__ volatile("vmcall" : "+a"(number) : "b"(a), "c"(b), "d"(c), "S"(d), "D"(e) : "memory");
#endif
    return (sword_t)number;
}

static inline sword_t hypercall0(enum hypercall number)
{
    return hypercall(number, 0, 0, 0, 0, 0);
}
static inline sword_t hypercall1(enum hypercall number, word_t a)
{
    return hypercall(number, a, 0, 0, 0, 0);
}
static inline sword_t hypercall2(enum hypercall number, word_t a, word_t b)
{
    return hypercall(number, a, b, 0, 0, 0);
}
static inline void yield(void)
{
    hypercall0(HC_YIELD);
}

// Ends the machine; 0 is success.
_Noreturn void guest_exit(word_t code);
