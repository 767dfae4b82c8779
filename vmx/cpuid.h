// What CPUID tells a guest: computed once for the whole box from the processor's answers and the policy table
// in vmx/cpuid.c, so that an exit only looks it up. docs/cpuid-msr.md prints the policy.
#pragma once
#include "arch/types.h"

// After features_read() and vmx_init(): boot processor, once.
void cpuid_policy_init(void);

// Bits that a guest may set: those of features that the policy shows.
extern uint64_t cpuid_cr4_allowed, cpuid_xcr0_allowed, cpuid_efer_allowed;
// Features that move MSRs in or out of the policy (vmx/msr.c).
extern bool cpuid_spec_ctrl, cpuid_rdtscp;
