// VMX on this box: capabilities, controls negotiated at start-up, VMX operation per processor.
// Everything here is written by the boot processor before the others start, and constant afterwards.
#pragma once
#include "arch/reason.h"
#include "arch/types.h"
#include "sdm/vmx_caps.h"
#include "vmx/controls.h"

extern struct vmx_caps vmx_caps;              // of the boot processor
extern struct controls vmx_controls;          // what every VMCS gets
extern hpa_t vmx_msr_bitmap;                  // one for all machines: policy is the same for all
extern bool vmx_has_save_timer, vmx_has_xsaves;

// Boot processor: reads capabilities and negotiates controls. A box that lacks something required is
// refused in one sentence that names it (E_UNSUPPORTED).
enum error vmx_init(struct reason *why);
// Every processor: sets and locks IA32_FEATURE_CONTROL where it is unlocked, compares capabilities with
// the boot processor's, executes VMXON. E_UNSUPPORTED: this processor cannot take part.
enum error vmx_init_cpu(struct reason *why);
// Clears the current VMCS and leaves VMX operation, on this processor. Harmless outside it.
void vmx_off_cpu(void);

void vmx_log_capabilities(void);
