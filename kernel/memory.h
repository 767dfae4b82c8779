// HC_MEMORY: what a machine asks about its own pages. docs/abi.md, "Memory".
#pragma once
#include "vmx/vcpu.h"

// The result for RAX.
int64_t memory_call(struct vcpu *v, uint64_t op, uint64_t a, uint64_t b, uint64_t c);
