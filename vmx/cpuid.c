// CPUID policy and the CPUID exit. Shown is what is in the table below and what the processor has; every
// other bit and leaf is zero. Left out is what is not virtualized: VMX, SMX, MTRRs, machine check, PMU, thermal
// and power management, MONITOR/MWAIT, debug store, XSAVES, memory protection keys, SGX, processor trace. The local
// APIC, x2APIC mode, TSC deadline and the TSC's frequency (leaf 15H) are always there: they are ours. A disabled APIC
// does not show.
#include "vmx/cpuid.h"
#include "abi/micronova.h"
#include "arch/cpu.h"
#include "arch/features.h"
#include "arch/string.h"
#include "arch/tsc.h"
#include "sdm/cpuid.h"
#include "vmx/exit.h"
#include "vmx/vmx.h"

enum kind {
    STATIC,    // the same whenever it is asked
    FEATURES,  // leaf 1: OSXSAVE follows CR4, APIC its IA32_APIC_BASE; APIC id
    TOPOLOGY,  // leaf 0BH: APIC id, one package of single-threaded cores
    SUBLEAVES, // by ECX
    XSAVE,     // leaf 0DH: EBX of subleaf 0 follows XCR0
    BEYOND,    // no such leaf, or one of the hypervisor's
};

enum { TSC_LEAF = 0x15, BASIC_LAST = TSC_LEAF };
enum { EXTENDED_FIRST = (int)0x80000000, EXTENDED_COUNT = 9, SUBLEAF_COUNT = 16 };
enum { ALL = (int)0xffffffff, LEGACY_AND_HEADER = 576 /* of every XSAVE area */ };

#define F(name) FEATURE_BIT_##name

// The feature words that guests see; the remaining bits of each are hidden. Bit numbers without a name in
// sdm/cpuid.h are instructions without state that the processor decides on alone.
enum {
    LEAF1_ECX = F(SSE3) | F(PCLMULQDQ) | 1 << 9 /* SSSE3 */ | 1 << 12 /* FMA */ | F(CMPXCHG16B) | F(PCID) |
                1 << 19 /* SSE4.1 */ | 1 << 20 /* SSE4.2 */ | 1 << 22 /* MOVBE */ | 1 << 23 /* POPCNT */ |
                1 << 25 /* AES */ | F(XSAVE) | F(AVX) | 1 << 29 /* F16C */ | F(RDRAND),
    LEAF1_EDX = F(FPU) | 1 << 1 /* VME */ | F(DE) | F(PSE) | F(TSC) | F(MSR) | F(PAE) | 1 << 8 /* CX8 */ |
                F(SEP) | F(PGE) | 1 << 15 /* CMOV */ | F(PAT) | 1 << 17 /* PSE-36 */ | F(CLFSH) |
                1 << 23 /* MMX */ | F(FXSR) | F(SSE) | F(SSE2) | 1 << 27 /* SS */,
    LEAF7_EBX = F(FSGSBASE) | 1 << 3 /* BMI1 */ | 1 << 5 /* AVX2 */ | F(SMEP) | 1 << 8 /* BMI2 */ |
                1 << 9 /* ERMS */ | F(INVPCID) | F(RDSEED) | 1 << 19 /* ADX */ | F(SMAP) |
                1 << 23 /* CLFLUSHOPT */ | 1 << 24 /* CLWB */ | 1 << 29 /* SHA */,
    LEAF7_ECX = F(UMIP) | 1 << 8 /* GFNI */ | 1 << 9 /* VAES */ | 1 << 10 /* VPCLMULQDQ */,
    LEAF7_EDX = F(MD_CLEAR) | F(IBRS_IBPB) | F(STIBP) | F(SSBD),
    LEAFD1_EAX = F(XSAVEOPT) | F(XSAVEC) | F(XGETBV_ECX1),
    EXT1_ECX = F(LAHF64) | 1 << 5 /* LZCNT */ | 1 << 8 /* PREFETCHW */,
    EXT1_EDX = F(SYSCALL) | F(NX) | F(PAGE1GB) | F(RDTSCP) | F(LM),
    // Caches: sizes and types, but no sharing between processors (EAX 31:14).
    LEAF4_EAX = 0x00003fff,
};
#undef F

