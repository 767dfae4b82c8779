// HC_MEMORY: what a machine asks about pages, its own and, for the dirty log, others'. docs/abi.md, "Memory".
#pragma once
#include "vmx/vcpu.h"

// Arguments behind the operation.
struct memory_args {
    struct vcpu *v;
    uint64_t a, b, c, d;
};

// The result for RAX.
int64_t memory_call(struct vcpu *v, uint64_t op, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
