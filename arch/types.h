// Words of the field as types: an address or a number that carries its unit, so that passing one for
// another does not compile (tests/compile-fail shows it). Pure: builds for the kernel and the host.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PAGE_SHIFT = 12, PAGE_SIZE = 1 << PAGE_SHIFT };

// clang-format off
typedef struct { uint64_t v; } hpa_t; // host-physical address, bytes
typedef struct { uint64_t v; } gpa_t; // guest-physical address, bytes
typedef struct { uint64_t v; } pfn_t; // host page frame number (hpa >> 12)
typedef struct { uint64_t v; } gfn_t; // guest page frame number (gpa >> 12)
typedef struct { uint64_t v; } tsc_t; // time-stamp counter value or span, TSC ticks

static inline hpa_t hpa(uint64_t v) { return (hpa_t){v}; }
static inline gpa_t gpa(uint64_t v) { return (gpa_t){v}; }
static inline pfn_t pfn(uint64_t v) { return (pfn_t){v}; }
static inline gfn_t gfn(uint64_t v) { return (gfn_t){v}; }
static inline tsc_t tsc(uint64_t v) { return (tsc_t){v}; }

static inline hpa_t pfn_to_hpa(pfn_t f) { return hpa(f.v << PAGE_SHIFT); }
static inline pfn_t hpa_to_pfn(hpa_t a) { return pfn(a.v >> PAGE_SHIFT); }
static inline gpa_t gfn_to_gpa(gfn_t f) { return gpa(f.v << PAGE_SHIFT); }
static inline gfn_t gpa_to_gfn(gpa_t a) { return gfn(a.v >> PAGE_SHIFT); }

static const pfn_t PFN_NONE = {~0ull}; // "no frame": what an allocation that failed returns
static inline bool pfn_is_none(pfn_t f) { return f.v == PFN_NONE.v; }

#define array_size(a)                 (sizeof(a) / sizeof((a)[0]))
#define container_of(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))
#define noinline_cold                 __attribute__((noinline, cold))
#define inline_always                 inline __attribute__((always_inline))
#define seldom                        __attribute__((cold)) // small rather than fast
#define printf_like(fmt, args)        __attribute__((format(printf, fmt, args)))
#define likely(x)                     __builtin_expect(!!(x), 1)
#define unlikely(x)                   __builtin_expect(!!(x), 0)

static inline uint64_t align_up(uint64_t v, uint64_t to) { return (v + to - 1) & ~(to - 1); }
static inline uint64_t align_down(uint64_t v, uint64_t to) { return v & ~(to - 1); }
static inline uint64_t min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t max_u64(uint64_t a, uint64_t b) { return a > b ? a : b; }
static inline uint64_t log2_floor(uint64_t v) { return 63 - (uint64_t)__builtin_clzll(v); } // v > 0
// clang-format on
