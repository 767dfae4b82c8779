// CPUID feature bits that Micronova tests or hides: SDM volume 2, "CPUID—CPU Identification".
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum cpuid_register { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };
struct cpuid_regs {
    uint32_t r[4]; // by enum cpuid_register
};

// clang-format off
// leaf, subleaf, register, bit, name
#define CPUID_FEATURES(X) \
    X(0x1, 0, ECX, 0,  SSE3) \
    X(0x1, 0, ECX, 1,  PCLMULQDQ) \
    X(0x1, 0, ECX, 2,  DTES64) \
    X(0x1, 0, ECX, 3,  MONITOR) \
    X(0x1, 0, ECX, 4,  DS_CPL) \
    X(0x1, 0, ECX, 5,  VMX) \
    X(0x1, 0, ECX, 6,  SMX) \
    X(0x1, 0, ECX, 7,  EIST) \
    X(0x1, 0, ECX, 8,  TM2) \
    X(0x1, 0, ECX, 11, SDBG) \
    X(0x1, 0, ECX, 13, CMPXCHG16B) \
    X(0x1, 0, ECX, 14, XTPR_UPDATE) \
    X(0x1, 0, ECX, 15, PDCM) \
    X(0x1, 0, ECX, 17, PCID) \
    X(0x1, 0, ECX, 18, DCA) \
    X(0x1, 0, ECX, 21, X2APIC) \
    X(0x1, 0, ECX, 24, TSC_DEADLINE) \
    X(0x1, 0, ECX, 26, XSAVE) \
    X(0x1, 0, ECX, 27, OSXSAVE) \
    X(0x1, 0, ECX, 28, AVX) \
    X(0x1, 0, ECX, 30, RDRAND) \
    X(0x1, 0, ECX, 31, HYPERVISOR) \
    X(0x1, 0, EDX, 0,  FPU) \
    X(0x1, 0, EDX, 2,  DE) \
    X(0x1, 0, EDX, 3,  PSE) \
    X(0x1, 0, EDX, 4,  TSC) \
    X(0x1, 0, EDX, 5,  MSR) \
    X(0x1, 0, EDX, 6,  PAE) \
    X(0x1, 0, EDX, 7,  MCE) \
    X(0x1, 0, EDX, 9,  APIC) \
    X(0x1, 0, EDX, 11, SEP) \
    X(0x1, 0, EDX, 12, MTRR) \
    X(0x1, 0, EDX, 13, PGE) \
    X(0x1, 0, EDX, 14, MCA) \
    X(0x1, 0, EDX, 16, PAT) \
    X(0x1, 0, EDX, 19, CLFSH) \
    X(0x1, 0, EDX, 21, DS) \
    X(0x1, 0, EDX, 22, ACPI) \
    X(0x1, 0, EDX, 24, FXSR) \
    X(0x1, 0, EDX, 25, SSE) \
    X(0x1, 0, EDX, 26, SSE2) \
    X(0x1, 0, EDX, 28, HTT) \
    X(0x1, 0, EDX, 29, TM) \
    X(0x1, 0, EDX, 31, PBE) \
    X(0x6, 0, EAX, 0,  DTS) \
    X(0x6, 0, EAX, 2,  ARAT) \
    X(0x6, 0, ECX, 0,  APERFMPERF) \
    X(0x7, 0, EBX, 0,  FSGSBASE) \
    X(0x7, 0, EBX, 1,  TSC_ADJUST) \
    X(0x7, 0, EBX, 2,  SGX) \
    X(0x7, 0, EBX, 4,  HLE) \
    X(0x7, 0, EBX, 7,  SMEP) \
    X(0x7, 0, EBX, 10, INVPCID) \
    X(0x7, 0, EBX, 11, RTM) \
    X(0x7, 0, EBX, 12, RDT_M) \
    X(0x7, 0, EBX, 14, MPX) \
    X(0x7, 0, EBX, 15, RDT_A) \
    X(0x7, 0, EBX, 18, RDSEED) \
    X(0x7, 0, EBX, 20, SMAP) \
    X(0x7, 0, EBX, 25, PT) \
    X(0x7, 0, ECX, 2,  UMIP) \
    X(0x7, 0, ECX, 3,  PKU) \
    X(0x7, 0, ECX, 4,  OSPKE) \
    X(0x7, 0, ECX, 5,  WAITPKG) \
    X(0x7, 0, ECX, 7,  CET_SS) \
    X(0x7, 0, ECX, 13, TME) \
    X(0x7, 0, ECX, 16, LA57) \
    X(0x7, 0, ECX, 22, RDPID) \
    X(0x7, 0, ECX, 23, KL) \
    X(0x7, 0, ECX, 24, BUS_LOCK_DETECT) \
    X(0x7, 0, ECX, 29, ENQCMD) \
    X(0x7, 0, ECX, 31, PKS) \
    X(0x7, 0, EDX, 5,  UINTR) \
    X(0x7, 0, EDX, 10, MD_CLEAR) \
    X(0x7, 0, EDX, 15, HYBRID) \
    X(0x7, 0, EDX, 18, PCONFIG) \
    X(0x7, 0, EDX, 19, ARCH_LBR) \
    X(0x7, 0, EDX, 20, CET_IBT) \
    X(0x7, 0, EDX, 26, IBRS_IBPB) \
    X(0x7, 0, EDX, 27, STIBP) \
    X(0x7, 0, EDX, 28, L1D_FLUSH) \
    X(0x7, 0, EDX, 29, ARCH_CAPABILITIES) \
    X(0x7, 0, EDX, 30, CORE_CAPABILITIES) \
    X(0x7, 0, EDX, 31, SSBD) \
    X(0x7, 1, EAX, 17, FRED) \
    X(0x7, 1, EAX, 26, LAM) \
    X(0xd, 1, EAX, 0,  XSAVEOPT) \
    X(0xd, 1, EAX, 1,  XSAVEC) \
    X(0xd, 1, EAX, 2,  XGETBV_ECX1) \
    X(0xd, 1, EAX, 3,  XSAVES) \
    X(0xd, 1, EAX, 4,  XFD) \
    X(0x80000001, 0, ECX, 0,  LAHF64) \
    X(0x80000001, 0, ECX, 2,  SVM) \
    X(0x80000001, 0, EDX, 11, SYSCALL) \
    X(0x80000001, 0, EDX, 20, NX) \
    X(0x80000001, 0, EDX, 26, PAGE1GB) \
    X(0x80000001, 0, EDX, 27, RDTSCP) \
    X(0x80000001, 0, EDX, 29, LM) \
    X(0x80000007, 0, EDX, 8,  INVARIANT_TSC)
