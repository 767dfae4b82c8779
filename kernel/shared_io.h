// The ports of a machine with several vCPUs: its devices behind the machine's lock. A machine with one vCPU does
// without, so that its IN and OUT pay nothing.
#pragma once
#include "dev/io.h"

struct vm;

struct shared_io {
    struct io_map io;
    struct device guard; // all ports lead there
    struct vm *vm;
};

void shared_io_init(struct shared_io *s, struct vm *vm);
