// Which vCPUs of a machine sleep: halted without an alarm of their own, or waiting for a SIPI. When all do, and nothing
// else can wake one of them, the machine is stuck. Pure.
//
// What other machines do can wake it as long as there are some. The last machine of the box can only be told of what
// they left behind: whether it is stuck a chore decides, when there is nothing else to do.
//
// A vCPU is counted on its home alone; the counter tells also whether one woke since, so that who goes to sleep last
// can look at the others without stopping them: a sleeper sends nothing, so what is found quiet stays so while nobody
// woke.
#pragma once
#include "kernel/cpu.h"

// `c` runs no more, with interrupts on or not; its own timer may be an alarm. Call it again each time that it parks.
// True: its machine is stuck, and not the last one. On its home.
bool sleep_fall(struct cpu *c, bool interrupts_on);
// Somebody posted something for `c`, or it goes on. Before what was posted is taken over, so that it is seen by one of
// the two. On its home.
void sleep_rouse(struct cpu *c);

// All other machines are gone: the chore is due, on this processor.
void sleep_note_last(void);
// That chore: ends the last machine if it is stuck. Behind all other chores; false: it was not due.
bool sleep_step(void);