struct policy {
    uint32_t leaf;
    enum kind kind;
    uint32_t mask[4]; // by enum cpuid_register; for SUBLEAVES of every subleaf
};

static const struct policy policies[] = {
    {0x00,       STATIC,    {ALL, ALL, ALL, ALL}                   },
    {0x01,       FEATURES,  {ALL, 0x0000ffff, LEAF1_ECX, LEAF1_EDX}},
    {0x02,       STATIC,    {ALL, ALL, ALL, ALL}                   },
    {0x04,       SUBLEAVES, {LEAF4_EAX, ALL, ALL, ALL}             },
    {0x07,       SUBLEAVES, {0, LEAF7_EBX, LEAF7_ECX, LEAF7_EDX}   },
    {0x0b,       TOPOLOGY,  {0, 0, 0, 0}                           },
    {0x0d,       XSAVE,     {ALL, ALL, ALL, ALL}                   },
    {0x80000000, STATIC,    {ALL, ALL, ALL, ALL}                   },
    {0x80000001, STATIC,    {0, 0, EXT1_ECX, EXT1_EDX}             },
    {0x80000002, STATIC,    {ALL, ALL, ALL, ALL}                   },
    {0x80000003, STATIC,    {ALL, ALL, ALL, ALL}                   },
    {0x80000004, STATIC,    {ALL, ALL, ALL, ALL}                   },
    {0x80000006, STATIC,    {ALL, ALL, ALL, ALL}                   },
    {0x80000007, STATIC,    {0, 0, 0, FEATURE_BIT_INVARIANT_TSC}   },
    {0x80000008, STATIC,    {0x0000ffff, 0, 0, 0}                  },
};

struct leaf {
    struct cpuid_regs regs; // of subleaf 0
    enum kind kind;
};

static struct leaf basic[BASIC_LAST + 1], extended[EXTENDED_COUNT];
static struct cpuid_regs leaf4[SUBLEAF_COUNT], leaf_d[SUBLEAF_COUNT];
uint64_t cpuid_cr4_allowed, cpuid_xcr0_allowed, cpuid_efer_allowed;
bool cpuid_spec_ctrl, cpuid_rdtscp;

static struct cpuid_regs native(const struct policy *p, uint32_t subleaf)
{
    struct cpuid c = cpuid(p->leaf, subleaf);
    return (struct cpuid_regs){
        {c.eax & p->mask[CPUID_EAX], c.ebx & p->mask[CPUID_EBX], c.ecx & p->mask[CPUID_ECX],
         c.edx & p->mask[CPUID_EDX]}
    };
}

// One that is in the table.
static struct leaf *leaf_of(uint32_t leaf)
{
    return leaf < (uint32_t)EXTENDED_FIRST ? &basic[leaf] : &extended[leaf - EXTENDED_FIRST];
}

static void apply(const struct policy *p)
{
    if (p->leaf > (p->leaf < (uint32_t)EXTENDED_FIRST ? features.max_leaf : features.max_extended_leaf))
        return;
    struct leaf *l = leaf_of(p->leaf);
    l->kind = p->kind;
    l->regs = native(p, 0);
    struct cpuid_regs *more = p->leaf == 0x04 ? leaf4 : p->leaf == 0x0d ? leaf_d : NULL;
    for (uint32_t i = 0; more && i < SUBLEAF_COUNT; i++)
        more[i] = native(p, i);
}

static bool shown(enum cpuid_feature f)
{
    return cpuid_feature_in(f, &leaf_of(cpuid_features[f].leaf)->regs);
}

