// The scheduling loop of a processor: timeouts, machines that come and go, the next vCPU, idling.
#pragma once
#include "vmx/vcpu.h"

// Runs machines on this processor until none is left anywhere; does not return.
_Noreturn void turn_forever(void);
