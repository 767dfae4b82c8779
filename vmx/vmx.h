// VMX on this box: capabilities, negotiated controls, VMX operation per processor. The rest of vmx/ sits on it:
//   vmcs     region and fields            controls  which bits, and why
//   entry    the way in and out (asm)     exit      dispatch; exit_*, cpuid, msr, cr: handlers
//   event    injection                    state     what a guest changes outside its VMCS
//   vcpu     life of a vCPU               diagnose  an abnormal end, in words
// Owns every VMCS and VMXON region. No locks: what is here is written by the boot processor before the
// others start; VMX state belongs to its processor.
#pragma once
#include "arch/list.h"
#include "arch/pcpu.h"
#include "arch/reason.h"
#include "arch/types.h"
#include "mm/dirty.h"
#include "vmx/controls.h"

// Per processor, found by struct pcpu's `vmx`.
struct vmx_cpu {
    hpa_t vmxon_region;
    bool on;
    struct vcpu *loaded; // whose state outside the VMCS is in the processor; survives idling
    struct seat *seat;   // in mm/: which space runs here
    struct list active;  // every struct vmcs that was loaded here and not cleared
};

extern struct vmx_caps vmx_caps;     // of the boot processor
extern struct controls vmx_controls; // what every VMCS gets
extern hpa_t vmx_msr_bitmap;         // one for all machines: the policy is the same for all
extern hpa_t vmx_msr_bitmap_x2apic;  // the same, but x2APIC registers that the processor virtualizes
extern uint8_t vmx_timer_rate;       // the preemption timer counts TSC ticks >> rate
// Fuel that goes with a setting of the preemption timer: FUEL where it is saved on exit, 0 where every exit
// starts it anew, so that it has to be set before every entry; -1: there is no such timer.
extern int32_t vmx_timer_fuel;
extern uint64_t vmx_cr0_must, vmx_cr4_must; // bits that are 1 in a guest whatever it wants

// Boot processor, after its page tables and features: reads capabilities, negotiates controls, builds what all
// machines share. `no_apicv`: why APIC virtualization is not wanted, NULL: it is, where the processor has it.
// E_UNSUPPORTED: the box cannot run machines, in one sentence; E_NO_MEMORY.
enum error vmx_init(const char *no_apicv, struct reason *why);
// Then: how writes are logged (mm/dirty.h), as wished or, where the processor cannot, in the next way that it can.
// DIRTY_METHOD_COUNT: the best. Returns it.
enum dirty_method vmx_choose_dirty(enum dirty_method wish);
// Another processor, before it has an id: sets and locks IA32_FEATURE_CONTROL where it is unlocked, compares its
// capabilities with the boot processor's. NULL, or what keeps it from taking part.
const char *vmx_cpu_differs(void);
// Every processor: enters VMX operation. E_UNSUPPORTED, E_NO_MEMORY.
enum error vmx_init_cpu(struct reason *why);
// VMXON with a region that has its revision. False: VMfail.
bool vmx_enter_operation(hpa_t region);
// Leaves VMX operation on this processor, every VMCS active on it cleared. Harmless outside VMX operation.
void vmx_off_cpu(void);
// The same in a panic: no VMCS is cleared, and no structure is trusted.
void vmx_off_now(void);

// Processors in VMX operation. Any processor may ask.
bool vmx_is_on(const struct pcpu *p);
uint32_t vmx_processors(void);

static inline struct vmx_cpu *this_vmx(void)
{
    return this_pcpu()->vmx;
}