// What the tables above cannot say: leaves that depend on other leaves.
static void adjust(void)
{
    basic[0].regs.r[CPUID_EAX] = BASIC_LAST;
    // Guests' TSC and APIC timer count at the same rate: a crystal of it and a ratio of 1 say so for both.
    basic[TSC_LEAF].regs = (struct cpuid_regs){
        {1, 1, tsc_hz >> 32 ? 0 : (uint32_t)tsc_hz}
    };
    extended[0].regs.r[CPUID_EAX] = min_u64(features.max_extended_leaf, 0x80000008);
    basic[1].regs.r[CPUID_ECX] |= FEATURE_BIT_HYPERVISOR | FEATURE_BIT_X2APIC | FEATURE_BIT_TSC_DEADLINE;
    basic[1].regs.r[CPUID_EDX] |= FEATURE_BIT_APIC;

    cpuid_xcr0_allowed =
        cpu_has(FEATURE_XSAVE) ? features.xcr0_supported & (XCR0_X87 | XCR0_SSE | XCR0_AVX) : 0;
    for (unsigned i = 0; i < 2; i++)
        leaf_d[0].r[i ? CPUID_EDX : CPUID_EAX] = (uint32_t)(cpuid_xcr0_allowed >> 32 * i);
    leaf_d[0].r[CPUID_ECX] = cpuid_xcr0_allowed ? LEGACY_AND_HEADER : 0;
    leaf_d[1] = (struct cpuid_regs){{leaf_d[1].r[CPUID_EAX] & LEAFD1_EAX}};
    for (unsigned i = 2; i < SUBLEAF_COUNT; i++) {
        uint32_t *r = leaf_d[i].r;
        if (cpuid_xcr0_allowed >> i & 1)
            leaf_d[0].r[CPUID_ECX] = max_u64(leaf_d[0].r[CPUID_ECX], r[CPUID_EAX] + r[CPUID_EBX]);
        else
            leaf_d[i] = (struct cpuid_regs){{0}};
    }
}

// CR4 and EFER bits exist for a guest when the feature does.
static void derive_registers(void)
{
    static const struct {
        enum cpuid_feature feature;
        uint64_t cr4;
    } rows[] = {
        {FEATURE_TSC,      CR4_TSD       },
        {FEATURE_DE,       CR4_DE        },
        {FEATURE_PSE,      CR4_PSE       },
        {FEATURE_PAE,      CR4_PAE       },
        {FEATURE_PGE,      CR4_PGE       },
        {FEATURE_FXSR,     CR4_OSFXSR    },
        {FEATURE_SSE,      CR4_OSXMMEXCPT},
        {FEATURE_UMIP,     CR4_UMIP      },
        {FEATURE_FSGSBASE, CR4_FSGSBASE  },
        {FEATURE_PCID,     CR4_PCIDE     },
        {FEATURE_XSAVE,    CR4_OSXSAVE   },
        {FEATURE_SMEP,     CR4_SMEP      },
        {FEATURE_SMAP,     CR4_SMAP      },
    };
    cpuid_cr4_allowed = CR4_VME | CR4_PVI | CR4_PCE;
    for (unsigned i = 0; i < array_size(rows); i++)
        if (shown(rows[i].feature))
            cpuid_cr4_allowed |= rows[i].cr4;
    cpuid_efer_allowed = EFER_SCE | EFER_LME | EFER_LMA | (shown(FEATURE_NX) ? EFER_NXE : 0);
    cpuid_spec_ctrl = shown(FEATURE_IBRS_IBPB);
    cpuid_rdtscp = shown(FEATURE_RDTSCP);
}

static void hide_without_control(enum cpuid_feature f, bool control)
{
    const struct cpuid_feature_row *row = &cpuid_features[f];
    if (!control)
        leaf_of(row->leaf)->regs.r[row->reg] &= ~(1u << row->bit);
}

seldom void cpuid_policy_init(void)
{
    for (unsigned i = 0; i < array_size(policies); i++)
        apply(&policies[i]);
    // These instructions give #UD in a guest unless a control lets them through.
    hide_without_control(FEATURE_RDTSCP, vmx_controls.secondary & SECONDARY_RDTSCP);
    hide_without_control(FEATURE_INVPCID, vmx_controls.secondary & SECONDARY_INVPCID);
    adjust();
    derive_registers();
}

static const struct leaf *find_leaf(uint32_t leaf)
{
    static const struct leaf beyond = {.kind = BEYOND};
    if (likely(leaf <= BASIC_LAST))
        return &basic[leaf];
    if (leaf - (uint32_t)EXTENDED_FIRST < EXTENDED_COUNT)
        return &extended[leaf - (uint32_t)EXTENDED_FIRST];
    return &beyond;
}

