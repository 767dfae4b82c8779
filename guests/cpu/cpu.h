// The cpu guest's groups of points. Each says how many points it delivers and delivers them.
#pragma once
#include "guests/lib/guest.h"

#define GROUPS(X) X(entry) X(leaves) X(msrs) X(control) X(xsave) X(instructions)

#define X(group)                   \
    unsigned group##_points(void); \
    void group##_test(void);
GROUPS(X)
#undef X

// A feature bit in CPUID.
struct feature {
    uint32_t leaf, subleaf;
    enum { EAX, EBX, ECX, EDX } reg;
    uint8_t bit;
};
bool feature_present(struct feature f);

#define FEATURE_XSAVE ((struct feature){1, 0, ECX, 26})
#define FEATURE_AVX   ((struct feature){1, 0, ECX, 28})
#define FEATURE_MTRR  ((struct feature){1, 0, EDX, 12})

static inline bool is_64bit(void)
{
    return sizeof(word_t) == 8;
}
