// Where vCPUs live: per processor those that were built for it, those that are to leave, those that left.
#pragma once
#include "kernel/cpu.h"

void home_init(void);
// The processor with the fewest vCPUs among those that `allowed` (bit per id; 0: any) names, which has one more from
// now on; NULL: none of them runs machines. Any processor.
struct pcpu *home_choose(uint64_t allowed);
// One that was to live there, or did, is no more. Any processor.
void home_vacate(const struct pcpu *p);
// Gives `c` to its home, which starts it. Any processor.
void home_give(struct cpu *c);
// `c` is to leave its home, for good. Any processor, once; when all of its machine have left, kernel/home.c does it
// once more, for its home to forget it.
void home_take(struct cpu *c);
// One chore of this processor: starts a vCPU, a step of letting one go, or a move to a processor that asks for work.
// False: there is none.
bool home_step(void);
