// What the log says of a machine that has ended, told step by step: no processor is kept for long by one that
// dies with a full screen.
#pragma once
#include "kernel/vm.h"

// One step of the report on an ended machine, about 20,000 instructions at most (what report=stats adds aside), when
// this processor's ring has room for it. True: all is told. On its home processor.
bool ending_tell(struct vm *vm);
