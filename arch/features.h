// What the physical processor offers, read once at start-up from CPUID. VMX capabilities are vmx/'s.
#pragma once
#include "arch/types.h"
#include "sdm/cpuid.h"

struct features {
    char vendor[13];     // "GenuineIntel"
    char brand[49];      // "" if the processor tells none
    char hypervisor[13]; // who answers CPUID 40000000H below us; "" on bare hardware
    uint32_t max_leaf, max_extended_leaf;
    uint32_t signature; // CPUID.1:EAX
    uint32_t family, model, stepping;
    uint32_t physical_bits; // MAXPHYADDR
    uint32_t linear_bits;
    uint32_t xsave_size; // bytes for every state component that XCR0 can enable; 0 without XSAVE
    uint64_t xcr0_supported, xss_supported;
    bool intel;
    bool has[FEATURE_COUNT];
};

extern struct features features; // of the boot processor

static inline bool cpu_has(enum cpuid_feature f)
{
    return features.has[f];
}

void features_read(struct features *f); // of this processor
// What about `f` differs from the boot processor in a way that matters, or NULL.
const char *features_differ(const struct features *f);

// Control bits that the hypervisor itself wants on this processor: FXSAVE, XSAVE and machine checks where
// present. (What guards the page tables is paging_load's.)
void features_enable(void);
