// The scheduler: per processor a round-robin queue of runnable vCPUs, picked in O(1). It knows neither
// VMCS nor guest memory: a vCPU is a sched_node to it.
//
// Locks: each queue has one, taken by its own processor and by whoever wakes a vCPU that lives there; it
// guards the queue's list and the state of the nodes whose home it is.
// Invariants: a node is in its home's list exactly when it is RUNNABLE and not the one that runs; at most
// one node of a queue is RUNNING, and that is `current`.
#pragma once
#include "arch/list.h"
#include "arch/lock.h"
#include "arch/types.h"

// States of a vCPU and the only changes that sched_set_state() allows:
//   CREATED -> RUNNABLE <-> RUNNING -> PARKED -> RUNNABLE;  anything -> ENDED
enum sched_state { SCHED_CREATED, SCHED_RUNNABLE, SCHED_RUNNING, SCHED_PARKED, SCHED_ENDED };

struct pcpu;

struct sched_node {
    struct list link;
    struct pcpu *home;
    enum sched_state state;
    tsc_t quantum;     // a full turn, TSC ticks
    tsc_t turn_end;    // when the present turn is over; meaningful while RUNNING
    tsc_t turn_start;  // when it was last switched in
    uint64_t run_ticks; // TSC ticks run in all turns that are over
};

struct runq {
    struct lock lock;
    struct list runnable;
    struct sched_node *current;
};

void runq_init(struct runq *q);
void sched_node_init(struct sched_node *n, struct pcpu *home, tsc_t quantum);

// Makes a CREATED or PARKED vCPU runnable at the tail of its home's queue and kicks that processor if it is
// another one. Harmless for one that is runnable already or has ended. Any processor.
void sched_wake(struct sched_node *n);

// The running vCPU waits for sched_wake(), or never runs again. Own processor only.
void sched_park(struct sched_node *n);
void sched_end(struct sched_node *n);

// The next vCPU of this processor at `now`, or NULL: the running one goes on while its turn lasts or
// nobody else waits (then a new turn begins), else it goes to the tail. Own processor only.
struct sched_node *sched_pick(struct runq *q, tsc_t now);

// The running vCPU gives up the rest of its turn: the next sched_pick() takes another if one waits.
void sched_yield(struct sched_node *n);

// TSC ticks that `n` has run up to `now`.
uint64_t sched_run_ticks(const struct sched_node *n, tsc_t now);
