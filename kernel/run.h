// From boot modules to machines, and from the last machine's end to the end of the box.
#pragma once
#include "boot/multiboot2.h"

struct pcpu;
struct vcpu;

// Homes of machines and the way to power-off. Before other processors start: they look for machines at once.
void run_init(void);

// What every other processor does once it is up: enters VMX operation and runs machines.
void run_processor(struct pcpu *p);
// Waits until all of them can run machines, or leaves out who cannot, with a line that says so.
void run_wait_for_processors(void);
// The scheduling loop of a processor (kernel/turn.c): timeouts, machines that come and go, the next vCPU, idling.
_Noreturn void turn_forever(void);
// One time round: the vCPU that this processor enters next.
struct vcpu *turn_next(void);
// Stands still for good, out of VMX operation, when the box is about to end. From the scheduling loop.
void run_stop_if_asked(void);
// Builds a machine from each module that is one and runs them to the end. `route` leads an ISA interrupt to a vector of
// the boot processor, or returns false.
_Noreturn void run_modules(const struct boot_info *boot, bool (*route)(uint8_t irq, uint8_t vector));
