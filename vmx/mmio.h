// Instructions that reach a device's memory, which no EPT entry maps.
#pragma once
#include "vmx/vcpu.h"

// Emulates the instruction at RIP, whose access to gpa `at`, known to be a device's, made the EPT violation that
// `qualification` describes, or (0) an exit that tells nothing about linear addresses. One that the decoder does not
// know ends the machine, in words.
void mmio_emulate(struct vcpu *v, gpa_t at, uint64_t qualification);
