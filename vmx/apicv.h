// APIC virtualization by the processor: what VMCSs and EPT need for it. vmx/vcpu.h has the rest. All of it is there
// only with vmx_controls.apicv.
#pragma once
#include "arch/reason.h"
#include "vmx/vcpu.h"

// Once, after msr_policy_init(): what all machines share. E_NO_MEMORY.
enum error apicv_init(struct reason *why);
// The vCPU's virtual-APIC page. E_NO_MEMORY.
enum error apicv_create(struct vcpu *v, uint16_t owner);
void apicv_destroy(struct vcpu *v, uint16_t owner);
// The fields of the current VMCS that belong to it, for v->apic_help, with nothing requested or in service.
void apicv_setup(struct vcpu *v);
