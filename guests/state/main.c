// Fills all state that a switch of machines must carry and no VMCS carries with a pattern, yields to a twin
// that fills it with the inverse, and compares: one point per piece. `cmdline=a` and `cmdline=b` are twins. With
// the word `legacy` they leave CR4.OSXSAVE and XCR0 alone: SSE needs neither (SDM volume 1, "Enabling the XSAVE
// Feature Set and XSAVE-Enabled Features").
#include "guests/lib/guest.h"
#include "guests/state/state.h"

enum { ROUNDS = 300, TICKS_AWAY_PERCENT = 10 };
enum { MSR_SPEC_CTRL = 0x48, MSR_PAT = 0x277, MXCSR_MASK = 0xffc0 };
#define PATTERN        0xa5c3961e0f7884d2
#define CANONICAL_BITS 0x00007fffffffffff // of addresses in the lower half

static bool twin; // the inverse

static uint64_t inverse_if_twin(uint64_t v)
{
    return twin ? ~v : v;
}

// A different value for each place.
static uint64_t pattern(unsigned place)
{
    return inverse_if_twin(PATTERN * (place * 2 + 1));
}

static uint64_t canonical(unsigned place)
{
    return pattern(place) & CANONICAL_BITS;
}

// Registers that stay loaded over all rounds. The value is made once, before the first.
struct piece {
    const char *name;
    bool (*present)(void);
    uint64_t (*read)(const struct piece *p);
    void (*write)(const struct piece *p, uint64_t v);
    uint32_t msr;
    uint64_t keep, fixed; // of the pattern; bits that are always set
};

static uint64_t read_piece_msr(const struct piece *p)
{
    return rdmsr(p->msr);
}
static void write_piece_msr(const struct piece *p, uint64_t v)
{
    wrmsr(p->msr, v);
}

#define REGISTER(name)                                        \
    static uint64_t get_##name(const struct piece *p)         \
    {                                                         \
        (void)p;                                              \
        return read_##name();                                 \
    }                                                         \
    static void set_##name(const struct piece *p, uint64_t v) \
    {                                                         \
        (void)p;                                              \
        write_##name(v);                                      \
    }
REGISTER(cr2)
REGISTER(dr0)
REGISTER(dr1)
REGISTER(dr2)
REGISTER(dr3)
REGISTER(dr6)
#undef REGISTER

static bool always(void)
{
    return true;
}
static bool has_rdtscp(void)
{
    return cpuid(0x80000001, 0).edx >> 27 & 1;
}
static bool has_spec_ctrl(void)
{
    return cpuid(0, 0).eax >= 7 && (cpuid(7, 0).edx >> 26 & 1);
}

#define REG(name)  get_##name, set_##name, 0
#define MSR(index) read_piece_msr, write_piece_msr, index
#define ALL        (~0ull)
#define DR6_FREE   0xe00full // B0-B3, BD, BS, BT
#define DR6_ONES   0xffff0ff0ull
#define PAT_FREE   0x0101010101010101ull // each byte 4 or 5, WT or WP: legal, and two patterns
#define PAT_FIXED  0x0404040404040404ull

// clang-format off
static const struct piece pieces[] = {
    {"cr2",             always,        REG(cr2),          ALL, 0},
    {"dr0",             always,        REG(dr0),          ALL, 0},
    {"dr1",             always,        REG(dr1),          ALL, 0},
    {"dr2",             always,        REG(dr2),          ALL, 0},
    {"dr3",             always,        REG(dr3),          ALL, 0},
    {"dr6",             always,        REG(dr6),          DR6_FREE, DR6_ONES},
    {"sysenter-cs",     always,        MSR(0x174),        0xffff, 0},
    {"sysenter-esp",    always,        MSR(0x175),        CANONICAL_BITS, 0},
    {"sysenter-eip",    always,        MSR(0x176),        CANONICAL_BITS, 0},
    {"pat",             always,        MSR(MSR_PAT),      PAT_FREE, PAT_FIXED},
    {"star",            always,        MSR(0xc0000081),   ALL, 0},
    {"lstar",           always,        MSR(0xc0000082),   CANONICAL_BITS, 0},
    {"cstar",           always,        MSR(0xc0000083),   CANONICAL_BITS, 0},
    {"fmask",           always,        MSR(0xc0000084),   0xffffffff, 0},
    {"fs-base",         always,        MSR(0xc0000100),   CANONICAL_BITS, 0},
    {"gs-base",         always,        MSR(0xc0000101),   CANONICAL_BITS, 0},
    {"kernel-gs-base",  always,        MSR(0xc0000102),   CANONICAL_BITS, 0},
    {"tsc-aux",         has_rdtscp,    MSR(0xc0000103),   0xffffffff, 0},
    {"spec-ctrl",       has_spec_ctrl, MSR(MSR_SPEC_CTRL), 1, 0},
};

