// Single instructions as functions. Those that can fault have a twin try_*() in exception.h.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "guests/lib/hypercall.h"

struct cpuid {
    uint32_t eax, ebx, ecx, edx;
};

// Guests that are built with the tables of sdm/ have the bits of registers from there.
#ifdef GUEST_WITH_SDM
#include "sdm/bits.h"
enum { RFLAGS_FIXED = RFLAGS_FIXED1 };
#else
enum {
    CR0_PE = 1 << 0,
    CR0_MP = 1 << 1,
    CR0_EM = 1 << 2,
    CR0_TS = 1 << 3,
    CR0_ET = 1 << 4,
    CR0_NE = 1 << 5,
    CR0_WP = 1 << 16,
    CR0_AM = 1 << 18,
    CR0_NW = 1 << 29,
    CR0_CD = 1 << 30,
};
#define CR0_PG 0x80000000u
enum {
    CR4_VME = 1 << 0,
    CR4_TSD = 1 << 2,
    CR4_DE = 1 << 3,
    CR4_PAE = 1 << 5,
    CR4_OSFXSR = 1 << 9,
    CR4_OSXMMEXCPT = 1 << 10,
    CR4_VMXE = 1 << 13,
    CR4_SMXE = 1 << 14,
    CR4_OSXSAVE = 1 << 18,
};
enum {
    RFLAGS_FIXED = 1 << 1,
    RFLAGS_TF = 1 << 8,
    RFLAGS_IF = 1 << 9,
    RFLAGS_DF = 1 << 10,
};
enum { EFER_SCE = 1 << 0, EFER_LME = 1 << 8, EFER_LMA = 1 << 10, EFER_NXE = 1 << 11 };
enum { XCR0_X87 = 1, XCR0_SSE = 2, XCR0_AVX = 4 };
#endif

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid r;
    __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
    return r;
}
static inline uint64_t rdtsc(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}
static inline uint64_t rdmsr(uint32_t index)
{
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index) : "memory");
    return (uint64_t)high << 32 | low;
}
static inline void wrmsr(uint32_t index, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}
static inline uint64_t xgetbv(uint32_t index)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(index));
    return (uint64_t)high << 32 | low;
}
static inline void xsetbv(uint32_t index, uint64_t value)
{
    __asm__ volatile("xsetbv" : : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

#define CONTROL_REGISTER(name)                                          \
    static inline word_t read_##name(void)                              \
    {                                                                   \
        word_t v;                                                       \
        __asm__ volatile("mov %%" #name ", %0" : "=r"(v) : : "memory"); \
        return v;                                                       \
    }                                                                   \
    static inline void write_##name(word_t v)                           \
    {                                                                   \
        __asm__ volatile("mov %0, %%" #name : : "r"(v) : "memory");     \
    }
CONTROL_REGISTER(cr0)
CONTROL_REGISTER(cr2)
CONTROL_REGISTER(cr3)
CONTROL_REGISTER(cr4)
CONTROL_REGISTER(dr0)
CONTROL_REGISTER(dr1)
CONTROL_REGISTER(dr2)
CONTROL_REGISTER(dr3)
CONTROL_REGISTER(dr6)
CONTROL_REGISTER(dr7)
#undef CONTROL_REGISTER

#define SEGMENT_REGISTER(name)                              \
    static inline uint16_t read_##name(void)                \
    {                                                       \
        uint16_t v;                                         \
        __asm__ volatile("mov %%" #name ", %0" : "=rm"(v)); \
        return v;                                           \
    }
SEGMENT_REGISTER(cs)
SEGMENT_REGISTER(ss)
SEGMENT_REGISTER(ds)
SEGMENT_REGISTER(es)
SEGMENT_REGISTER(fs)
SEGMENT_REGISTER(gs)
#undef SEGMENT_REGISTER

#define PORT_ACCESS(suffix, type)                                                    \
    static inline type in##suffix(uint16_t port)                                     \
    {                                                                                \
        type v;                                                                      \
        __asm__ volatile("in" #suffix " %1, %0" : "=a"(v) : "Nd"(port) : "memory");  \
        return v;                                                                    \
    }                                                                                \
    static inline void out##suffix(uint16_t port, type v)                            \
    {                                                                                \
        __asm__ volatile("out" #suffix " %0, %1" : : "a"(v), "Nd"(port) : "memory"); \
    }
PORT_ACCESS(b, uint8_t)
PORT_ACCESS(w, uint16_t)
PORT_ACCESS(l, uint32_t)
#undef PORT_ACCESS

// n / d for 64 by 32 bits, without the compiler's runtime library in 32-bit code.
static inline uint64_t divide(uint64_t n, uint32_t d)
{
#ifdef __x86_64__
    return n / d;
#else
    uint32_t high = (uint32_t)(n >> 32) / d, rest = (uint32_t)(n >> 32) % d, low;
    __asm__("divl %3" : "=a"(low), "+d"(rest) : "a"((uint32_t)n), "rm"(d) : "cc");
    return (uint64_t)high << 32 | low;
#endif
}
