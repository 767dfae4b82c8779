// INS and OUTS, one element an exit.
#pragma once
#include "vmx/vcpu.h"

noinline_cold void string_io(struct vcpu *v, uint64_t qualification);
