// Events injected at VM entry (SDM, "Event Injection").
#include "sdm/qualification.h"
#include "vmx/exit.h"

void inject_event(uint32_t info, uint32_t error_code, uint32_t length)
{
    vmwrite32(VM_ENTRY_INTERRUPTION_INFO, info);
    if (info & EVENT_INFO_ERROR_CODE)
        vmwrite32(VM_ENTRY_EXCEPTION_ERROR_CODE, error_code);
    if (event_has_length(decode_event(info).type))
        vmwrite32(VM_ENTRY_INSTRUCTION_LENGTH, length);
}

// In real-address mode exceptions have no error code (SDM, "Checks on VM-Entry Control Fields").
void vcpu_inject_fault(struct vcpu *v, unsigned vector, uint32_t error_code)
{
    (void)v;
    bool with_code = exceptions[vector].error_code && vmread_nat(GUEST_CR0) & CR0_PE;
    // A fault is delivered with RF set in the pushed flags, so that an instruction breakpoint on it does not
    // fire twice (SDM, "Instruction-Breakpoint Exception Condition").
    vmwrite_nat(GUEST_RFLAGS, vmread_nat(GUEST_RFLAGS) | RFLAGS_RF);
    inject_event(event_info(EVENT_HARDWARE_EXCEPTION, (uint8_t)vector, with_code), error_code, 0);
}

bool reinject_vectored_event(void)
{
    uint32_t info = vmread32(IDT_VECTORING_INFO);
    if (likely(!(info & EVENT_INFO_VALID)))
        return false;
    inject_event(event_reinject(info), vmread32(IDT_VECTORING_ERROR_CODE),
                 vmread32(VM_EXIT_INSTRUCTION_LENGTH));
    // An NMI that is delivered again must not find itself blocked.
    if (decode_event(info).type == EVENT_NMI)
        vmwrite32(GUEST_INTERRUPTIBILITY_STATE,
                  vmread32(GUEST_INTERRUPTIBILITY_STATE) & ~(uint32_t)BLOCKING_BY_NMI);
    return true;
}

void restore_nmi_blocking(void)
{
    vmwrite32(GUEST_INTERRUPTIBILITY_STATE, vmread32(GUEST_INTERRUPTIBILITY_STATE) | BLOCKING_BY_NMI);
}

// ---- Interrupts and NMIs (SDM, "Interrupt-Window Exiting and Virtual-Interrupt Delivery", "NMI-Window Exiting") ----

static bool event_waits(void)
{
    return vmread32(VM_ENTRY_INTERRUPTION_INFO) & EVENT_INFO_VALID;
}

bool vcpu_interrupts_on(const struct vcpu *v)
{
    (void)v;
    return vmread_nat(GUEST_RFLAGS) & RFLAGS_IF;
}

bool vcpu_takes_interrupt(const struct vcpu *v)
{
    (void)v;
    uint32_t blocking = BLOCKING_BY_STI | BLOCKING_BY_MOV_SS;
    return vmread_nat(GUEST_RFLAGS) & RFLAGS_IF && !(vmread32(GUEST_INTERRUPTIBILITY_STATE) & blocking) &&
           !event_waits();
}

void vcpu_inject_interrupt(struct vcpu *v, uint8_t vector)
{
    (void)v;
    vmwrite32(VM_ENTRY_INTERRUPTION_INFO, event_info(EVENT_EXTERNAL_INTERRUPT, vector, false));
}

// Some processors refuse an NMI under blocking by STI too.
bool vcpu_takes_nmi(const struct vcpu *v)
{
    (void)v;
    uint32_t blocking = BLOCKING_BY_STI | BLOCKING_BY_MOV_SS | BLOCKING_BY_NMI;
    return !(vmread32(GUEST_INTERRUPTIBILITY_STATE) & blocking) && !event_waits();
}

void vcpu_inject_nmi(struct vcpu *v)
{
    (void)v;
    inject_event(event_info(EVENT_NMI, EXC_NMI, false), 0, 0);
}

static void set_windows(struct vcpu *v, uint32_t windows)
{
    uint32_t all = PRIMARY_INTERRUPT_WINDOW_EXITING | PRIMARY_NMI_WINDOW_EXITING;
    v->windows = windows;
    vmwrite32(PRIMARY_CONTROLS, (vmread32(PRIMARY_CONTROLS) & ~all) | windows);
}

// Without virtual NMIs there is no NMI window: the next turn looks again.
void vcpu_want_windows(struct vcpu *v, bool interrupt, bool nmi)
{
    uint32_t windows = interrupt ? (uint32_t)PRIMARY_INTERRUPT_WINDOW_EXITING : 0;
    if (nmi && vmx_controls.pin & PIN_VIRTUAL_NMIS)
        windows |= (uint32_t)PRIMARY_NMI_WINDOW_EXITING;
    if (unlikely(windows != v->windows))
        set_windows(v, windows);
}
