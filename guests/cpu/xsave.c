// XSETBV and what depends on it: CPUID must follow CR4.OSXSAVE and XCR0 (SDM volume 1, "Enabling the XSAVE
// Feature Set and XSAVE-Enabled Features").
#include "guests/cpu/cpu.h"

enum { LEAF_XSAVE = 0xd, LEGACY_AND_HEADER = 576, AVX_BYTES = 256 };

static const struct {
    const char *name;
    uint32_t index;
    uint64_t value;
} refused[] = {
    {"xsetbv-zero",            0, 0                    },
    {"xsetbv-without-x87",     0, XCR0_SSE             },
    {"xsetbv-avx-without-sse", 0, XCR0_X87 | XCR0_AVX  },
    {"xsetbv-reserved",        0, XCR0_X87 | 1ull << 62},
    {"xsetbv-bit63",           0, XCR0_X87 | 1ull << 63},
    {"xsetbv-xcr1",            1, XCR0_X87             },
};

// Legal values and the size CPUID must report for the area that they make.
static const struct {
    const char *name, *size_name;
    uint64_t value;
    uint32_t bytes;
} legal[] = {
    {"xsetbv-x87", "xsave-size-x87", XCR0_X87,                       LEGACY_AND_HEADER            },
    {"xsetbv-sse", "xsave-size-sse", XCR0_X87 | XCR0_SSE,            LEGACY_AND_HEADER            },
    {"xsetbv-avx", "xsave-size-avx", XCR0_X87 | XCR0_SSE | XCR0_AVX, LEGACY_AND_HEADER + AVX_BYTES},
};

enum { OTHER_POINTS = 8 };

unsigned xsave_points(void)
{
    return array_size(refused) + 2 * array_size(legal) + OTHER_POINTS;
}

static void skip_all(void)
{
    static const char *const others[OTHER_POINTS] = {
        "xsetbv-disabled", "osxsave-off",      "osxsave-on",         "xcr0-at-entry",
        "xsave-supported", "xsetbv-keeps-xmm", "xsetbv-keeps-mxcsr", "xsavec-size"};
    for (unsigned i = 0; i < array_size(refused); i++)
        skip(refused[i].name, "no XSAVE");
    for (unsigned i = 0; i < array_size(legal); i++) {
        skip(legal[i].name, "no XSAVE");
        skip(legal[i].size_name, "no XSAVE");
    }
    for (unsigned i = 0; i < OTHER_POINTS; i++)
        skip(others[i], "no XSAVE");
}

static void check_legal(void)
{
    for (unsigned i = 0; i < array_size(legal); i++) {
        if ((legal[i].value & XCR0_AVX) && !feature_present(FEATURE_AVX)) {
            skip(legal[i].name, "no AVX");
            skip(legal[i].size_name, "no AVX");
            continue;
        }
        struct fault f = try_xsetbv(0, legal[i].value);
        check(f.vector == VECTOR_NONE && xgetbv(0) == legal[i].value, legal[i].name,
              "expected %#llx\ngot %#llx, %s", (unsigned long long)legal[i].value,
              (unsigned long long)xgetbv(0), fault_name(f.vector));
        check_equal(legal[i].size_name, legal[i].bytes, cpuid(LEAF_XSAVE, 0).ebx);
    }
}

// XSETBV changes no register but XCR0: what SSE held before anybody spoke of XCR0 is still there.
static void check_kept(void)
{
    const uint32_t rounding = 0x7f80, reset = 0x1f80;
    const uint64_t pattern[2] = {0x0123456789abcdef, 0xfedcba9876543210};
    uint32_t mxcsr;
    uint64_t xmm[2];
    write_cr4(read_cr4() | CR4_OSFXSR);
    __asm__ volatile("ldmxcsr %0; movups %1, %%xmm7" : : "m"(rounding), "m"(pattern));
    xsetbv(0, XCR0_X87 | XCR0_SSE);
    if (feature_present(FEATURE_AVX))
        xsetbv(0, XCR0_X87 | XCR0_SSE | XCR0_AVX);
    __asm__ volatile("stmxcsr %0; movups %%xmm7, %1; ldmxcsr %2" : "=m"(mxcsr), "=m"(xmm) : "m"(reset));
    check_equal("xsetbv-keeps-xmm", pattern[0] ^ pattern[1], xmm[0] ^ xmm[1]);
    check_equal("xsetbv-keeps-mxcsr", rounding, mxcsr);
}

// With XSAVEC, subleaf 1 tells the bytes of the compacted area, which for these components is as large as the
// standard one; without, 0 (SDM, "CPUID", leaf 0DH).
static void check_compacted(void)
{
    bool xsavec = cpuid(LEAF_XSAVE, 1).eax >> 1 & 1;
    check_equal("xsavec-size", xsavec ? cpuid(LEAF_XSAVE, 0).ebx : 0, cpuid(LEAF_XSAVE, 1).ebx);
}

void xsave_test(void)
{
    if (!feature_present(FEATURE_XSAVE)) {
        skip_all();
        return;
    }
    const uint32_t osxsave = 1u << 27;
    check_fault("xsetbv-disabled", FAULT_UD, try_xsetbv(0, XCR0_X87));
    check_bits("osxsave-off", osxsave, 0, cpuid(1, 0).ecx);
    write_cr4(read_cr4() | CR4_OSXSAVE);
    check_bits("osxsave-on", osxsave, osxsave, cpuid(1, 0).ecx);
    check_equal("xcr0-at-entry", XCR0_X87, xgetbv(0));
    check_bits("xsave-supported", XCR0_X87 | XCR0_SSE, XCR0_X87 | XCR0_SSE, cpuid(LEAF_XSAVE, 0).eax);
    check_kept();
    check_legal();
    check_compacted();
    for (unsigned i = 0; i < array_size(refused); i++)
        check_fault(refused[i].name, FAULT_GP, try_xsetbv(refused[i].index, refused[i].value));
    try_xsetbv(0, XCR0_X87);
    write_cr4(read_cr4() & ~(word_t)CR4_OSXSAVE);
}
