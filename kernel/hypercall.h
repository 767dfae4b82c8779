// Hypercalls: docs/abi.md, abi/micronova.h. One function each, for the table of upcalls (kernel/turn.c): the
// machine called at CPL 0; the result goes to RAX; the instruction has retired.
#pragma once
#include "vmx/vcpu.h"

#define X(name, number) void hypercall_##name(struct vcpu *v);
HYPERCALLS(X)
#undef X
