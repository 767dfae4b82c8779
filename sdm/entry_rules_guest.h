// Rules of VM entry about the guest-state area but for the segment registers, and about the MSRs that it loads:
// SDM volume 3, "Checks on the Guest State Area", "Loading MSRs". How to read a row:
// sdm/entry_rules_control.h.
#pragma once

// clang-format off
#define GUEST_RULE(X, NAME, SECTION, FIELDS, broken, sentence) X(NAME, GUEST, 0, SECTION, FIELDS, broken, sentence)

#define ENTRY_RULES_GUEST_REGISTERS(X) \
    GUEST_RULE(X, GUEST_CR0_MUST_BE_1, GUEST_REGISTERS, (GUEST_CR0, SECONDARY_CONTROLS), \
      ~V(GUEST_CR0) & w->env->caps.cr0_fixed0 & ~(CR0_UNCHECKED | (w->unrestricted ? (uint64_t)(CR0_PE | CR0_PG) : 0)), \
      "bits that IA32_VMX_CR0_FIXED0 fixes to 1 are 1 (but for PE and PG under unrestricted guest)") \
    GUEST_RULE(X, GUEST_CR0_MUST_BE_0, GUEST_REGISTERS, (GUEST_CR0), \
      V(GUEST_CR0) & ~w->env->caps.cr0_fixed1 & ~CR0_UNCHECKED, "bits that IA32_VMX_CR0_FIXED1 fixes to 0 are 0") \
    GUEST_RULE(X, GUEST_CR0_PG_NEEDS_PE, GUEST_REGISTERS, (GUEST_CR0), \
      (V(GUEST_CR0) & (CR0_PG | CR0_PE)) == CR0_PG, "PG is 1 only with PE") \
    GUEST_RULE(X, GUEST_CR4_MUST_BE_1, GUEST_REGISTERS, (GUEST_CR4), ~V(GUEST_CR4) & w->env->caps.cr4_fixed0, \
      "bits that IA32_VMX_CR4_FIXED0 fixes to 1 are 1") \
    GUEST_RULE(X, GUEST_CR4_MUST_BE_0, GUEST_REGISTERS, (GUEST_CR4), V(GUEST_CR4) & ~w->env->caps.cr4_fixed1, \
      "bits that IA32_VMX_CR4_FIXED1 fixes to 0 are 0") \
    CR4_CET_RULE(X, GUEST_CR4_CET_NEEDS_WP, GUEST, GUEST_REGISTERS, GUEST_CR4, GUEST_CR0) \
    GUEST_RULE(X, GUEST_DEBUGCTL_RESERVED, GUEST_REGISTERS, (GUEST_DEBUGCTL, VM_ENTRY_CONTROLS), \
      ENTRY(LOAD_DEBUG_CONTROLS) && V(GUEST_DEBUGCTL) & w->env->debugctl_reserved, "reserved bits are 0 where debug controls are loaded") \
    GUEST_RULE(X, LONG_GUEST_CR0_PG, GUEST_REGISTERS, (GUEST_CR0, VM_ENTRY_CONTROLS), \
      w->long_mode && !(V(GUEST_CR0) & CR0_PG), "CR0.PG is 1 for an IA-32e mode guest") \
    GUEST_RULE(X, LONG_GUEST_CR4_PAE, GUEST_REGISTERS, (GUEST_CR4, VM_ENTRY_CONTROLS), \
      w->long_mode && !(V(GUEST_CR4) & CR4_PAE), "CR4.PAE is 1 for an IA-32e mode guest") \
    GUEST_RULE(X, GUEST_CR4_PCIDE, GUEST_REGISTERS, (GUEST_CR4, VM_ENTRY_CONTROLS), \
      !w->long_mode && V(GUEST_CR4) & CR4_PCIDE, "CR4.PCIDE is 1 only for an IA-32e mode guest") \
    GUEST_RULE(X, GUEST_CR4_FRED, GUEST_REGISTERS, (GUEST_CR4, VM_ENTRY_CONTROLS), \
      !w->long_mode && V(GUEST_CR4) & CR4_FRED, "CR4.FRED is 1 only for an IA-32e mode guest") \
    GUEST_RULE(X, GUEST_CR3_WIDTH, GUEST_REGISTERS, (GUEST_CR3), V(GUEST_CR3) & w->beyond_cr3, WITHIN_WIDTH) \
    GUEST_RULE(X, GUEST_DR7_HIGH, GUEST_REGISTERS, (GUEST_DR7, VM_ENTRY_CONTROLS), \
      ENTRY(LOAD_DEBUG_CONTROLS) && V(GUEST_DR7) >> 32, "bits 63:32 are 0 where debug controls are loaded") \
    CANONICAL_RULE(X, GUEST_SYSENTER_ESP_CANONICAL, GUEST, GUEST_REGISTERS, GUEST_SYSENTER_ESP, true) \
    CANONICAL_RULE(X, GUEST_SYSENTER_EIP_CANONICAL, GUEST, GUEST_REGISTERS, GUEST_SYSENTER_EIP, true) \
    PERF_RULE(X, GUEST_PERF_GLOBAL_CTRL, GUEST, GUEST_REGISTERS, GUEST_PERF_GLOBAL_CTRL, ENTRY(LOAD_PERF_GLOBAL_CTRL)) \
    PAT_RULE(X, GUEST_PAT, GUEST, GUEST_REGISTERS, GUEST_PAT, ENTRY(LOAD_PAT)) \
    GUEST_RULE(X, GUEST_EFER_RESERVED, GUEST_REGISTERS, (GUEST_EFER), ENTRY(LOAD_EFER) && V(GUEST_EFER) & w->env->efer_reserved, \
      "reserved bits are 0") \
    GUEST_RULE(X, GUEST_EFER_LMA, GUEST_REGISTERS, (GUEST_EFER, VM_ENTRY_CONTROLS), \
      ENTRY(LOAD_EFER) && !(V(GUEST_EFER) & EFER_LMA) != !w->long_mode, "LMA is what the IA-32e mode guest control is") \
    GUEST_RULE(X, GUEST_EFER_LME, GUEST_REGISTERS, (GUEST_EFER, GUEST_CR0), \
      ENTRY(LOAD_EFER) && V(GUEST_CR0) & CR0_PG && !(V(GUEST_EFER) & EFER_LMA) != !(V(GUEST_EFER) & EFER_LME), \
      "LME is LMA if CR0.PG is 1") \
    GUEST_RULE(X, GUEST_BNDCFGS_RESERVED, GUEST_REGISTERS, (GUEST_BNDCFGS), ENTRY(LOAD_BNDCFGS) && V(GUEST_BNDCFGS) & 0xffc, \
      "bits 11:2 are 0") \
    GUEST_RULE(X, GUEST_BNDCFGS_CANONICAL, GUEST_REGISTERS, (GUEST_BNDCFGS), \
      ENTRY(LOAD_BNDCFGS) && !canonical(w, V(GUEST_BNDCFGS) & ~0xfffull), "the address in bits 63:12 is canonical") \
    GUEST_RULE(X, GUEST_RTIT_CTL_RESERVED, GUEST_REGISTERS, (GUEST_RTIT_CTL), \
      ENTRY(LOAD_RTIT_CTL) && V(GUEST_RTIT_CTL) & RTIT_CTL_RESERVED, "bits 18, 23, 30:28, 54:48 and 63:57 are 0") \
    CET_RULES(X, GUEST, GUEST, GUEST_REGISTERS, ENTRY(LOAD_CET)) \
    CANONICAL_RULE(X, GUEST_S_CET_CANONICAL, GUEST, GUEST_REGISTERS, GUEST_S_CET, ENTRY(LOAD_CET)) \
    CANONICAL_RULE(X, GUEST_SSP_TABLE_CANONICAL, GUEST, GUEST_REGISTERS, GUEST_INTERRUPT_SSP_TABLE_ADDRESS, ENTRY(LOAD_CET)) \
    GUEST_RULE(X, GUEST_LBR_CTL_RESERVED, GUEST_REGISTERS, (GUEST_LBR_CTL), \
      ENTRY(LOAD_LBR_CTL) && V(GUEST_LBR_CTL) & ~0x7f000full, "bits 15:4 and 63:23 are 0") \
    PKRS_RULE(X, GUEST, GUEST, GUEST_REGISTERS, ENTRY(LOAD_PKRS)) \
    GUEST_RULE(X, GUEST_UINV_HIGH, GUEST_REGISTERS, (GUEST_UINV), ENTRY(LOAD_UINV) && V(GUEST_UINV) >> 8, "bits 15:8 are 0")

