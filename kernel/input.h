// Bytes that arrive at the box's serial ports, on their way to one machine's: the first whose line says input=serial,
// until it has ended; then one that starts after that. Bytes wait in a ring until there is such a machine and its
// receiver has room; what finds the ring full is lost, as a receiver loses what nobody reads.
//
// The processor that takes the ports' interrupt puts bytes in, the home of the machine's first vCPU takes them out.
#pragma once
#include "arch/types.h"

struct vm;

enum { INPUT_RING = 256 };

// From the interrupt.
void input_put(const char *bytes, size_t n);
// How many were lost.
uint32_t input_lost(void);

// A machine with input=serial is about to run / has ended and none of its vCPUs runs any more.
void input_start(struct vm *vm);
void input_forget(struct vm *vm);
// Whether what arrives goes to it.
bool input_is_for(const struct vm *vm);
// Tells that machine, if there is one, that something waits; so it is found again, too, where it is to go has changed.
void input_tell(void);
// For a machine that is told by message (kernel/service_console.c): takes up to `n` bytes. Under its lock.
size_t input_take(const struct vm *vm, char *bytes, size_t n);
// Gives it what its receiver has room for; the receiver asks again when it has some more. On its home, under its lock.
void input_deliver(struct vm *vm);
