// MSRs: those a guest owns hold what it writes, those it may read can be read, all others fault.
#include "guests/cpu/cpu.h"

enum {
    MSR_TSC = 0x10,
    MSR_APIC_BASE = 0x1b,
    MSR_FEATURE_CONTROL = 0x3a,
    MSR_SYSENTER_CS = 0x174,
    MSR_SYSENTER_ESP = 0x175,
    MSR_SYSENTER_EIP = 0x176,
    MSR_MISC_ENABLE = 0x1a0,
    MSR_PAT = 0x277,
    MSR_MTRRCAP = 0xfe,
    MSR_MTRR_DEF_TYPE = 0x2ff,
    MSR_EFER = (int)0xc0000080,
};

#define PAT_AT_RESET  0x0007040600070406
#define PAT_OTHER     0x0605040100070406
#define PAT_BAD       0x0607040600070402 // 2 is no memory type
#define CANONICAL     0xffffaaaa5555a5a0
#define NOT_CANONICAL 0x0000900000000000

// Held back and forth: written with `value`, read, restored.
static const struct {
    const char *name;
    uint32_t index;
    uint64_t value;
} owned[] = {
    {"msr-sysenter-cs",    MSR_SYSENTER_CS,  0x10              },
    {"msr-sysenter-esp",   MSR_SYSENTER_ESP, CANONICAL         },
    {"msr-sysenter-eip",   MSR_SYSENTER_EIP, CANONICAL         },
    {"msr-pat",            MSR_PAT,          PAT_OTHER         },
    {"msr-star",           0xc0000081,       0x0018001012345678},
    {"msr-lstar",          0xc0000082,       CANONICAL         },
    {"msr-cstar",          0xc0000083,       CANONICAL         },
    {"msr-fmask",          0xc0000084,       0x00047700        },
    {"msr-fs-base",        0xc0000100,       CANONICAL         },
    {"msr-gs-base",        0xc0000101,       CANONICAL         },
    {"msr-kernel-gs-base", 0xc0000102,       CANONICAL         },
};

// What must fault with #GP(0).
static const struct {
    const char *name;
    uint32_t index;
    bool write;
    uint64_t value;
} refused[] = {
    {"rdmsr-unknown",                    0x1234,              false, 0            },
    {"wrmsr-unknown",                    0x1234,              true,  0            },
    {"rdmsr-unknown-high",               0xc0001fff,          false, 0            },
    {"rdmsr-beyond",                     0xffffffff,          false, 0            },
    {"wrmsr-beyond",                     0xffffffff,          true,  0            },
    {"rdmsr-amd",                        0xc0010015,          false, 0            },
    {"rdmsr-vmx-basic",                  0x480,               false, 0            },
    {"wrmsr-feature-control",            MSR_FEATURE_CONTROL, true,  5            },
    {"wrmsr-mtrrcap",                    MSR_MTRRCAP,         true,  0            },
    {"wrmsr-pat-bad-type",               MSR_PAT,             true,  PAT_BAD      },
    {"wrmsr-efer-reserved",              (uint32_t)MSR_EFER,  true,  1ull << 40   },
    {"wrmsr-lstar-not-canonical",        0xc0000082,          true,  NOT_CANONICAL},
    {"wrmsr-kernel-gs-not-canonical",    0xc0000102,          true,  NOT_CANONICAL},
    {"wrmsr-fs-not-canonical",           0xc0000100,          true,  NOT_CANONICAL},
    {"wrmsr-sysenter-eip-not-canonical", MSR_SYSENTER_EIP,    true,  NOT_CANONICAL},
};

enum { OTHER_POINTS = 10 };

unsigned msrs_points(void)
{
    return array_size(owned) + array_size(refused) + OTHER_POINTS;
}

static void check_held(const char *name, uint32_t index, uint64_t value)
{
    uint64_t before, after;
    struct fault f = try_rdmsr(index, &before);
    if (f.vector == VECTOR_NONE)
        f = try_wrmsr(index, value);
    if (f.vector != VECTOR_NONE) {
        check_fault(name, FAULT_NONE, f);
        return;
    }
    after = rdmsr(index);
    wrmsr(index, before);
    check_equal(name, value, after);
}

static void check_refused(void)
{
    for (unsigned i = 0; i < array_size(refused); i++) {
        uint64_t value;
        struct fault f = refused[i].write ? try_wrmsr(refused[i].index, refused[i].value)
                                          : try_rdmsr(refused[i].index, &value);
        check_fault(refused[i].name, FAULT_GP, f);
    }
}

static void check_readable(const char *name, uint32_t index)
{
    uint64_t value;
    check_fault(name, FAULT_NONE, try_rdmsr(index, &value));
}

static void check_efer(void)
{
    uint64_t efer = rdmsr((uint32_t)MSR_EFER);
    check_held("msr-efer-sce", (uint32_t)MSR_EFER, efer | EFER_SCE);
    check_held("msr-efer-nxe", (uint32_t)MSR_EFER, efer | EFER_NXE);
    if (is_64bit()) // SDM "Initializing IA-32e Mode": LME cannot change while paging is on
        check_fault("wrmsr-efer-lme-while-paging", FAULT_GP,
                    try_wrmsr((uint32_t)MSR_EFER, efer & ~(uint64_t)EFER_LME));
    else
        check_held("msr-efer-lme", (uint32_t)MSR_EFER, efer | EFER_LME);
}

static void check_tsc(void)
{
    uint64_t before = rdtsc(), value = 0;
    struct fault f = try_rdmsr(MSR_TSC, &value);
    uint64_t after = rdtsc();
    check(f.vector == VECTOR_NONE && before < value && value < after, "msr-tsc",
          "expected between %llu and %llu\ngot %llu, %s", (unsigned long long)before,
          (unsigned long long)after, (unsigned long long)value, fault_name(f.vector));
}

void msrs_test(void)
{
    check_equal("msr-pat-at-entry", PAT_AT_RESET, rdmsr(MSR_PAT));
    for (unsigned i = 0; i < array_size(owned); i++)
        check_held(owned[i].name, owned[i].index, owned[i].value);
    check_refused();
    check_efer();
    check_tsc();
    check_readable("msr-misc-enable", MSR_MISC_ENABLE);
    uint64_t value = 0;
    check_fault("msr-apic-base", FAULT_NONE, try_rdmsr(MSR_APIC_BASE, &value));
    try_rdmsr(MSR_FEATURE_CONTROL, &value);
    check_equal("msr-feature-control", 1, value); // locked, VMX off
    if (feature_present(FEATURE_MTRR)) {
        check_readable("msr-mtrrcap", MSR_MTRRCAP);
        check_readable("msr-mtrr-def-type", MSR_MTRR_DEF_TYPE);
    } else {
        skip("msr-mtrrcap", "CPUID has no MTRR");
        skip("msr-mtrr-def-type", "CPUID has no MTRR");
    }
}