#define ENTRY_RULES_GUEST_FRED(X) FRED_RULES(X, GUEST, GUEST, GUEST_REGISTERS)

#define TABLE_RULES(X, R) \
    CANONICAL_RULE(X, GUEST_##R##_BASE_CANONICAL, GUEST, GUEST_TABLES, GUEST_##R##_BASE, true) \
    GUEST_RULE(X, GUEST_##R##_LIMIT_HIGH, GUEST_TABLES, (GUEST_##R##_LIMIT), V(GUEST_##R##_LIMIT) >> 16, "bits 31:16 of the limit are 0")

#define ENTRY_RULES_RIP(X) \
    TABLE_RULES(X, GDTR) \
    TABLE_RULES(X, IDTR) \
    GUEST_RULE(X, GUEST_RIP_HIGH, GUEST_RIP, (GUEST_RIP, VM_ENTRY_CONTROLS, GUEST_CS_ACCESS_RIGHTS), \
      !w->mode64 && V(GUEST_RIP) >> 32, "bits 63:32 are 0 outside 64-bit mode") \
    GUEST_RULE(X, GUEST_RIP_LINEAR, GUEST_RIP, (GUEST_RIP), w->mode64 && !linear(w, V(GUEST_RIP)), \
      "the bits beyond the linear-address width are all the same in 64-bit mode") \
    GUEST_RULE(X, GUEST_RFLAGS_MUST_BE_0, GUEST_RIP, (GUEST_RFLAGS), V(GUEST_RFLAGS) & ~0x3f7fd7ull, \
      "bits 63:22, 15, 5 and 3 are 0") \
    GUEST_RULE(X, GUEST_RFLAGS_MUST_BE_1, GUEST_RIP, (GUEST_RFLAGS), !(V(GUEST_RFLAGS) & RFLAGS_FIXED1), "bit 1 is 1") \
    GUEST_RULE(X, GUEST_RFLAGS_VM_LONG, GUEST_RIP, (GUEST_RFLAGS, VM_ENTRY_CONTROLS), w->v86 && w->long_mode, \
      "VM is 0 for an IA-32e mode guest") \
    GUEST_RULE(X, GUEST_RFLAGS_VM_REAL, GUEST_RIP, (GUEST_RFLAGS, GUEST_CR0), w->v86 && !(V(GUEST_CR0) & CR0_PE), \
      "VM is 0 if CR0.PE is 0") \
    GUEST_RULE(X, GUEST_RFLAGS_IF, GUEST_RIP, (GUEST_RFLAGS, VM_ENTRY_INTERRUPTION_INFO), \
      w->event.interrupt && !(V(GUEST_RFLAGS) & RFLAGS_IF), "IF is 1 if an external interrupt is injected") \
    GUEST_RULE(X, GUEST_SSP_ALIGNMENT, GUEST_RIP, (GUEST_SSP), ENTRY(LOAD_CET) && V(GUEST_SSP) & 3, "bits 1:0 are 0") \
    GUEST_RULE(X, GUEST_SSP_LINEAR, GUEST_RIP, (GUEST_SSP), ENTRY(LOAD_CET) && !linear(w, V(GUEST_SSP)), \
      "the bits beyond the linear-address width are all the same")

#define ACTIVITY_RULE(X, NAME, FIELD, broken, sentence) \
    GUEST_RULE(X, NAME, NON_REGISTER, (GUEST_ACTIVITY_STATE, FIELD), broken, sentence)
#define BLOCKING_RULE(X, NAME, FIELD, broken, sentence) \
    GUEST_RULE(X, NAME, NON_REGISTER, (GUEST_INTERRUPTIBILITY_STATE, FIELD), broken, sentence)
#define PENDING_RULE(X, NAME, FIELDS, broken, sentence) GUEST_RULE(X, NAME, NON_REGISTER, FIELDS, broken, sentence)
#define LINK_RULE(X, NAME, FIELDS, broken, sentence) \
    X(LINK_POINTER_##NAME, GUEST, ENTRY_FAILURE_LINK, NON_REGISTER, FIELDS, V(VMCS_LINK_POINTER) != ~0ull && (broken), sentence)

#define ENTRY_RULES_NON_REGISTER(X) \
    GUEST_RULE(X, ACTIVITY_RANGE, NON_REGISTER, (GUEST_ACTIVITY_STATE), w->activity > ACTIVITY_WAIT_FOR_SIPI, \
      "the activity state is at most 3") \
    GUEST_RULE(X, ACTIVITY_SUPPORTED, NON_REGISTER, (GUEST_ACTIVITY_STATE), !activity_supported(w), \
      "IA32_VMX_MISC has the activity state") \
    ACTIVITY_RULE(X, ACTIVITY_HLT_DPL, GUEST_SS_ACCESS_RIGHTS, w->activity == ACTIVITY_HLT && DPL(SS), \
      "the HLT state is one of privilege level 0: DPL of SS is 0") \
    ACTIVITY_RULE(X, ACTIVITY_BLOCKING, GUEST_INTERRUPTIBILITY_STATE, \
      w->activity && w->blocking & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS), "under blocking by STI or MOV SS the state is active") \
    ACTIVITY_RULE(X, ACTIVITY_HLT_EVENT, VM_ENTRY_INTERRUPTION_INFO, w->activity == ACTIVITY_HLT && w->event.valid && !wakes_hlt(w), \
      "into the HLT state only interrupts, NMI, #DB, #MC and MTF are injected") \
    ACTIVITY_RULE(X, ACTIVITY_SHUTDOWN_EVENT, VM_ENTRY_INTERRUPTION_INFO, \
      w->activity == ACTIVITY_SHUTDOWN && w->event.valid && !wakes_shutdown(w), "into the shutdown state only NMI and #MC are injected") \
    ACTIVITY_RULE(X, ACTIVITY_SIPI_EVENT, VM_ENTRY_INTERRUPTION_INFO, w->activity == ACTIVITY_WAIT_FOR_SIPI && w->event.valid, \
      "into the wait-for-SIPI state nothing is injected") \
    ACTIVITY_RULE(X, ACTIVITY_SIPI_SMM, VM_ENTRY_CONTROLS, w->activity == ACTIVITY_WAIT_FOR_SIPI && ENTRY(ENTRY_TO_SMM), \
      "the wait-for-SIPI state is not one of an entry to SMM") \
    GUEST_RULE(X, BLOCKING_RESERVED, NON_REGISTER, (GUEST_INTERRUPTIBILITY_STATE), w->blocking >> 5, "bits 31:5 are 0") \
    GUEST_RULE(X, BLOCKING_STI_AND_MOV_SS, NON_REGISTER, (GUEST_INTERRUPTIBILITY_STATE), \
      (~w->blocking & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS)) == 0, "not both STI and MOV SS block") \
    BLOCKING_RULE(X, BLOCKING_STI_NEEDS_IF, GUEST_RFLAGS, w->blocking & BLOCKING_BY_STI && !(V(GUEST_RFLAGS) & RFLAGS_IF), \
      "STI blocks only if RFLAGS.IF is 1") \
    BLOCKING_RULE(X, BLOCKING_STI_INTERRUPT, VM_ENTRY_INTERRUPTION_INFO, w->event.interrupt && w->blocking & BLOCKING_BY_STI, \
      "no external interrupt is injected under blocking by STI") \
    BLOCKING_RULE(X, BLOCKING_MOV_SS_INTERRUPT, VM_ENTRY_INTERRUPTION_INFO, w->event.interrupt && w->blocking & BLOCKING_BY_MOV_SS, \
      "no external interrupt is injected under blocking by MOV SS") \
    BLOCKING_RULE(X, BLOCKING_MOV_SS_NMI, VM_ENTRY_INTERRUPTION_INFO, w->event.nmi && w->blocking & BLOCKING_BY_MOV_SS, \
      "no NMI is injected under blocking by MOV SS") \
    GUEST_RULE(X, BLOCKING_SMI_OUTSIDE_SMM, NON_REGISTER, (GUEST_INTERRUPTIBILITY_STATE), w->blocking & BLOCKING_BY_SMI && !w->smm, \
      "blocking by SMI (bit 2) is 0 outside SMM") \
    BLOCKING_RULE(X, BLOCKING_SMI_IN_SMM, VM_ENTRY_CONTROLS, ENTRY(ENTRY_TO_SMM) && !(w->blocking & BLOCKING_BY_SMI), \
      "blocking by SMI (bit 2) is 1 on an entry to SMM") \
    BLOCKING_RULE(X, BLOCKING_NMI_NMI, VM_ENTRY_INTERRUPTION_INFO, w->event.nmi && PIN(VIRTUAL_NMIS) && w->blocking & BLOCKING_BY_NMI, \
      "under virtual NMIs no NMI is injected while NMIs are blocked") \
    GUEST_RULE(X, BLOCKING_ENCLAVE_MOV_SS, NON_REGISTER, (GUEST_INTERRUPTIBILITY_STATE), \
      (~w->blocking & (BLOCKING_BY_ENCLAVE | BLOCKING_BY_MOV_SS)) == 0, "an enclave is not interrupted (bit 4) under blocking by MOV SS") \
    GUEST_RULE(X, BLOCKING_ENCLAVE_NEEDS_SGX, NON_REGISTER, (GUEST_INTERRUPTIBILITY_STATE), \
      w->blocking & BLOCKING_BY_ENCLAVE && !entry_env_has(w->env, FEATURE_SGX), "enclave interruption (bit 4) is 1 only with SGX") \
    PENDING_RULE(X, PENDING_DEBUG_RESERVED, (GUEST_PENDING_DEBUG_EXCEPTIONS), \
      V(GUEST_PENDING_DEBUG_EXCEPTIONS) & w->env->pending_debug_reserved, \
      "bits 10:4, 13, 15 and 63:17 are 0, and bit 11 without bus-lock detection") \
    PENDING_RULE(X, PENDING_DEBUG_BS_MISSING, \
      (GUEST_PENDING_DEBUG_EXCEPTIONS, GUEST_RFLAGS, GUEST_DEBUGCTL, GUEST_INTERRUPTIBILITY_STATE), \
      w->step_pending && w->steps && !(V(GUEST_PENDING_DEBUG_EXCEPTIONS) & PENDING_DEBUG_BS), \
      "BS is 1 while single-stepping (TF, no BTF) under blocking by STI or MOV SS or in the HLT state") \
    PENDING_RULE(X, PENDING_DEBUG_BS_UNDUE, \
      (GUEST_PENDING_DEBUG_EXCEPTIONS, GUEST_RFLAGS, GUEST_DEBUGCTL, GUEST_INTERRUPTIBILITY_STATE), \
      w->step_pending && !w->steps && V(GUEST_PENDING_DEBUG_EXCEPTIONS) & PENDING_DEBUG_BS, \
      "BS is 0 without single-stepping (TF, no BTF) under blocking by STI or MOV SS or in the HLT state") \
    PENDING_RULE(X, PENDING_DEBUG_RTM_BITS, (GUEST_PENDING_DEBUG_EXCEPTIONS), \
      w->pending_rtm && (V(GUEST_PENDING_DEBUG_EXCEPTIONS) & 0xfffffffffffeffffull) != PENDING_DEBUG_ENABLED_BREAKPOINT, \
      "with RTM (bit 16), bit 12 is 1 and all others are 0") \
    PENDING_RULE(X, PENDING_DEBUG_NEEDS_RTM, (GUEST_PENDING_DEBUG_EXCEPTIONS), \
      w->pending_rtm && !entry_env_has(w->env, FEATURE_RTM), "RTM (bit 16) is 1 only on processors with RTM") \
    PENDING_RULE(X, PENDING_DEBUG_RTM_MOV_SS, (GUEST_PENDING_DEBUG_EXCEPTIONS, GUEST_INTERRUPTIBILITY_STATE), \
      w->pending_rtm && w->blocking & BLOCKING_BY_MOV_SS, "RTM (bit 16) is 0 under blocking by MOV SS") \
    LINK_RULE(X, ALIGNMENT, (VMCS_LINK_POINTER), V(VMCS_LINK_POINTER) & 0xfff, "the address is that of a page: bits 11:0 are 0") \
    LINK_RULE(X, WIDTH, (VMCS_LINK_POINTER), V(VMCS_LINK_POINTER) & w->beyond, WITHIN_WIDTH) \
    LINK_RULE(X, REVISION, (VMCS_LINK_POINTER, FACT_LINK_REVISION), \
      w->im->known & KNOWN_LINK && (V(LINK_REVISION) ^ w->env->caps.basic) & 0x7fffffff, \
      "bits 30:0 of what it points to are the VMCS revision of the processor") \
    LINK_RULE(X, SHADOW, (VMCS_LINK_POINTER, FACT_LINK_REVISION, SECONDARY_CONTROLS), \
      w->im->known & KNOWN_LINK && !(V(LINK_REVISION) & 0x80000000) != !SECONDARY(VMCS_SHADOWING), \
      "bit 31 of what it points to is the VMCS shadowing control") \
    LINK_RULE(X, CURRENT, (VMCS_LINK_POINTER), \
      (!w->smm || ENTRY(ENTRY_TO_SMM)) && V(VMCS_LINK_POINTER) == w->env->current_vmcs, "it is not the current VMCS") \
    LINK_RULE(X, EXECUTIVE, (VMCS_LINK_POINTER, EXECUTIVE_VMCS_POINTER), \
      w->smm && !ENTRY(ENTRY_TO_SMM) && V(VMCS_LINK_POINTER) == V(EXECUTIVE_VMCS_POINTER), \
      "it is not the executive-VMCS pointer on a return from SMM")

// One of the four entries of PAE paging, from the VMCS or from memory. Ones that are not present are ignored.
#define PDPTE_RULES(X, NAME, FIELD, AT, counts) \
    X(NAME##_RESERVED, GUEST, ENTRY_FAILURE_PDPTE, PDPTES, (FIELD, GUEST_CR0, GUEST_CR4), (counts) && V(AT) & 1 && V(AT) & 0x1e6, \
      "bits 8:5 and 2:1 are 0") \
    X(NAME##_WIDTH, GUEST, ENTRY_FAILURE_PDPTE, PDPTES, (FIELD, GUEST_CR0, GUEST_CR4), \
      (counts) && V(AT) & 1 && V(AT) & w->env->beyond_physical, WITHIN_WIDTH)

#define ENTRY_RULES_PDPTES(X) \
    PDPTE_RULES(X, GUEST_PDPTE0, GUEST_PDPTE0, GUEST_PDPTE0, w->pae && SECONDARY(EPT)) \
    PDPTE_RULES(X, GUEST_PDPTE1, GUEST_PDPTE1, GUEST_PDPTE1, w->pae && SECONDARY(EPT)) \
    PDPTE_RULES(X, GUEST_PDPTE2, GUEST_PDPTE2, GUEST_PDPTE2, w->pae && SECONDARY(EPT)) \
    PDPTE_RULES(X, GUEST_PDPTE3, GUEST_PDPTE3, GUEST_PDPTE3, w->pae && SECONDARY(EPT)) \
    PDPTE_RULES(X, MEMORY_PDPTE0, FACT_MEMORY_PDPTE0, MEMORY_PDPTE0, w->pae_from_memory) \
    PDPTE_RULES(X, MEMORY_PDPTE1, FACT_MEMORY_PDPTE1, MEMORY_PDPTE1, w->pae_from_memory) \
    PDPTE_RULES(X, MEMORY_PDPTE2, FACT_MEMORY_PDPTE2, MEMORY_PDPTE2, w->pae_from_memory) \
    PDPTE_RULES(X, MEMORY_PDPTE3, FACT_MEMORY_PDPTE3, MEMORY_PDPTE3, w->pae_from_memory)

// About one entry `e` of the VM-entry MSR-load area. Entries are processed in order, so the exit qualification
// is that of the first one that breaks any of these.
#define MSR_RULE(X, NAME, broken, sentence) \
    X(ENTRY_MSR_##NAME, MSR_LOAD, 0, MSRS, (VM_ENTRY_MSR_LOAD_ADDRESS, VM_ENTRY_MSR_LOAD_COUNT), broken, sentence)

#define ENTRY_RULES_MSRS(X) \
    MSR_RULE(X, FS_BASE, e->index == MSR_FS_BASE, "IA32_FS_BASE is not loaded from the list") \
    MSR_RULE(X, GS_BASE, e->index == MSR_GS_BASE, "IA32_GS_BASE is not loaded from the list") \
    MSR_RULE(X, X2APIC, e->index >> 8 == MSR_X2APIC_FIRST >> 8, "no register of the x2APIC (8xxh) is loaded from the list") \
    MSR_RULE(X, SMM, e->index == MSR_SMM_MONITOR_CTL && !w->smm, "IA32_SMM_MONITOR_CTL is loaded only from SMM") \
    MSR_RULE(X, RESERVED, e->reserved, "bits 63:32 of an entry are 0") \
    MSR_RULE(X, READ_ONLY, e->index == MSR_MTRRCAP || (e->index >= MSR_VMX_BASIC && e->index <= MSR_VMX_VMFUNC), \
      "an MSR that is loaded can be written") \
    MSR_RULE(X, CANONICAL, holds_address(e->index) && !canonical(w, e->value), "an address is canonical, or WRMSR would fault") \
    MSR_RULE(X, PAT, e->index == MSR_PAT && !pat_allowed(e->value), "each byte of IA32_PAT is 0, 1, 4, 5, 6 or 7, or WRMSR would fault") \
    MSR_RULE(X, EFER_RESERVED, e->index == MSR_EFER && e->value & w->env->efer_reserved, \
      "reserved bits of IA32_EFER are 0, or WRMSR would fault") \
    MSR_RULE(X, EFER_LME, e->index == MSR_EFER && V(GUEST_CR0) & CR0_PG && !(e->value & EFER_LME) != !w->long_mode, \
      "IA32_EFER.LME does not change under paging, or WRMSR would fault")
// clang-format on
