// Hypercalls: docs/abi.md, abi/micronova.h.
#pragma once
#include "vmx/vcpu.h"

void hypercall(struct vcpu *v);
