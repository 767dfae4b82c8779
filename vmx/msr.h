// MSR policy, a table in vmx/msr.c: what a guest reads and writes without an exit, what is emulated, what is
// kept for it while others run. Everything else gives #GP(0). docs/cpuid-msr.md prints it.
#pragma once
#include "arch/reason.h"
#include "vmx/vcpu.h"

// MSRs that a guest reads freely and whose writes exit, so that switching needs no RDMSR: their values are in
// struct guest_state's msr[], by this order. vmx/state.c loads them when another vCPU comes in.
#define KEPT_MSRS(X) X(STAR) X(LSTAR) X(CSTAR) X(FMASK) X(TSC_AUX) X(SPEC_CTRL)
enum kept_msr {
#define X(name) KEPT_##name,
    KEPT_MSRS(X)
#undef X
        KEPT_COUNT
};
_Static_assert((int)KEPT_COUNT == (int)GUEST_MSRS_KEPT, "struct guest_state has a place for each");

extern const uint32_t kept_msr_number[KEPT_COUNT];
extern bool kept_msr_exists[KEPT_COUNT];

// Builds the MSR bitmap. After cpuid_policy_init(). E_NO_MEMORY.
enum error msr_policy_init(struct reason *why);
// Builds a second one, in which x2APIC registers make no exits that the processor virtualizes in that mode. After the
// first. E_NO_MEMORY.
enum error msr_policy_let_x2apic_through(void);
