// The VMX capability MSRs of a processor, read once: SDM volume 3, appendix "VMX Capability Reporting
// Facility".
#pragma once
#include "sdm/control_resolve.h"
#include "sdm/lines.h"
#include "sdm/msr.h"

// clang-format off
// Member, MSR, condition under which the MSR exists (over members further up; absent ones read as 0).
#define VMX_CAPS(X) \
    X(basic,         VMX_BASIC,               true) \
    X(pin,           VMX_PINBASED_CTLS,       true) \
    X(primary,       VMX_PROCBASED_CTLS,      true) \
    X(exit,          VMX_EXIT_CTLS,           true) \
    X(entry,         VMX_ENTRY_CTLS,          true) \
    X(misc,          VMX_MISC,                true) \
    X(cr0_fixed0,    VMX_CR0_FIXED0,          true) \
    X(cr0_fixed1,    VMX_CR0_FIXED1,          true) \
    X(cr4_fixed0,    VMX_CR4_FIXED0,          true) \
    X(cr4_fixed1,    VMX_CR4_FIXED1,          true) \
    X(vmcs_enum,     VMX_VMCS_ENUM,           true) \
    X(true_pin,      VMX_TRUE_PINBASED_CTLS,  c->basic & VMX_BASIC_TRUE_CONTROLS) \
    X(true_primary,  VMX_TRUE_PROCBASED_CTLS, c->basic & VMX_BASIC_TRUE_CONTROLS) \
    X(true_exit,     VMX_TRUE_EXIT_CTLS,      c->basic & VMX_BASIC_TRUE_CONTROLS) \
    X(true_entry,    VMX_TRUE_ENTRY_CTLS,     c->basic & VMX_BASIC_TRUE_CONTROLS) \
    X(secondary,     VMX_PROCBASED_CTLS2,     c->primary >> 32 & PRIMARY_ACTIVATE_SECONDARY) \
    X(tertiary,      VMX_PROCBASED_CTLS3,     c->primary >> 32 & PRIMARY_ACTIVATE_TERTIARY) \
    X(exit2,         VMX_EXIT_CTLS2,          c->exit >> 32 & EXIT_ACTIVATE_SECONDARY) \
    X(ept_vpid,      VMX_EPT_VPID_CAP,        c->secondary >> 32 & (SECONDARY_EPT | SECONDARY_VPID)) \
    X(vm_functions,  VMX_VMFUNC,              c->secondary >> 32 & SECONDARY_VM_FUNCTIONS)
// clang-format on

#define CAPS_TO_MEMBER(member, msr, exists) uint64_t member;
struct vmx_caps {
    VMX_CAPS(CAPS_TO_MEMBER)
};
#undef CAPS_TO_MEMBER

// Reads every capability MSR that exists, in an order in which none is read that is not known to exist, so
// `rdmsr` needs no fix-up. Precondition: CPUID says VMX.
void vmx_caps_read(struct vmx_caps *c, uint64_t (*rdmsr)(void *context, uint32_t msr), void *context);

// What the processor allows in a control word, from the TRUE MSRs where they exist. WORD_NONE, WORD_SEAM:
// nothing.
struct control_capability vmx_caps_control(const struct vmx_caps *c, enum vmcs_control_word word);

static inline bool vmx_caps_can(const struct vmx_caps *c, enum vmcs_control_word word, uint64_t bit)
{
    return vmx_caps_control(c, word).may_be_1 & bit;
}

// Does the field exist on a processor with these capabilities? (Each field's section says when.)
bool vmx_caps_field_exists(const struct vmx_caps *c, const struct vmcs_field *field);

// CR0 and CR4 as VMX operation demands them (SDM volume 3, "VMX-Fixed Bits in CR0", "... in CR4"). A guest
// under "unrestricted guest" is free in CR0.PE and CR0.PG.
static inline uint64_t vmx_caps_fix_cr0(const struct vmx_caps *c, uint64_t cr0)
{
    return (cr0 | c->cr0_fixed0) & c->cr0_fixed1;
}
static inline uint64_t vmx_caps_fix_cr4(const struct vmx_caps *c, uint64_t cr4)
{
    return (cr4 | c->cr4_fixed0) & c->cr4_fixed1;
}

// Name of the first MSR in which two processors differ ("IA32_VMX_MISC"), or NULL when they are the same.
const char *vmx_caps_difference(const struct vmx_caps *a, const struct vmx_caps *b);

// Contradictions among the MSRs, one line each ("unrestricted guest without EPT"). Returns how many.
unsigned vmx_caps_check(const struct vmx_caps *c, line_fn line, void *context);

// The capabilities in words, a line each, for the log's environment block.
void vmx_caps_text(const struct vmx_caps *c, line_fn line, void *context);
