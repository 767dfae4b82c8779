// The abnormal end of a machine, in words.
#pragma once
#include "vmx/vcpu.h"

// Ends `v`'s machine because of the present exit, with a sentence made from it.
noinline_cold void diagnose_end(struct vcpu *v, enum ending how);
