// Who may hold how much of the box's memory: targets of machines with balloon= on their lines.
//
// Each has what mem= promises. What is promised to nobody is shared among those that want more, equally, as far as each
// wants; a sixteenth stays free for page tables and what is built later. Targets are set anew when a machine comes,
// goes, or wants something else; whose target changed gets the vector that it asked for. Nobody is forced to give: who
// holds more than its target gets no more pages until it holds less.
//
// Locking: targets change under the lock of kernel/control.c, and are read without.
#pragma once
#include "kernel/vm.h"

void balloon_init(struct vm *vm);
// Something changed: a chore of this processor sets the targets anew.
void balloon_changed(void);
// That chore, when no memory is on its way back. False: there is nothing to do.
bool balloon_step(void);
// That is so: nobody will be told of targets or of memory before something else happens. Certain under control_lock().
bool balloon_at_rest(void);

// Whether less than a sixteenth of the box was free when somebody looked last, and no more than an eighth since.
bool balloon_memory_is_short(void);

// Operations of HC_MEMORY (kernel/memory.h): see abi/micronova.h, enum memory_op.
struct memory_args;
int64_t balloon_give(const struct memory_args *args);
int64_t balloon_take(const struct memory_args *args);
int64_t balloon_figure(const struct memory_args *args);
int64_t balloon_want(const struct memory_args *args);
int64_t balloon_event(const struct memory_args *args);
