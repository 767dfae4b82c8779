// Rules of VM entry about the VMCS itself and about VMX controls: SDM volume 3, "Basic VM-Entry Checks",
// "Checks on VMX Controls". Newer controls than its editions agree on are open questions
// (sdm/entry_open.h).
//
// A row: name, kind (how a broken rule shows), number (error of KIND_INSTRUCTION, exit qualification of
// KIND_GUEST), section, the fields it reads, when it is broken, what it demands. The words in which a row says
// when it is broken are those of sdm/entry_doctor.c: V(FIELD) is a value; PIN(X) ... ENTRY(X) is a control, 0
// also where the word that holds it is not activated.
#pragma once

// clang-format off
#define ENTRY_RULES_BASIC(X) \
    X(NO_CURRENT_VMCS,       INSTRUCTION, 0,  BASIC, (FACT_ATTEMPT), V(ATTEMPT) & ATTEMPT_NO_VMCS, \
      "a VMCS is current") \
    X(CURRENT_VMCS_SHADOW,   INSTRUCTION, 0,  BASIC, (FACT_ATTEMPT), V(ATTEMPT) & ATTEMPT_SHADOW_VMCS, \
      "the current VMCS is no shadow VMCS") \
    X(ENTRY_AFTER_MOV_SS,    INSTRUCTION, VM_ERROR_ENTRY_MOV_SS, BASIC, (FACT_ATTEMPT), V(ATTEMPT) & ATTEMPT_MOV_SS, \
      "MOV SS does not block events") \
    X(VMLAUNCH_NOT_CLEAR,    INSTRUCTION, VM_ERROR_VMLAUNCH_NOT_CLEAR, BASIC, (FACT_ATTEMPT), \
      (V(ATTEMPT) & (ATTEMPT_VMRESUME | ATTEMPT_LAUNCHED)) == ATTEMPT_LAUNCHED, \
      "VMLAUNCH finds the launch state clear") \
    X(VMRESUME_NOT_LAUNCHED, INSTRUCTION, VM_ERROR_VMRESUME_NOT_LAUNCHED, BASIC, (FACT_ATTEMPT), \
      (V(ATTEMPT) & (ATTEMPT_VMRESUME | ATTEMPT_LAUNCHED)) == ATTEMPT_VMRESUME, \
      "VMRESUME finds the launch state launched")

