// The scheduler: per processor a ring of the vCPUs that want to run, picked in O(1). It knows neither VMCS nor
// guest memory: a vCPU is a sched_node to it.
//
// No locks: a ring belongs to its processor alone, and so do the nodes whose home it is. Whoever wakes a vCPU
// from elsewhere leaves it in the home's inbox, a lock-free stack, and kicks; the home takes it from there.
// Invariants: a node is in its home's ring exactly when it is RUNNABLE; `current`, the one that runs, is in the
// ring too, so that going round moves nothing; NULL when none runs, and then `next` is who would be picked, or
// NULL when the ring is empty.
#pragma once
#include "arch/list.h"
#include "arch/types.h"

// States of a vCPU: CREATED -> RUNNABLE <-> PARKED; anything -> ENDED.
enum sched_state { SCHED_CREATED, SCHED_RUNNABLE, SCHED_PARKED, SCHED_ENDED };

struct pcpu;

struct sched_node {
    struct list link; // in the ring, or alone
    struct pcpu *home;
    enum sched_state state;
    uint32_t waking;          // in the inbox of its home
    struct sched_node *inbox; // next one there
    tsc_t quantum;            // a full turn, TSC ticks
    tsc_t turn_end;           // when the present turn is over; meaningful while it runs
    tsc_t turn_start;         // when it was last switched in
    uint64_t run_ticks;       // TSC ticks run in all turns that are over
};

struct runq {
    struct sched_node *current; // who runs
    struct sched_node *next;    // with current NULL: who runs next
    struct sched_node *inbox;   // pushed by any processor, taken whole by the home
};

void runq_init(struct runq *q);
void sched_node_init(struct sched_node *n, struct pcpu *home, tsc_t quantum);

// Makes a CREATED or PARKED vCPU runnable at the tail of its home's queue; harmless for one that is runnable
// already or has ended. Any processor: from another one it takes effect when the home does its chores.
void sched_wake(struct sched_node *n);
// Wakes who is in this processor's inbox.
void sched_take_inbox(struct runq *q);

// The running vCPU waits for sched_wake(); any vCPU never runs again. Own processor only.
void sched_park(struct sched_node *n, tsc_t now);
void sched_end(struct sched_node *n, tsc_t now);

// Who runs at `now` on a processor that runs somebody: the same one while its turn lasts, else the one behind it
// in the ring, who may be the same one again. Own processor only.
static inline struct sched_node *sched_next(struct runq *q, tsc_t now)
{
    struct sched_node *n = q->current;
    if (now.v < n->turn_end.v)
        return n;
    n->run_ticks += now.v - n->turn_start.v;
    n = list_entry(n->link.next, struct sched_node, link);
    n->turn_start = now;
    n->turn_end = tsc(now.v + n->quantum.v);
    q->current = n;
    return n;
}

// The same on any processor; NULL when nobody wants to run.
struct sched_node *sched_pick(struct runq *q, tsc_t now);

// The running vCPU gives up the rest of its turn: the next sched_pick() takes another if one waits.
static inline void sched_end_turn(struct sched_node *n)
{
    n->turn_end = tsc(0);
}

// TSC ticks that `n` has run up to `now`.
uint64_t sched_run_ticks(const struct sched_node *n, tsc_t now);
