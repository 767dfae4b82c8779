// Messages between machines, as their vCPUs see them: hypercalls that send and receive, vCPUs that wait for a message.
// Ports and who waits for what are ipc/'s; here is how a vCPU waits, and how it gets what it waited for.
//
// A vCPU that waits is parked in state CPU_RECEIVES behind its VMCALL, and the answer goes into its registers: either
// by itself, when something woke it (ipc_look()), or by a sender on the same processor, who gives it the message by
// hand and lets it run on the rest of his turn.
#pragma once
#include "kernel/vm.h"

void ipc_init(void);
// The machine's vCPUs are about to run: its ports are theirs. / It has ended, and none of its vCPUs runs any more.
void ipc_start(struct vm *vm);
void ipc_forget(struct vm *vm);
// The vCPU has another home, where we are, and has not run there yet.
void ipc_settle(struct cpu *c);
// There will be no machine with this id.
void ipc_refuse(uint32_t id);

// A vCPU that receives, and was woken, goes on if it can. Its VMCS is current.
void ipc_look(struct cpu *c);
void ipc_patience_over(struct timeout *t); // of a vCPU that receives
// It receives no more; on its home.
void ipc_stop(struct cpu *c);
// Whether a message, the end of somebody, or one of `events` (bits by enum service_event) could still interrupt the
// machine.
bool ipc_can_interrupt(const struct vm *vm, uint32_t events);
