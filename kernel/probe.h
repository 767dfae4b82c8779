// HC_PROBE: abi/probe.h, docs/probe.md. What a machine with caps=probe asks of vmx/probe.h: arguments copied in and
// results out.
#pragma once
#include "vmx/vcpu.h"

int64_t probe_call(struct vcpu *v, uint64_t op, uint64_t first, uint64_t second);