// clang-format on

// FEATURE_VMX indexes cpuid_features; FEATURE_BIT_VMX is its bit as a mask of its register.
#define CPUID_TO_ENUM(leaf, subleaf, reg, bit, name) FEATURE_##name,
#define CPUID_TO_MASK(leaf, subleaf, reg, bit, name) FEATURE_BIT_##name = (int)(1u << (bit)),
enum cpuid_feature { CPUID_FEATURES(CPUID_TO_ENUM) FEATURE_COUNT };
enum cpuid_feature_bit { CPUID_FEATURES(CPUID_TO_MASK) };
#undef CPUID_TO_ENUM
#undef CPUID_TO_MASK

struct cpuid_feature_row {
    uint32_t leaf;
    uint8_t subleaf;
    uint8_t reg; // enum cpuid_register
    uint8_t bit;
};
extern const struct cpuid_feature_row cpuid_features[FEATURE_COUNT];
const char *cpuid_feature_name(enum cpuid_feature f); // "XSAVE"

// Is the feature's bit set in what CPUID gave for the feature's own leaf and subleaf?
static inline bool cpuid_feature_in(enum cpuid_feature f, const struct cpuid_regs *leaf)
{
    return leaf->r[cpuid_features[f].reg] >> cpuid_features[f].bit & 1;
}
