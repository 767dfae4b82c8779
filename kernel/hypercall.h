// Hypercalls: docs/abi.md, abi/micronova.h. One function each, for the table of upcalls (kernel/cpu.c): the
// machine called at CPL 0; the result goes to RAX; the instruction has retired.
#pragma once
#include "vmx/vcpu.h"

#define X(name, number) void hypercall_##name(struct vcpu *v);
HYPERCALLS(X)
#undef X

// What they share: arguments, by the registers that abi/micronova.h names.
struct call {
    struct vcpu *v;
    bool wide; // 64-bit mode
};

enum { CALL_ARGS = 5 };

// The register of argument `i` (0 to 4); outside 64-bit mode its low half counts.
static inline uint64_t *call_register(const struct call *c, unsigned i)
{
    static const uint8_t registers64[CALL_ARGS] = {RDI, RSI, RDX, R10, R8},
                         registers32[CALL_ARGS] = {RBX, RCX, RDX, RSI, RDI};
    return &c->v->gpr[c->wide ? registers64[i] : registers32[i]];
}

static inline uint64_t call_arg(const struct call *c, unsigned i)
{
    uint64_t value = *call_register(c, i);
    return c->wide ? value : (uint32_t)value;
}

// Copies a name ([A-Za-z0-9._+-]+) of `bytes` into buf[max + 1] and terminates it. E_TOO_BIG, E_BAD_ADDRESS, E_INVALID.
enum error call_name(const struct call *c, uint64_t at, uint64_t bytes, char *buf, size_t max);
