// Instructions that C does not know, one inline function each. Nothing here decides anything.
#pragma once
#include "arch/types.h"

struct cpuid {
    uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid r;
    __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
    return r;
}

static inline uint64_t rdmsr(uint32_t msr)
{
    uint64_t lo, hi; // upper halves are cleared, by RDTSC too
    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
    return hi << 32 | lo;
}
static inline void wrmsr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}
// False, and nothing read or written, when the instruction faults (arch/exception.c, fix-up table).
bool rdmsr_safe(uint32_t msr, uint64_t *value);
bool wrmsr_safe(uint32_t msr, uint64_t value);

static inline tsc_t rdtsc(void)
{
    uint64_t lo, hi;
    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return tsc(hi << 32 | lo);
}

static inline uint32_t rdtsc_low(void)
{
    uint32_t lo;
    __asm__ volatile("rdtsc" : "=a"(lo)::"edx");
    return lo;
}

static inline uint8_t in8(uint16_t port)
{
    uint8_t v;
    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}
static inline uint16_t in16(uint16_t port)
{
    uint16_t v;
    __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}
static inline uint32_t in32(uint16_t port)
{
    uint32_t v;
    __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}
static inline void out8(uint16_t port, uint8_t v)
{
    __asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(port));
}
static inline void out16(uint16_t port, uint16_t v)
{
    __asm__ volatile("outw %0, %1" ::"a"(v), "Nd"(port));
}

#define DEFINE_CONTROL_REGISTER(n)                               \
    static inline uint64_t read_cr##n(void)                      \
    {                                                            \
        uint64_t v;                                              \
        __asm__ volatile("mov %%cr" #n ", %0" : "=r"(v));        \
        return v;                                                \
    }                                                            \
    static inline void write_cr##n(uint64_t v)                   \
    {                                                            \
        __asm__ volatile("mov %0, %%cr" #n ::"r"(v) : "memory"); \
    }
DEFINE_CONTROL_REGISTER(0)
DEFINE_CONTROL_REGISTER(2)
DEFINE_CONTROL_REGISTER(3)
DEFINE_CONTROL_REGISTER(4)

#define DEFINE_DEBUG_REGISTER(n)                          \
    static inline uint64_t read_dr##n(void)               \
    {                                                     \
        uint64_t v;                                       \
        __asm__ volatile("mov %%dr" #n ", %0" : "=r"(v)); \
        return v;                                         \
    }                                                     \
    static inline void write_dr##n(uint64_t v)            \
    {                                                     \
        __asm__ volatile("mov %0, %%dr" #n ::"r"(v));     \
    }
DEFINE_DEBUG_REGISTER(0)
DEFINE_DEBUG_REGISTER(1)
DEFINE_DEBUG_REGISTER(2)
DEFINE_DEBUG_REGISTER(3)
DEFINE_DEBUG_REGISTER(6)
DEFINE_DEBUG_REGISTER(7)

static inline void xsetbv(uint32_t index, uint64_t value)
{
    __asm__ volatile("xsetbv" ::"c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}
// `area` is 64-byte aligned; `mask` picks the state components of XCR0.
static inline void xsave(void *area, uint64_t mask)
{
    __asm__ volatile("xsave64 (%0)" ::"r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32)) : "memory");
}
static inline void xsaveopt(void *area, uint64_t mask)
{
    __asm__ volatile("xsaveopt64 (%0)" ::"r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
                     : "memory");
}
static inline void xrstor(const void *area, uint64_t mask)
{
    __asm__ volatile("xrstor64 (%0)" ::"r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
                     : "memory");
}
static inline void fxsave(void *area)
{
    __asm__ volatile("fxsave64 (%0)" ::"r"(area) : "memory");
}
static inline void fxrstor(const void *area)
{
    __asm__ volatile("fxrstor64 (%0)" ::"r"(area) : "memory");
}
static inline uint32_t read_mxcsr(void)
{
    uint32_t v;
    __asm__ volatile("stmxcsr %0" : "=m"(v));
    return v;
}

struct table_pointer { // operand of LGDT, LIDT, SGDT, SIDT
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

static inline void lgdt(const struct table_pointer *p)
{
    __asm__ volatile("lgdt %0" ::"m"(*p) : "memory");
}
static inline void lidt(const struct table_pointer *p)
{
    __asm__ volatile("lidt %0" ::"m"(*p) : "memory");
}
static inline void ltr(uint16_t selector)
{
    __asm__ volatile("ltr %0" ::"r"(selector) : "memory");
}
static inline void cli(void)
{
    __asm__ volatile("cli" ::: "memory");
}
// Interrupts on, sleep, interrupts off. STI takes effect behind HLT, so that one that is already pending
// cannot slip in between and leave the processor asleep (SDM, "STI - Set Interrupt Flag").
static inline void wait_for_interrupt(void)
{
    __asm__ volatile("sti; hlt; cli" ::: "memory");
}
// IRET to the next instruction: NMIs are no longer blocked.
static inline void iret_here(void)
{
    uint64_t saved;
    __asm__ volatile(
        "mov %%rsp, %0; mov %%ss, %%ecx; push %%rcx; push %0; pushfq; mov %%cs, %%ecx; push %%rcx;"
        "lea 1f(%%rip), %%rcx; push %%rcx; iretq; 1:"
        : "=&r"(saved)
        :
        : "rcx", "memory", "cc");
}
// Interrupts on for one instruction: whatever is pending is taken now.
static inline void take_interrupts(void)
{
    __asm__ volatile("sti; nop; cli" ::: "memory");
}
static inline void cpu_pause(void)
{
    __builtin_ia32_pause();
}
static inline _Noreturn void cpu_stop(void)
{
    for (;;)
        __asm__ volatile("cli; hlt" ::: "memory");
}
// Goes on in `next`, which does not return, on the empty stack that ends at `top`.
static inline _Noreturn void stack_enter(uint64_t top, void (*next)(void))
{
    __asm__ volatile("mov %0, %%rsp; xor %%ebp, %%ebp; call *%1; ud2" ::"r"(top), "r"(next) : "memory");
    __builtin_unreachable();
}