static const char *const gpr_names[GPRS] = {
    "hypercall-result", "rcx", "rdx", "rbx", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
};
// clang-format on

// The first difference seen for one piece of state, over all rounds.
struct difference {
    bool seen;
    unsigned round;
    uint64_t expected, got;
};

static struct difference in_pieces[array_size(pieces)], in_gprs[GPRS], in_vectors[VECTORS],
    in_uppers[VECTORS];
static struct difference in_st[8], in_fcw, in_fsw, in_ftw, in_fip, in_fdp, in_mxcsr, in_xcr0;
static struct state set, got;

static const struct {
    const char *name;
    struct difference *d;
} singles[] = {
    {"fcw",   &in_fcw  },
    {"fsw",   &in_fsw  },
    {"ftw",   &in_ftw  },
    {"fip",   &in_fip  },
    {"fdp",   &in_fdp  },
    {"xcr0",  &in_xcr0 },
    {"mxcsr", &in_mxcsr},
};

static void compare(struct difference *d, unsigned round, uint64_t expected, uint64_t value)
{
    if (expected != value && !d->seen)
        *d = (struct difference){true, round, expected, value};
}

static uint64_t piece_value(unsigned i)
{
    return (pattern(i + 40) & pieces[i].keep) | pieces[i].fixed;
}

static void fill(void)
{
    for (unsigned i = 0; i < array_size(pieces); i++) {
        if (pieces[i].present())
            pieces[i].write(&pieces[i], piece_value(i));
    }
    for (unsigned i = 0; i < GPRS; i++)
        set.gpr[i] = pattern(i);
    set.fx.fcw = twin ? 0x0f7f : 0x037f; // rounding control differs, exceptions masked
    set.fx.fsw = twin ? 0x4000 : 0x0100; // condition codes; TOP = 0 so that ST(i) is register i
    set.fx.ftw = 0xff;                   // all registers in use
    set.fx.fip = canonical(60);
    set.fx.fdp = canonical(61);
    set.fx.mxcsr = twin ? 0x7f80 : 0x9f80; // rounding, flush to zero; exceptions masked
    for (unsigned i = 0; i < 8; i++) {
        uint64_t mantissa = pattern(70 + i) | 1ull << 63;
        memcpy(set.fx.st[i], &mantissa, 8);
        set.fx.st[i][8] = (uint8_t)pattern(80 + i);
        set.fx.st[i][9] = twin ? 0x3f : 0xbf;
    }
    for (unsigned i = 0; i < 2 * VECTORS; i++) {
        set.fx.xmm[i / 2][i % 2] = pattern(100 + i);
    }
}

static void compare_fpu(unsigned round)
{
    compare(&in_fcw, round, set.fx.fcw, got.fx.fcw);
    compare(&in_fsw, round, set.fx.fsw, got.fx.fsw);
    compare(&in_ftw, round, set.fx.ftw, got.fx.ftw);
    compare(&in_fip, round, set.fx.fip, got.fx.fip);
    compare(&in_fdp, round, set.fx.fdp, got.fx.fdp);
    compare(&in_mxcsr, round, set.fx.mxcsr & MXCSR_MASK, got.fx.mxcsr & MXCSR_MASK);
    for (unsigned i = 0; i < 8; i++) {
        uint64_t want[2] = {0}, have[2] = {0};
        memcpy(want, set.fx.st[i], 10);
        memcpy(have, got.fx.st[i], 10);
        compare(&in_st[i], round, want[0], have[0]);
        compare(&in_st[i], round, want[1], have[1]);
    }
    for (unsigned i = 0; i < 2 * VECTORS; i++) {
        compare(&in_vectors[i / 2], round, set.fx.xmm[i / 2][i % 2], got.fx.xmm[i / 2][i % 2]);
        if (set.with_avx)
            compare(&in_uppers[i / 2], round, set.ymm_high[i / 2][i % 2], got.ymm_high[i / 2][i % 2]);
    }
}

