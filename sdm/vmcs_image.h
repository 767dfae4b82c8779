// What a VM entry looks at, as plain values: the fields of a VMCS, the few things in memory that VM entry reads
// through it, and the processor it happens on. The VM-entry rules (sdm/entry_rules.h) are predicates over
// these two structs alone, so the kernel, guests, host tests and fuzzers judge a VMCS by the same table. Pure.
//
// Everything in an image has an encoding: a VMCS field its own (sdm/vmcs_fields.h), and what is not in the
// VMCS one from the list IMAGE_FACTS, in a range that no VMCS field has. So a list of changes to an image is
// {encoding, operation, value} throughout (sdm/entry_cases.h).
#pragma once
#include "sdm/cpuid.h"
#include "sdm/vmx_caps.h"

// clang-format off
// name, encoding, whether it is known only if somebody read it from memory (enum image_known)
#define IMAGE_FACTS(X) \
    X(ATTEMPT,            0x8000, ALWAYS)   /* enum attempt */ \
    X(MEMORY_PDPTE0,      0x8002, PDPTES)   /* the four entries that CR3 points to, without EPT */ \
    X(MEMORY_PDPTE1,      0x8004, PDPTES) \
    X(MEMORY_PDPTE2,      0x8006, PDPTES) \
    X(MEMORY_PDPTE3,      0x8008, PDPTES) \
    X(VTPR,               0x800a, VTPR)     /* 32 bits at 80H of the virtual-APIC page */ \
    X(LINK_REVISION,      0x800c, LINK)     /* first 32 bits of the region at the VMCS link pointer */ \
    X(ENTRY_MSR_0,        0x800e, MSRS)     /* VM-entry MSR-load area: bits 63:0 of entry 0 */ \
    X(ENTRY_MSR_0_VALUE,  0x8010, MSRS)     /* and its bits 127:64 */ \
    X(ENTRY_MSR_1,        0x8012, MSRS) \
    X(ENTRY_MSR_1_VALUE,  0x8014, MSRS) \
    X(ENTRY_MSR_2,        0x8016, MSRS) \
    X(ENTRY_MSR_2_VALUE,  0x8018, MSRS) \
    X(ENTRY_MSR_3,        0x801a, MSRS) \
    X(ENTRY_MSR_3_VALUE,  0x801c, MSRS)
// clang-format on

#define FACT_TO_ENUM(name, encoding, known) FACT_##name = (encoding),
enum image_fact { IMAGE_FACTS(FACT_TO_ENUM) FACT_FIRST = 0x8000 };
#undef FACT_TO_ENUM

// How the entry is attempted (FACT_ATTEMPT). An attempt of 0 is a VMLAUNCH of a clear VMCS outside SMM.
enum attempt {
    ATTEMPT_VMRESUME = 1 << 0,    // by VMRESUME, not VMLAUNCH
    ATTEMPT_LAUNCHED = 1 << 1,    // launch state of the VMCS
    ATTEMPT_MOV_SS = 1 << 2,      // MOV or POP SS came right before
    ATTEMPT_NO_VMCS = 1 << 3,     // no VMCS is current
    ATTEMPT_SHADOW_VMCS = 1 << 4, // the current VMCS is a shadow VMCS
    ATTEMPT_IN_SMM = 1 << 5,      // from SMM, under the dual-monitor treatment
    ATTEMPT_HOST_32BIT = 1 << 6,  // IA32_EFER.LMA is 0 before the entry
    ATTEMPT_TRACING = 1 << 7,     // IA32_RTIT_CTL.TraceEn is 1 before the entry
};

// What of the things in memory somebody read into the image. A rule about one that is not known is not judged.
enum image_known {
    KNOWN_ALWAYS = 0,
    KNOWN_PDPTES = 1 << 0,
    KNOWN_VTPR = 1 << 1,
    KNOWN_LINK = 1 << 2,
    KNOWN_MSRS = 1 << 3, // as many of the first IMAGE_MSRS entries as VM_ENTRY_MSR_LOAD_COUNT says
};

// Positions of values: AT_GUEST_CR0 ... in the order of vmcs_fields[], then the facts.
#define VMCS_TO_AT(name, encoding, group, needs) AT_##name,
#define FACT_TO_AT(name, encoding, known)        AT_##name,
enum image_at { VMCS_FIELDS(VMCS_TO_AT) IMAGE_FACTS(FACT_TO_AT) IMAGE_VALUES };
#undef VMCS_TO_AT
#undef FACT_TO_AT

enum { IMAGE_MSRS = (AT_ENTRY_MSR_3_VALUE - AT_ENTRY_MSR_0 + 1) / 2, IMAGE_NONE = IMAGE_VALUES };

struct vmcs_image {
    uint64_t value[IMAGE_VALUES]; // by enum image_at; 0 for fields that the processor does not have
    uint32_t known;               // enum image_known
};

// Position of a field or fact by its encoding; IMAGE_NONE if there is none.
unsigned image_at(uint32_t encoding);
const char *image_name(uint32_t encoding); // "GUEST_RIP", "VTPR"; "unknown field"

// Value of one that exists. Where the encoding is a constant, im->value[AT_GUEST_RIP] is the short way.
static inline uint64_t image_get(const struct vmcs_image *im, uint32_t encoding)
{
    unsigned at = image_at(encoding);
    return at == IMAGE_NONE ? 0 : im->value[at];
}
// Cuts the value to the field's width. An encoding that does not exist changes nothing.
void image_set(struct vmcs_image *im, uint32_t encoding, uint64_t value);

// Fills every VMCS field from `read` (which says false for a field that is not there); the facts become 0 and
// unknown.
typedef bool (*image_read_fn)(void *context, uint32_t encoding, uint64_t *value);
void image_read(struct vmcs_image *im, image_read_fn read, void *context);

// The processor, as far as the rules ask for it. Fill `caps`, the widths and `cpuid` (entry_env_set_feature),
// then call entry_env_prepare().
struct entry_env {
    struct vmx_caps caps;
    uint8_t physical_width;    // MAXPHYADDR: CPUID.80000008H:EAX bits 7:0
    uint8_t linear_width;      // CPUID.80000008H:EAX bits 15:8: 48 or 57
    uint64_t perf_global_ctrl; // bits of IA32_PERF_GLOBAL_CTRL that exist, from CPUID.AH; 0: none
    uint64_t current_vmcs;     // physical address of the VMCS that is entered; ~0: not known
    uint64_t feature[(FEATURE_COUNT + 63) / 64]; // by enum cpuid_feature
    // From here on by entry_env_prepare().
    struct {
        uint64_t must_be_1, may_be_1;
    } control[WORD_COUNT];
    uint64_t beyond_physical;   // address bits that the processor does not have
    uint64_t debugctl_reserved; // bits that are certainly reserved here
    uint64_t debugctl_known;    // bits that are certainly there; between the two the model decides
    uint64_t efer_reserved;
    uint64_t perf_reserved; // IA32_PERF_GLOBAL_CTRL
    uint64_t pending_debug_reserved;
};

static inline void entry_env_set_feature(struct entry_env *env, enum cpuid_feature f)
{
    env->feature[f / 64] |= 1ull << f % 64;
}
static inline bool entry_env_has(const struct entry_env *env, enum cpuid_feature f)
{
    return env->feature[f / 64] >> f % 64 & 1;
}
// IA32_PERF_GLOBAL_CTRL, from EAX and EDX of CPUID.0AH (0 where there is no such leaf).
void entry_env_set_counters(struct entry_env *env, uint32_t eax, uint32_t edx);
// Computes what follows from what was filled in.
void entry_env_prepare(struct entry_env *env);
