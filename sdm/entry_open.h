// What the VM-entry rules leave open: the manual lets the model decide, its editions differ, or it takes more to
// know than an image holds. A row: name, stage (sdm/entry_rules.h), when the question arises, words.
#pragma once

// clang-format off
#define OPEN_QUESTIONS(X) \
    X(UNKNOWN_CONTROL, 1, unknown_controls(w), "a control is set that the table does not know") \
    X(SMM, 1, w->smm, "entries from SMM have rules about the executive VMCS that the table does not know") \
    X(VTPR, 1, w->looks_at_vtpr && !(w->im->known & KNOWN_VTPR), "VTPR was not read") \
    X(ERROR_CODE_BIT_15, 1, w->event.valid && w->event.code && V(VM_ENTRY_EXCEPTION_ERROR_CODE) & 1 << 15, \
      "editions of the manual differ in bit 15 of the error code") \
    X(ERROR_CODE_REAL, 1, w->event.code_unclear, \
      "editions of the manual differ in error codes with CR0.PE=0 without unrestricted guest") \
    X(HOST_CET_PART, 1, EXIT(LOAD_CET) && cet_part_missing(w, V(HOST_S_CET)), "a half of CET that this processor lacks is used") \
    X(HOST_CANONICAL, 1, w->env->linear_width > 48 && wider_than_48(w, host_addresses, array_length(host_addresses)), \
      "a host address is canonical by 57 bits and not by 48") \
    X(HOST_CR3_LAM, 1, V(HOST_CR3) & w->lam, "bits 62:61 of HOST_CR3 are set where there may be LAM") \
    X(HOST_PERF_METRICS, 1, EXIT(LOAD_PERF_GLOBAL_CTRL) && V(HOST_PERF_GLOBAL_CTRL) & 1ull << 48, "the model decides about bit 48 of HOST_PERF_GLOBAL_CTRL") \
    X(GUEST_CANONICAL, 2, w->env->linear_width > 48 && wider_than_48(w, guest_addresses, array_length(guest_addresses)), \
      "a guest address is canonical by 57 bits and not by 48") \
    X(GUEST_CR3_LAM, 2, V(GUEST_CR3) & w->lam, "bits 62:61 of GUEST_CR3 are set where there may be LAM") \
    X(GUEST_PERF_METRICS, 2, ENTRY(LOAD_PERF_GLOBAL_CTRL) && V(GUEST_PERF_GLOBAL_CTRL) & 1ull << 48, "the model decides about bit 48 of GUEST_PERF_GLOBAL_CTRL") \
    X(DEBUGCTL, 2, ENTRY(LOAD_DEBUG_CONTROLS) && V(GUEST_DEBUGCTL) & ~(w->env->debugctl_known | w->env->debugctl_reserved), \
      "the model decides about bits of GUEST_DEBUGCTL") \
    X(DEBUG_CONTROLS_KEPT, 2, !ENTRY(LOAD_DEBUG_CONTROLS) && (V(GUEST_DR7) >> 32 || V(GUEST_DEBUGCTL) & w->env->debugctl_reserved), \
      "the first processors check GUEST_DR7 and GUEST_DEBUGCTL though they are not loaded") \
    X(RTIT_CTL, 2, ENTRY(LOAD_RTIT_CTL) && V(GUEST_RTIT_CTL) & ~(RTIT_CTL_KNOWN | RTIT_CTL_RESERVED), \
      "the model decides about bits of GUEST_RTIT_CTL") \
    X(LBR_CTL, 2, ENTRY(LOAD_LBR_CTL) && V(GUEST_LBR_CTL) & ~7ull, "the model decides about bits of GUEST_LBR_CTL") \
    X(GUEST_CET_PART, 2, ENTRY(LOAD_CET) && cet_part_missing(w, V(GUEST_S_CET)), "a half of CET that this processor lacks is used") \
    X(NMI_UNDER_STI, 2, w->event.nmi && w->blocking & BLOCKING_BY_STI, "the model decides about an NMI injected under blocking by STI") \
    X(PDPTES, 2, w->pae && !SECONDARY(EPT) && (w->from_32bit || !(w->im->known & KNOWN_PDPTES)), \
      "the PDPTEs in memory were not read, or the model decides whether they are loaded") \
    X(LINK, 2, V(VMCS_LINK_POINTER) != ~0ull && !(w->im->known & KNOWN_LINK), "the VMCS at the link pointer was not read") \
    X(CURRENT_VMCS, 2, V(VMCS_LINK_POINTER) != ~0ull && w->env->current_vmcs == ~0ull, "the address of the current VMCS is not known") \
    X(MSRS, 3, V(VM_ENTRY_MSR_LOAD_COUNT) && !(w->im->known & KNOWN_MSRS), "the VM-entry MSR-load area was not read") \
    X(MSR_UNKNOWN, 3, false, "the table does not know which values an MSR in the list takes") \
    X(MSR_COUNT, 3, false, "the VM-entry MSR-load area has more entries than were read")
// clang-format on