static void compare_all(unsigned round)
{
    for (unsigned i = 0; i < array_size(pieces); i++) {
        if (pieces[i].present())
            compare(&in_pieces[i], round, piece_value(i), pieces[i].read(&pieces[i]));
    }
    compare(&in_gprs[0], round, E_OK, got.gpr[0]);
    for (unsigned i = 1; i < GPRS; i++)
        compare(&in_gprs[i], round, set.gpr[i], got.gpr[i]);
    compare_fpu(round);
}

static void report(const char *name, const struct difference *d)
{
    check(!d->seen, name, "expected %#llx\ngot %#llx in round %u", (unsigned long long)d->expected,
          (unsigned long long)d->got, d->round);
}

static void report_numbered(const char *prefix, const struct difference *d, unsigned n, const char *skipped)
{
    for (unsigned i = 0; i < n; i++) {
        char name[TAP_NAME_MAX];
        format_text(name, sizeof name, "%s%u", prefix, i);
        if (skipped)
            skip(name, skipped);
        else
            report(name, &d[i]);
    }
}

static void report_all(bool avx, bool xsave)
{
    for (unsigned i = 0; i < array_size(pieces); i++) {
        if (pieces[i].present())
            report(pieces[i].name, &in_pieces[i]);
        else
            skip(pieces[i].name, "CPUID does not offer it");
    }
    for (unsigned i = 0; i < GPRS; i++)
        report(gpr_names[i], &in_gprs[i]);
    for (unsigned i = 0; i < array_size(singles); i++) {
        if (singles[i].d == &in_xcr0 && !xsave)
            skip("xcr0", "no XSAVE");
        else
            report(singles[i].name, singles[i].d);
    }
    report_numbered("st", in_st, 8, NULL);
    report_numbered("xmm", in_vectors, VECTORS, NULL);
    report_numbered("ymm-high", in_uppers, VECTORS, avx ? NULL : "no AVX");
}

// Without company the comparison proves nothing: somebody else must have run in between.
static void report_company(uint64_t elapsed, int64_t ran)
{
    if (ran < 0) {
        skip("twin-ran", "QUERY_RUN_TICKS is not supported");
        return;
    }
    check(elapsed - (uint64_t)ran >= elapsed * TICKS_AWAY_PERCENT / 100, "twin-ran",
          "expected others to run %u percent of %llu ticks\ngot %llu", TICKS_AWAY_PERCENT,
          (unsigned long long)elapsed, (unsigned long long)(elapsed - (uint64_t)ran));
}

// The upper halves change every round, so that yesterday's are noticed. In half of the rounds, sixteen by
// sixteen and the twins in turn, XCR0 does not enable them while the other runs: they must survive all the
// same.
static void prepare_round(unsigned round, bool xsave, bool avx)
{
    bool narrow = (round / 16 + twin) % 2;
    for (unsigned i = 0; i < 2 * VECTORS; i++)
        set.ymm_high[i / 2][i % 2] = pattern(150 + i) ^ round;
    set.with_avx = avx;
    set.xcr0_around = xsave ? XCR0_X87 | XCR0_SSE | (avx ? XCR0_AVX : 0) : 0;
    set.xcr0_in_call = narrow ? set.xcr0_around & ~(uint64_t)XCR0_AVX : set.xcr0_around;
}

int main(const struct start_info *start)
{
    twin = word_present(command_line(start), "b");
    struct cpuid features = cpuid(1, 0);
    bool xsave = features.ecx >> 26 & 1 && !word_present(command_line(start), "legacy"),
         avx = xsave && (features.ecx >> 28 & 1);
    tap_plan(array_size(pieces) + GPRS + array_size(singles) + 8 + 2 * VECTORS + 1);
    write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT | (xsave ? CR4_OSXSAVE : 0));
    if (xsave)
        xsetbv(0, XCR0_X87 | XCR0_SSE | (avx ? XCR0_AVX : 0));
    __asm__ volatile("fninit");
    fill();
    uint64_t begin = rdtsc(), ran = (uint64_t)hypercall1(HC_QUERY, QUERY_RUN_TICKS);
    for (unsigned round = 0; round < ROUNDS; round++) {
        prepare_round(round, xsave, avx);
        state_round(&set, &got, HC_YIELD);
        compare(&in_xcr0, round, set.xcr0_in_call, got.xcr0_in_call);
        compare_all(round);
    }
    int64_t books = hypercall1(HC_QUERY, QUERY_RUN_TICKS);
    report_all(avx, xsave);
    report_company(rdtsc() - begin, books < 0 ? books : books - (int64_t)ran);
    return tap_end();
}
