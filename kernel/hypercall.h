// Hypercalls: docs/abi.md, abi/micronova.h.
#pragma once
#include "vmx/vcpu.h"

// The number is known (RAX < HC_COUNT, in 32 bits unless `wide`); the result goes to RAX. The instruction is
// retired by the caller.
void hypercall(struct vcpu *v, bool wide);