static noinline_cold struct cpuid_regs by_subleaf(uint32_t leaf, uint32_t subleaf)
{
    static const struct cpuid_regs none;
    if (leaf == 0x04)
        return subleaf < SUBLEAF_COUNT ? leaf4[subleaf] : none;
    if (leaf == 0x07)
        return subleaf == 0 ? basic[leaf].regs : none;
    struct cpuid_regs r = subleaf < SUBLEAF_COUNT ? leaf_d[subleaf] : none;
    // The guest's XCR0 is in the processor while its exits are handled, and IA32_XSS is 0, so the processor can
    // tell: the standard area of subleaf 0, and the compacted one of subleaf 1 where XSAVEC exists.
    if (cpu_has(FEATURE_XSAVE) && (subleaf == 0 || (subleaf == 1 && r.r[CPUID_EAX] & FEATURE_BIT_XSAVEC)))
        r.r[CPUID_EBX] = cpuid(0x0d, subleaf).ebx;
    return r;
}

static noinline_cold struct cpuid_regs hypervisor_leaf(const struct vcpu *v, uint32_t leaf)
{
    struct cpuid_regs r = {{CPUID_MICRONOVA}};
    if (leaf == CPUID_HYPERVISOR)
        memcpy(&r.r[CPUID_EBX], MICRONOVA_SIGNATURE, 12);
    else
        r = (struct cpuid_regs){
            {ABI_VERSION, v->rights, (uint32_t)(tsc_hz / 1000), v->vm_id}
        };
    return r;
}

static struct cpuid_regs features_of(const struct vcpu *v)
{
    struct cpuid_regs r = basic[1].regs;
    r.r[CPUID_EBX] |= v->index << 24 | v->count << 16;
    if (v->count > 1)
        r.r[CPUID_EDX] |= FEATURE_BIT_HTT;
    if (vmread_nat(GUEST_CR4) & CR4_OSXSAVE)
        r.r[CPUID_ECX] |= FEATURE_BIT_OSXSAVE;
    if (!(v->apic_base & APIC_BASE_ENABLE))
        r.r[CPUID_EDX] &= ~(uint32_t)FEATURE_BIT_APIC;
    return r;
}

// Level 0: threads of a core, one; level 1: cores of the package, all vCPUs.
static struct cpuid_regs topology_of(const struct vcpu *v, uint32_t level)
{
    enum { THREADS = 1 << 8, CORES = 2 << 8 };
    if (level == 0)
        return (struct cpuid_regs){
            {0, 1, THREADS, v->index}
        };
    if (level == 1)
        return (struct cpuid_regs){
            {(uint32_t)log2_floor(2 * v->count - 1), v->count, CORES | 1, v->index}
        };
    return (struct cpuid_regs){
        {0, 0, level & 0xff, v->index}
    };
}

static noinline_cold struct cpuid_regs special(const struct vcpu *v, uint32_t leaf, const struct leaf *l)
{
    if (leaf == CPUID_HYPERVISOR || leaf == CPUID_MICRONOVA)
        return hypervisor_leaf(v, leaf);
    if (l->kind == BEYOND) { // answers like the last basic leaf (SDM, "CPUID")
        leaf = basic[0].regs.r[CPUID_EAX];
        l = &basic[leaf];
    }
    if (l->kind == STATIC)
        return l->regs;
    if (l->kind == FEATURES)
        return features_of(v);
    if (l->kind == TOPOLOGY)
        return topology_of(v, (uint32_t)v->gpr[RCX]);
    return by_subleaf(leaf, (uint32_t)v->gpr[RCX]);
}

static inline void give(struct vcpu *v, const struct cpuid_regs *r)
{
    v->gpr[RAX] = r->r[CPUID_EAX];
    v->gpr[RBX] = r->r[CPUID_EBX];
    v->gpr[RCX] = r->r[CPUID_ECX];
    v->gpr[RDX] = r->r[CPUID_EDX];
}

// Apart, so that the common way needs no room on the stack.
static noinline_cold void give_special(struct vcpu *v, uint32_t leaf, const struct leaf *l)
{
    struct cpuid_regs r = special(v, leaf, l);
    give(v, &r);
}

void exit_cpuid(struct vcpu *v)
{
    uint32_t leaf = (uint32_t)v->gpr[RAX];
    const struct leaf *l = find_leaf(leaf);
    if (likely(l->kind == STATIC))
        give(v, &l->regs);
    else
        give_special(v, leaf, l);
    skip_instruction();
}
