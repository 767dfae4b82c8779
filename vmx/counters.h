// Figures that the exit path keeps about itself, per processor, when it was told to; -E_UNSUPPORTED otherwise.
#pragma once
#include "abi/error.h"
#include "arch/types.h"

// The longest exit handler since the last call, TSC ticks (kernel option report=handlers).
int64_t counters_max_handler(void);
// VMREADs and VMWRITEs executed so far (a build with COUNT_VMCS=1).
int64_t counters_vmreads(void);
int64_t counters_vmwrites(void);
