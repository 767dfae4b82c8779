// VM-exit dispatch. What happens is in the handlers; this page only finds them.
#include "vmx/exit.h"
#include "arch/cpu.h"
#include "arch/pcpu.h"
#include "sdm/exit_reason.h"
#include "vmx/microscope.h"
#include "vmx/state.h"
#include "vmx/tags_check.h"

struct vcpu *vmx_exit(struct vcpu *v);
struct vcpu *vmx_exit_watched(struct vcpu *v);

// Instructions that do not exist for a guest: VMX and SMX are not virtualized, MONITOR/MWAIT are hidden.
static void exit_undefined(struct vcpu *v)
{
    vcpu_inject_fault(v, EXC_UD, 0);
}

// There is no PMU for a guest: every counter index is wrong (SDM, "RDPMC").
static void exit_general_protection(struct vcpu *v)
{
    vcpu_inject_fault(v, EXC_GP, 0);
}

// INVD and WBINVD: memory is coherent without them, and they would hurt every other machine.
static void exit_nothing_to_do(struct vcpu *v)
{
    (void)v;
    skip_instruction();
}

// The guest can take now what it could not before.
static void exit_window(struct vcpu *v)
{
    if (!vcpu_upcalls.events(v))
        vcpu_attention(v);
}

static void exit_preemption_timer(struct vcpu *v)
{
    vcpu_attention(v);
}

static void exit_triple_fault(struct vcpu *v)
{
    diagnose_end(v, END_TRIPLE_FAULT);
}

static noinline_cold void exit_unhandled(struct vcpu *v)
{
    diagnose_end(v, END_UNHANDLED);
}

// A failed entry has reason bit 31 set: the guest never ran, and only reason and qualification are valid.
static noinline_cold void exit_entry_failed(struct vcpu *v)
{
    diagnose_end(v, END_ENTRY_FAILED);
}

// What is read before the handler runs, and given to it.
#define NOTHING(handler)       handler(v)
#define QUALIFICATION(handler) handler(v, vmread_nat(EXIT_QUALIFICATION))
#define INTERRUPTION(handler)  handler(v, vmread32(VM_EXIT_INTERRUPTION_INFO))

// Basic exit reason, what to read first, handler. A reason without a row ends the machine, in words.
// clang-format off
#define EXITS(X) \
    X(EXCEPTION_OR_NMI,         INTERRUPTION,  exit_exception) \
    X(EXTERNAL_INTERRUPT,       INTERRUPTION,  exit_external_interrupt) \
    X(TRIPLE_FAULT,             NOTHING,       exit_triple_fault) \
    X(INTERRUPT_WINDOW,         NOTHING,       exit_window) \
    X(NMI_WINDOW,               NOTHING,       exit_window) \
    X(TASK_SWITCH,              QUALIFICATION, exit_task_switch) \
    X(CPUID,                    NOTHING,       exit_cpuid) \
    X(GETSEC,                   NOTHING,       exit_undefined) \
    X(HLT,                      NOTHING,       exit_hlt) \
    X(INVD,                     NOTHING,       exit_nothing_to_do) \
    X(RDPMC,                    NOTHING,       exit_general_protection) \
    X(VMCALL,                   NOTHING,       exit_vmcall) \
    X(VMCLEAR,                  NOTHING,       exit_undefined) \
    X(VMLAUNCH,                 NOTHING,       exit_undefined) \
    X(VMPTRLD,                  NOTHING,       exit_undefined) \
    X(VMPTRST,                  NOTHING,       exit_undefined) \
    X(VMREAD,                   NOTHING,       exit_undefined) \
    X(VMRESUME,                 NOTHING,       exit_undefined) \
    X(VMWRITE,                  NOTHING,       exit_undefined) \
    X(VMXOFF,                   NOTHING,       exit_undefined) \
    X(VMXON,                    NOTHING,       exit_undefined) \
    X(CR_ACCESS,                QUALIFICATION, exit_cr_access) \
    X(MOV_DR,                   NOTHING,       state_use_debug) \
    X(IO_INSTRUCTION,           QUALIFICATION, exit_io) \
    X(RDMSR,                    NOTHING,       exit_rdmsr) \
    X(WRMSR,                    NOTHING,       exit_wrmsr) \
    X(MWAIT,                    NOTHING,       exit_undefined) \
    X(MONITOR,                  NOTHING,       exit_undefined) \
    X(APIC_ACCESS,              QUALIFICATION, exit_apic_access) \
    X(VIRTUALIZED_EOI,          QUALIFICATION, exit_virtualized_eoi) \
    X(EPT_VIOLATION,            QUALIFICATION, exit_ept_violation) \
    X(INVEPT,                   NOTHING,       exit_undefined) \
    X(PREEMPTION_TIMER,         NOTHING,       exit_preemption_timer) \
    X(INVVPID,                  NOTHING,       exit_undefined) \
    X(WBINVD,                   NOTHING,       exit_nothing_to_do) \
    X(XSETBV,                   NOTHING,       exit_xsetbv) \
    X(PML_FULL,                 QUALIFICATION, exit_pml_full) \
    X(APIC_WRITE,               QUALIFICATION, exit_apic_write)
// clang-format on

#define X(reason, read, handler)            \
    static void on_##reason(struct vcpu *v) \
    {                                       \
        read(handler);                      \
    }
EXITS(X)
#undef X

static void (*const exit_table[EXIT_REASONS_COUNTED])(struct vcpu *) = {
    [0 ... EXIT_REASONS_COUNTED - 1] = exit_unhandled,
#define X(reason, read, handler) [REASON_##reason] = on_##reason,
    EXITS(X)
#undef X
};

static noinline_cold void exit_rare(struct vcpu *v, uint64_t reason)
{
    if (reason & REASON_ENTRY_FAILURE)
        exit_entry_failed(v);
    else
        exit_unhandled(v);
}

// From the stub, with the guest's registers in `v` and this processor's stack; returns the vCPU to enter, which is
// another one if the handler has handed over (vcpu_hand_over()). What is under the microscope comes through the other
// stub and has the same way, compiled a second time.
static inline __attribute__((always_inline)) struct vcpu *dispatch(struct vcpu *v, bool watched)
{
    tags_check_exit(v);
    uint64_t reason = vmread_raw(EXIT_REASON);
    if (likely(reason < EXIT_REASONS_COUNTED)) {
        v->exits[reason]++;
        exit_table[reason](v);
    } else {
        exit_rare(v, reason);
    }
    struct vcpu *next = this_vcpu();
    if (unlikely(--next->fuel < 0))
        return vcpu_upcalls.turn();
    return watched ? microscope_note(next) : next;
}

struct vcpu *vmx_exit(struct vcpu *v)
{
    return tags_check_entry(dispatch(v, false));
}

struct vcpu *vmx_exit_watched(struct vcpu *v)
{
    return tags_check_entry(dispatch(v, true));
}