// An address of a structure: aligned, and of as many bits as the processor has (32 under IA32_VMX_BASIC bit 48).
#define ADDRESS_RULES(X, NAME, FIELD, control, low, alignment) \
    X(NAME##_ALIGNMENT, CONTROL, 0, EXECUTION, (FIELD), (control) && (V(FIELD) & (low)), alignment) \
    X(NAME##_WIDTH,     CONTROL, 0, EXECUTION, (FIELD), (control) && (V(FIELD) & w->beyond), WITHIN_WIDTH)
#define PAGE_RULES(X, NAME, FIELD, control) ADDRESS_RULES(X, NAME, FIELD, control, 0xfff, "the address is that of a page: bits 11:0 are 0")
#define WITHIN_WIDTH "the address sets no bit beyond the physical-address width"

// A control that takes another one for granted.
#define NEEDS_RULE(X, NAME, FIELD, control, OTHER_FIELD, other, sentence) \
    X(NAME, CONTROL, 0, EXECUTION, (FIELD, OTHER_FIELD), (control) && !(other), sentence)
// One of the same word.
#define WORD_NEEDS_RULE(X, NAME, FIELD, control, other, sentence) \
    X(NAME, CONTROL, 0, EXECUTION, (FIELD), (control) && !(other), sentence)

// Controls that the capability MSRs know no choice of: newer words have none that must be 1.
#define FORCED_RULE(X, WORD, FIELD, SECTION, value) \
    X(WORD##_CONTROLS_MUST_BE_1, CONTROL, 0, SECTION, (FIELD), ~(value) & w->env->control[WORD_##WORD].must_be_1, \
      "controls that the capability MSR forces to 1 are 1")
#define RESERVED_RULE(X, WORD, FIELD, SECTION, value) \
    X(WORD##_CONTROLS_MUST_BE_0, CONTROL, 0, SECTION, (FIELD), (value) & ~w->env->control[WORD_##WORD].may_be_1, \
      "controls that the capability MSR does not allow to be 1 are 0")

#define ENTRY_RULES_EXECUTION(X) \
    FORCED_RULE(X, PIN, PIN_BASED_CONTROLS, EXECUTION, w->pin) \
    RESERVED_RULE(X, PIN, PIN_BASED_CONTROLS, EXECUTION, w->pin) \
    FORCED_RULE(X, PRIMARY, PRIMARY_CONTROLS, EXECUTION, w->primary) \
    RESERVED_RULE(X, PRIMARY, PRIMARY_CONTROLS, EXECUTION, w->primary) \
    RESERVED_RULE(X, SECONDARY, SECONDARY_CONTROLS, EXECUTION, w->secondary) \
    RESERVED_RULE(X, TERTIARY, TERTIARY_CONTROLS, EXECUTION, w->tertiary) \
    X(CR3_TARGET_COUNT, CONTROL, 0, EXECUTION, (CR3_TARGET_COUNT), \
      V(CR3_TARGET_COUNT) > vmx_misc_cr3_targets(w->env->caps.misc), "IA32_VMX_MISC allows that many CR3 targets") \
    PAGE_RULES(X, IO_BITMAP_A, IO_BITMAP_A, PRIMARY(IO_BITMAPS)) \
    PAGE_RULES(X, IO_BITMAP_B, IO_BITMAP_B, PRIMARY(IO_BITMAPS)) \
    PAGE_RULES(X, MSR_BITMAP, MSR_BITMAP, PRIMARY(MSR_BITMAPS)) \
    PAGE_RULES(X, VIRTUAL_APIC, VIRTUAL_APIC_ADDRESS, PRIMARY(TPR_SHADOW)) \
    X(TPR_THRESHOLD_RESERVED, CONTROL, 0, EXECUTION, (TPR_THRESHOLD), \
      PRIMARY(TPR_SHADOW) && !SECONDARY(VIRTUAL_INTERRUPT_DELIVERY) && V(TPR_THRESHOLD) >> 4, \
      "bits 31:4 are 0 under a TPR shadow without virtual-interrupt delivery") \
    X(TPR_THRESHOLD_ABOVE_VTPR, CONTROL, 0, EXECUTION, (TPR_THRESHOLD, FACT_VTPR), \
      w->looks_at_vtpr && (w->im->known & KNOWN_VTPR) && (V(TPR_THRESHOLD) & 15) > (V(VTPR) >> 4 & 15), \
      "bits 3:0 are not above bits 7:4 of VTPR") \
    WORD_NEEDS_RULE(X, VIRTUAL_NMIS_NEED_NMI_EXITING, PIN_BASED_CONTROLS, PIN(VIRTUAL_NMIS), PIN(NMI_EXITING), \
      "virtual NMIs only with NMI exiting") \
    NEEDS_RULE(X, NMI_WINDOW_NEEDS_VIRTUAL_NMIS, PRIMARY_CONTROLS, PRIMARY(NMI_WINDOW_EXITING), PIN_BASED_CONTROLS, PIN(VIRTUAL_NMIS), \
      "NMI-window exiting only with virtual NMIs") \
    PAGE_RULES(X, APIC_ACCESS, APIC_ACCESS_ADDRESS, SECONDARY(APIC_ACCESSES)) \
    NEEDS_RULE(X, X2APIC_MODE_NEEDS_TPR_SHADOW, SECONDARY_CONTROLS, SECONDARY(X2APIC_MODE), PRIMARY_CONTROLS, PRIMARY(TPR_SHADOW), \
      "virtualized x2APIC mode only with a TPR shadow") \
    NEEDS_RULE(X, APIC_REGISTERS_NEED_TPR_SHADOW, SECONDARY_CONTROLS, SECONDARY(APIC_REGISTERS), PRIMARY_CONTROLS, PRIMARY(TPR_SHADOW), \
      "APIC-register virtualization only with a TPR shadow") \
    NEEDS_RULE(X, VIRTUAL_INTERRUPTS_NEED_TPR_SHADOW, SECONDARY_CONTROLS, SECONDARY(VIRTUAL_INTERRUPT_DELIVERY), PRIMARY_CONTROLS, \
      PRIMARY(TPR_SHADOW), "virtual-interrupt delivery only with a TPR shadow") \
    NEEDS_RULE(X, IPI_VIRTUALIZATION_NEEDS_TPR_SHADOW, TERTIARY_CONTROLS, TERTIARY(IPI_VIRTUALIZATION), PRIMARY_CONTROLS, \
      PRIMARY(TPR_SHADOW), "IPI virtualization only with a TPR shadow") \
    X(X2APIC_MODE_WITH_APIC_ACCESSES, CONTROL, 0, EXECUTION, (SECONDARY_CONTROLS), \
      SECONDARY(X2APIC_MODE) && SECONDARY(APIC_ACCESSES), "not both virtualized x2APIC mode and virtualized APIC accesses") \
    NEEDS_RULE(X, VIRTUAL_INTERRUPTS_NEED_INTERRUPT_EXITING, SECONDARY_CONTROLS, SECONDARY(VIRTUAL_INTERRUPT_DELIVERY), \
      PIN_BASED_CONTROLS, PIN(EXTERNAL_INTERRUPT_EXITING), "virtual-interrupt delivery only with external-interrupt exiting") \
    NEEDS_RULE(X, POSTED_INTERRUPTS_NEED_VIRTUAL_INTERRUPTS, PIN_BASED_CONTROLS, PIN(POSTED_INTERRUPTS), SECONDARY_CONTROLS, \
      SECONDARY(VIRTUAL_INTERRUPT_DELIVERY), "posted interrupts only with virtual-interrupt delivery") \
    NEEDS_RULE(X, POSTED_INTERRUPTS_NEED_ACKNOWLEDGE, PIN_BASED_CONTROLS, PIN(POSTED_INTERRUPTS), VM_EXIT_CONTROLS, \
      EXIT(ACKNOWLEDGE_INTERRUPT), "posted interrupts only with acknowledge interrupt on exit") \
    X(POSTED_INTERRUPT_VECTOR, CONTROL, 0, EXECUTION, (POSTED_INTERRUPT_VECTOR), \
      PIN(POSTED_INTERRUPTS) && V(POSTED_INTERRUPT_VECTOR) > 255, "the notification vector is at most 255") \
    ADDRESS_RULES(X, POSTED_INTERRUPT_DESCRIPTOR, POSTED_INTERRUPT_DESCRIPTOR, PIN(POSTED_INTERRUPTS), 0x3f, \
      "the descriptor is aligned to 64 bytes: bits 5:0 are 0") \
    X(VPID_ZERO, CONTROL, 0, EXECUTION, (VIRTUAL_PROCESSOR_ID), SECONDARY(VPID) && !V(VIRTUAL_PROCESSOR_ID), \
      "the VPID is not 0") \
    X(EPTP_MEMORY_TYPE, CONTROL, 0, EXECUTION, (EPT_POINTER), SECONDARY(EPT) && !eptp_type_allowed(w), \
      "the memory type (bits 2:0) is one of IA32_VMX_EPT_VPID_CAP") \
    X(EPTP_WALK_LENGTH, CONTROL, 0, EXECUTION, (EPT_POINTER), SECONDARY(EPT) && !eptp_walk_allowed(w), \
      "the page-walk length less 1 (bits 5:3) is one of IA32_VMX_EPT_VPID_CAP") \
    X(EPTP_ACCESSED_DIRTY, CONTROL, 0, EXECUTION, (EPT_POINTER), \
      SECONDARY(EPT) && V(EPT_POINTER) & 1 << 6 && !(w->env->caps.ept_vpid & EPT_CAP_ACCESSED_DIRTY), \
      "bit 6 is 0 where EPT has no accessed and dirty flags") \
    X(EPTP_SHADOW_STACK, CONTROL, 0, EXECUTION, (EPT_POINTER), \
      SECONDARY(EPT) && V(EPT_POINTER) & 1 << 7 && !(w->env->caps.ept_vpid & EPT_CAP_SUPERVISOR_SHADOW_STACK), \
      "bit 7 is 0 where EPT has no supervisor shadow-stack control") \
    X(EPTP_RESERVED, CONTROL, 0, EXECUTION, (EPT_POINTER), SECONDARY(EPT) && V(EPT_POINTER) & 0xf00, "bits 11:8 are 0") \
    X(EPTP_WIDTH, CONTROL, 0, EXECUTION, (EPT_POINTER), SECONDARY(EPT) && V(EPT_POINTER) & w->env->beyond_physical, WITHIN_WIDTH) \
    WORD_NEEDS_RULE(X, PML_NEEDS_EPT, SECONDARY_CONTROLS, SECONDARY(PML), SECONDARY(EPT), \
      "page-modification logging only with EPT") \
    PAGE_RULES(X, PML, PML_ADDRESS, SECONDARY(PML)) \
    WORD_NEEDS_RULE(X, UNRESTRICTED_GUEST_NEEDS_EPT, SECONDARY_CONTROLS, SECONDARY(UNRESTRICTED_GUEST), SECONDARY(EPT), \
      "unrestricted guest only with EPT") \
    WORD_NEEDS_RULE(X, MODE_BASED_EXECUTE_NEEDS_EPT, SECONDARY_CONTROLS, SECONDARY(MODE_BASED_EXECUTE), SECONDARY(EPT), \
      "mode-based execute control only with EPT") \
    WORD_NEEDS_RULE(X, SUB_PAGE_PERMISSIONS_NEED_EPT, SECONDARY_CONTROLS, SECONDARY(SUB_PAGE_PERMISSIONS), SECONDARY(EPT), \
      "sub-page write permissions only with EPT") \
    PAGE_RULES(X, SPPT_POINTER, SPPT_POINTER, SECONDARY(SUB_PAGE_PERMISSIONS)) \
    WORD_NEEDS_RULE(X, PT_GUEST_PHYSICAL_NEEDS_EPT, SECONDARY_CONTROLS, SECONDARY(PT_GUEST_PHYSICAL), SECONDARY(EPT), \
      "PT by guest-physical addresses only with EPT") \
    NEEDS_RULE(X, PT_GUEST_PHYSICAL_NEEDS_LOAD, SECONDARY_CONTROLS, SECONDARY(PT_GUEST_PHYSICAL), VM_ENTRY_CONTROLS, \
      ENTRY(LOAD_RTIT_CTL), "PT by guest-physical addresses only with IA32_RTIT_CTL loaded on entry") \
    NEEDS_RULE(X, PT_GUEST_PHYSICAL_NEEDS_CLEAR, SECONDARY_CONTROLS, SECONDARY(PT_GUEST_PHYSICAL), VM_EXIT_CONTROLS, \
      EXIT(CLEAR_RTIT_CTL), "PT by guest-physical addresses only with IA32_RTIT_CTL cleared on exit") \
    X(LOAD_RTIT_CTL_WHILE_TRACING, CONTROL, 0, EXECUTION, (VM_ENTRY_CONTROLS, FACT_ATTEMPT), \
      ENTRY(LOAD_RTIT_CTL) && V(ATTEMPT) & ATTEMPT_TRACING, "IA32_RTIT_CTL is loaded on entry only while PT does not trace") \
    X(TSC_MULTIPLIER_ZERO, CONTROL, 0, EXECUTION, (TSC_MULTIPLIER), SECONDARY(TSC_SCALING) && !V(TSC_MULTIPLIER), \
      "the multiplier is not 0") \
    RESERVED_RULE(X, FUNCTION, VM_FUNCTION_CONTROLS, EXECUTION, w->function) \
    NEEDS_RULE(X, EPTP_SWITCHING_NEEDS_EPT, VM_FUNCTION_CONTROLS, FUNCTION(EPTP_SWITCHING), SECONDARY_CONTROLS, SECONDARY(EPT), \
      "EPTP switching only with EPT") \
    PAGE_RULES(X, EPTP_LIST, EPTP_LIST_ADDRESS, FUNCTION(EPTP_SWITCHING)) \
    PAGE_RULES(X, VMREAD_BITMAP, VMREAD_BITMAP, SECONDARY(VMCS_SHADOWING)) \
    PAGE_RULES(X, VMWRITE_BITMAP, VMWRITE_BITMAP, SECONDARY(VMCS_SHADOWING)) \
    PAGE_RULES(X, VE_INFORMATION, VE_INFORMATION_ADDRESS, SECONDARY(EPT_VIOLATION_VE)) \
    PAGE_RULES(X, LOW_PASID_DIRECTORY, LOW_PASID_DIRECTORY, SECONDARY(PASID_TRANSLATION)) \
    PAGE_RULES(X, HIGH_PASID_DIRECTORY, HIGH_PASID_DIRECTORY, SECONDARY(PASID_TRANSLATION)) \
    NEEDS_RULE(X, HLAT_NEEDS_EPT, TERTIARY_CONTROLS, TERTIARY(HLAT), SECONDARY_CONTROLS, SECONDARY(EPT), "HLAT only with EPT") \
    ADDRESS_RULES(X, HLAT_POINTER, HLAT_POINTER, TERTIARY(HLAT), 0xfe7, "bits 11:5 and 2:0 are 0") \
    NEEDS_RULE(X, PAGING_WRITE_NEEDS_EPT, TERTIARY_CONTROLS, TERTIARY(EPT_PAGING_WRITE), SECONDARY_CONTROLS, SECONDARY(EPT), \
      "EPT paging-write control only with EPT") \
    NEEDS_RULE(X, PAGING_VERIFICATION_NEEDS_EPT, TERTIARY_CONTROLS, TERTIARY(GUEST_PAGING_VERIFICATION), SECONDARY_CONTROLS, \
      SECONDARY(EPT), "guest-paging verification only with EPT") \
    ADDRESS_RULES(X, PID_POINTER_TABLE, PID_POINTER_TABLE_ADDRESS, TERTIARY(IPI_VIRTUALIZATION), 7, \
      "the table is aligned to 8 bytes: bits 2:0 are 0") \
    X(PID_POINTER_TABLE_END, CONTROL, 0, EXECUTION, (PID_POINTER_TABLE_ADDRESS, LAST_PID_POINTER_INDEX), \
      TERTIARY(IPI_VIRTUALIZATION) && !(V(PID_POINTER_TABLE_ADDRESS) & w->beyond) && \
      ends_beyond(w, V(PID_POINTER_TABLE_ADDRESS), 8 * V(LAST_PID_POINTER_INDEX) + 8), \
      "the last entry of the table lies within the physical-address width")

// A list of MSRs, looked at where it has entries.
#define MSR_AREA_RULES(X, NAME, SECTION) \
    X(NAME##_ALIGNMENT, CONTROL, 0, SECTION, (NAME##_ADDRESS, NAME##_COUNT), V(NAME##_COUNT) && V(NAME##_ADDRESS) & 15, \
      "the area is aligned to 16 bytes: bits 3:0 are 0") \
    X(NAME##_WIDTH, CONTROL, 0, SECTION, (NAME##_ADDRESS, NAME##_COUNT), V(NAME##_COUNT) && V(NAME##_ADDRESS) & w->beyond, \
      WITHIN_WIDTH) \
    X(NAME##_END, CONTROL, 0, SECTION, (NAME##_ADDRESS, NAME##_COUNT), \
      V(NAME##_COUNT) && !(V(NAME##_ADDRESS) & w->beyond) && ends_beyond(w, V(NAME##_ADDRESS), 16 * V(NAME##_COUNT)), \
      "the last byte of the area (address + 16 * count - 1) lies within the physical-address width")

#define ENTRY_RULES_EXIT(X) \
    FORCED_RULE(X, EXIT, VM_EXIT_CONTROLS, EXIT, w->exit) \
    RESERVED_RULE(X, EXIT, VM_EXIT_CONTROLS, EXIT, w->exit) \
    RESERVED_RULE(X, EXIT2, SECONDARY_VM_EXIT_CONTROLS, EXIT, w->exit2) \
    X(SAVE_TIMER_NEEDS_TIMER, CONTROL, 0, EXIT, (VM_EXIT_CONTROLS, PIN_BASED_CONTROLS), \
      EXIT(SAVE_PREEMPTION_TIMER) && !PIN(PREEMPTION_TIMER), "the preemption timer is saved only where it is active") \
    MSR_AREA_RULES(X, VM_EXIT_MSR_STORE, EXIT) \
    MSR_AREA_RULES(X, VM_EXIT_MSR_LOAD, EXIT)

#define EVENT_RULE(X, NAME, broken, sentence) \
    X(NAME, CONTROL, 0, ENTRY, (VM_ENTRY_INTERRUPTION_INFO), w->event.valid && (broken), sentence)

#define ENTRY_RULES_ENTRY(X) \
    FORCED_RULE(X, ENTRY, VM_ENTRY_CONTROLS, ENTRY, w->entry) \
    RESERVED_RULE(X, ENTRY, VM_ENTRY_CONTROLS, ENTRY, w->entry) \
    EVENT_RULE(X, EVENT_TYPE, w->event.type == EVENT_RESERVED || (w->event.other && !w->event.other_exists), \
      "the type (bits 10:8) is not 1, nor 7 where there is neither monitor trap flag nor FRED") \
    EVENT_RULE(X, EVENT_NMI_VECTOR, w->event.type == EVENT_NMI && w->event.vector != EXC_NMI, "an NMI has vector 2") \
    EVENT_RULE(X, EVENT_EXCEPTION_VECTOR, w->event.type == EVENT_HARDWARE_EXCEPTION && w->event.vector > 31, \
      "a hardware exception has a vector of at most 31") \
    EVENT_RULE(X, EVENT_OTHER_VECTOR, w->event.other && w->event.other_exists && !other_vector_allowed(w), \
      "another event has vector 0 (a pending MTF VM exit), or under FRED 1 (SYSCALL) or 2 (SYSENTER)") \
    X(EVENT_ERROR_CODE_MISSING, CONTROL, 0, ENTRY, (VM_ENTRY_INTERRUPTION_INFO, GUEST_CR0), w->event.code_due && !w->event.code, \
      "#DF, #TS, #NP, #SS, #GP, #PF and #AC are delivered with an error code in protected mode") \
    X(EVENT_ERROR_CODE_UNDUE, CONTROL, 0, ENTRY, (VM_ENTRY_INTERRUPTION_INFO, GUEST_CR0), w->event.code_undue && w->event.code, \
      "no other event, and none in real-address mode, is delivered with an error code") \
    EVENT_RULE(X, EVENT_NESTED, w->event.info & EVENT_INFO_NESTED && (w->event.type != EVENT_HARDWARE_EXCEPTION || \
      !(w->env->caps.basic & VMX_BASIC_NESTED_EXCEPTION)), \
      "only a hardware exception is a nested one (bit 13), where IA32_VMX_BASIC bit 58 is 1") \
    EVENT_RULE(X, EVENT_RESERVED, w->event.info & EVENT_INFO_RESERVED & ~EVENT_INFO_NESTED, "bits 30:14 and 12 are 0") \
    X(EVENT_ERROR_CODE_RESERVED, CONTROL, 0, ENTRY, (VM_ENTRY_EXCEPTION_ERROR_CODE, VM_ENTRY_INTERRUPTION_INFO), \
      w->event.valid && w->event.code && V(VM_ENTRY_EXCEPTION_ERROR_CODE) >> 16, "bits 31:16 of the error code are 0") \
    X(EVENT_LENGTH, CONTROL, 0, ENTRY, (VM_ENTRY_INSTRUCTION_LENGTH, VM_ENTRY_INTERRUPTION_INFO), \
      w->event.software && V(VM_ENTRY_INSTRUCTION_LENGTH) > 15, "a software event has an instruction length of at most 15") \
    X(EVENT_LENGTH_ZERO, CONTROL, 0, ENTRY, (VM_ENTRY_INSTRUCTION_LENGTH, VM_ENTRY_INTERRUPTION_INFO), \
      w->event.software && !V(VM_ENTRY_INSTRUCTION_LENGTH) && !(w->env->caps.misc & VMX_MISC_LENGTH_0), \
      "a software event has an instruction length of 0 only where IA32_VMX_MISC bit 30 is 1") \
    MSR_AREA_RULES(X, VM_ENTRY_MSR_LOAD, ENTRY) \
    X(ENTRY_TO_SMM_OUTSIDE_SMM, CONTROL, 0, ENTRY, (VM_ENTRY_CONTROLS), ENTRY(ENTRY_TO_SMM) && !w->smm, \
      "entry to SMM only from SMM") \
    X(DUAL_MONITOR_OUTSIDE_SMM, CONTROL, 0, ENTRY, (VM_ENTRY_CONTROLS), ENTRY(DEACTIVATE_DUAL_MONITOR) && !w->smm, \
      "the dual-monitor treatment is deactivated only from SMM") \
    X(ENTRY_TO_SMM_WITHOUT_MONITOR, CONTROL, 0, ENTRY, (VM_ENTRY_CONTROLS), \
      ENTRY(ENTRY_TO_SMM) && ENTRY(DEACTIVATE_DUAL_MONITOR), "not both entry to SMM and the end of the dual-monitor treatment")
// clang-format on
