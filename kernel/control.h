// Machines by id, for those that may control others (caps=control; abi/micronova.h, HC_CONTROL).
//
// A controller only asks: the homes of the other's vCPUs do it, at their next turn. A paused machine's vCPUs are
// parked whatever wakes them. One that is to start again ends like any other, untold, and is built from its boot
// module as soon as its memory is back.
//
// Locking: one lock, taken before any other of kernel/, for the time of one request: a machine that was found
// under it is not destroyed meanwhile.
#pragma once
#include "kernel/vm.h"

void control_init(void);
// The machine's vCPUs go to their homes, and from now on it can be found.
void control_start(struct vm *vm, const struct verdict *verdict, struct blob image);
// None of its vCPUs runs any more: it is not found again. What the last controller left paused goes on.
void control_forget(struct vm *vm);
// There will be no machine with this id.
void control_refuse(uint32_t id);
// The n-th machine that has ended, or could not be built; NULL: there are not so many yet. No lock.
struct control_end {
    uint32_t id;
    enum ending how;
    uint64_t code; // with END_EXIT
};
const struct control_end *control_end(uint32_t n);
// The memory of a machine with how = END_AGAIN goes back: it can be built once more.
void control_again(uint32_t id);
// Builds one machine that is to start again. False: there is none. A chore, when no memory is on its way back.
bool control_step(void);

// Between these two no machine is found or forgotten by others.
void control_lock(void);
void control_unlock(void);
// The first machine whose id is *id or more, which becomes its id plus one; NULL: there is none. Under the lock.
struct vm *control_next(uint32_t *id);
// The machine of that id. Under the lock. NULL: there is none, -E_NOT_FOUND, or it is about to start again, -E_AGAIN.
struct vm *control_find(uint64_t id, int64_t *error);

// HC_CONTROL of `v`: what goes to RAX.
int64_t control_call(struct vcpu *v, uint64_t op, uint64_t id, uint64_t at, uint64_t bytes);
