// Exits by exceptions, NMIs and interrupts of the box.
#include "arch/cpu.h"
#include "arch/exception.h"
#include "sdm/qualification.h"
#include "vmx/exit.h"
#include "vmx/state.h"

void exit_external_interrupt(struct vcpu *v, uint32_t interruption)
{
    interrupt_dispatch(decode_event(interruption).vector);
    vcpu_attention(v);
}

// A #DB that a guest was about to get did not change DR6, DR7 and DEBUGCTL yet (SDM, "Exit Qualification for
// Debug Exceptions"): that is done here. INT1 changes none of them (SDM, "INT n/INTO/INT3/INT1").
static void commit_debug(struct vcpu *v)
{
    state_use_debug(v);
    uint64_t conditions = vmread_nat(EXIT_QUALIFICATION);
    uint64_t flipped = conditions & (DR6_RTM | DR6_BLD); // these two mean "happened" by 0
    uint64_t set = conditions & (DR6_B0 | DR6_B1 | DR6_B2 | DR6_B3 | DR6_BD | DR6_BS);
    write_dr6(((read_dr6() & ~0xfull) | set | DR6_RTM) & ~flipped);
    vmwrite_nat(GUEST_DR7, vmread_nat(GUEST_DR7) & ~(uint64_t)DR7_GD);
    vmwrite64(GUEST_DEBUGCTL, vmread64(GUEST_DEBUGCTL) & ~(uint64_t)DEBUGCTL_LBR);
}

// With blocking by STI or MOV SS, the entry checks want the single-step trap pended whenever TF is set,
// although this event goes first and discards it (SDM, "Checks on Guest Non-Register State").
static void satisfy_entry_checks(void)
{
    uint32_t blocking = vmread32(GUEST_INTERRUPTIBILITY_STATE) & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS);
    if (blocking && vmread_nat(GUEST_RFLAGS) & RFLAGS_TF && !(vmread64(GUEST_DEBUGCTL) & DEBUGCTL_BTF))
        vmwrite_nat(GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_BS);
}

// The event that the exit kept from a guest, delivered as it was.
static void reflect(uint32_t interruption)
{
    struct event e = decode_event(interruption);
    if (e.nmi_unblocking && !decode_event(vmread32(IDT_VECTORING_INFO)).valid) // else the bit is undefined
        restore_nmi_blocking();
    inject_event(event_info(e.type, e.vector, e.error_code), vmread32(VM_EXIT_INTERRUPTION_ERROR_CODE),
                 vmread32(VM_EXIT_INSTRUCTION_LENGTH));
}

// #AC or #DB while another event was being delivered: what a processor makes of the pair (SDM, "Double Fault
// Exception"). Both are benign, so the second one is delivered and the first is lost, unless a double fault
// was under way: then the guest shuts down.
static bool shuts_down(void)
{
    struct event first = decode_event(vmread32(IDT_VECTORING_INFO));
    return first.valid && first.type == EVENT_HARDWARE_EXCEPTION && first.vector == EXC_DF;
}

void exit_exception(struct vcpu *v, uint32_t interruption)
{
    struct event e = decode_event(interruption);
    if (e.type == EVENT_NMI) {
        // Through the IDT, so that its IRET ends NMI blocking of this processor.
        __asm__ volatile("int $2" ::: "memory");
        vcpu_attention(v);
    } else if (e.vector == EXC_MC) {
        __asm__ volatile("int $18" ::: "memory");
        reinject_vectored_event();
    } else if (shuts_down()) {
        diagnose_end(v, END_TRIPLE_FAULT);
    } else {
        if (e.vector == EXC_DB && e.type == EVENT_HARDWARE_EXCEPTION)
            commit_debug(v);
        satisfy_entry_checks();
        reflect(interruption);
    }
}
