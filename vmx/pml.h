// Page-modification logging (SDM, "Page-Modification Logging"): the processor notes the guest-physical address whenever
// it sets a leaf's dirty flag, in a page of the vCPU's. What stands there goes to the dirty log of its space when the
// page is full, and before this processor counts as passed (vmx/state.c).
#pragma once
#include "vmx/vcpu.h"

// The page, where the processor is to note (vmx_choose_dirty). E_NO_MEMORY.
enum error pml_create(struct vcpu *v, uint16_t owner);
void pml_destroy(struct vcpu *v, uint16_t owner);
uint64_t pml_bytes(void);
// First contents of the VMCS fields. With its VMCS current.
void pml_setup(const struct vcpu *v);
// Hands over what is noted. On the processor where the VMCS is active or has to become so.
void pml_drain(struct vcpu *v);
