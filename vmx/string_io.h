// INS and OUTS, one element an exit.
#pragma once
#include "sdm/qualification.h"
#include "vmx/vcpu.h"

void string_io(struct vcpu *v, const struct io_access *a);
