// The scheduler: per processor a ring of the vCPUs that want to run, picked in O(1). It knows neither VMCS nor
// guest memory: a vCPU is a sched_node to it.
//
// No locks: a ring belongs to its processor alone, and so do the nodes whose home it is. Whoever wakes a vCPU
// from elsewhere leaves it in the home's inbox, a lock-free stack, and kicks; the home takes it from there.
// Invariants: a node is in its home's ring exactly when it is RUNNABLE; `current`, the one that runs, is in the
// ring too, so that going round moves nothing; NULL when none runs, and then `next` is who would be picked, or
// NULL when the ring is empty. A turn may be lent (sched_handoff()): from `first`, whose turn it was, to `current`
// stand in the ring who lent it to whom, nobody between them, and nobody but the last of them runs.
//
// Shares go by weight. A turn lasts weight x `unit` ticks, and in a round, in which each of the ring has one turn,
// `unit` is the same for all: so large that nobody's turn exceeds its quantum. Where everybody has the same quantum
// a unit of weight, turns are quanta, rounds need not be told apart, and the ring is called plain.
#pragma once
#include "arch/list.h"
#include "arch/panic.h"
#include "arch/pcpu.h"
#include "arch/types.h"

// States of a vCPU: CREATED -> RUNNABLE <-> PARKED; RUNNABLE <-> MOVING; anything -> ENDED.
enum sched_state { SCHED_CREATED, SCHED_RUNNABLE, SCHED_PARKED, SCHED_MOVING, SCHED_ENDED };

struct pcpu;

struct sched_node {
    struct list link;  // in the ring, while RUNNABLE
    struct pcpu *home; // read by sched_home(); changed under `waking`
    uint64_t allowed;  // where it may live, bit per processor id
    enum sched_state state;
    uint32_t waking;          // in the inbox of its home, or on its way there; or its home is changing
    struct sched_node *inbox; // next one there
    tsc_t posted,
        woken;     // with sched_watch(): when it was put there; when woken, and it has not run since; else 0
    tsc_t quantum; // the longest turn, TSC ticks
    uint32_t weight;  // its share; from 1
    uint64_t measure; // quantum / weight
    uint64_t round;   // in which it had its last turn, or came: it has none before the next one
    uint64_t debt;    // ticks that it ran beyond its turns, while the ring was not plain
    tsc_t turn_end;   // when the present turn is over; meaningful while it runs or has lent it
    uint64_t ran;     // TSC ticks; while it runs, less when it was switched in, hence negative
};

enum { SCHED_BUCKETS = 40 };

struct runq {
    struct sched_node *current; // who runs
    struct sched_node *first;   // whose turn it is, NULL with current; `current` unless the turn is lent
    struct sched_node *next;    // with current NULL: who runs next
    bool plain;     // somebody runs, everybody's turn is a quantum, and nobody watches: sched_next() does
    uint64_t alike; // `measure` of everybody in the ring; 0: they differ
    uint32_t count; // in the ring; read by others
    tsc_t asked;    // when its processor asked for work; 0: it has some
    uint64_t round, unit;          // while they differ: the present round, and its ticks a unit of weight
    uint64_t least, most;          // likewise: `measure` of those who were seen in this round
    struct sched_node *inbox;      // pushed by any processor, taken whole by the home
    uint32_t waits[SCHED_BUCKETS]; // with sched_watch(): how often it took 2^n ticks from a wake to a turn
    uint32_t came;                 // how many moved here
};

// A change of state, allowed from the states in `from` (bits by enum sched_state). The only place that does it.
static inline void sched_change_state(struct sched_node *n, unsigned from, enum sched_state to)
{
    assert(from >> n->state & 1);
    n->state = to;
}

void runq_init(struct runq *q);
// From now on the time from a wake to the turn is counted. Once, before there are vCPUs.
void sched_watch(void);
enum { SCHED_WEIGHT_MAX = 100 };
void sched_node_init(struct sched_node *n, struct pcpu *home, tsc_t quantum, uint32_t weight,
                     uint64_t allowed);
// Where it lives. Any processor; for the one that it names it is true until that gives the vCPU away itself.
static inline struct pcpu *sched_home(const struct sched_node *n)
{
    return __atomic_load_n(&n->home, __ATOMIC_ACQUIRE);
}

// Makes a CREATED or PARKED vCPU runnable at the tail of its home's queue; harmless for one that is runnable
// already or has ended. Any processor: from another one it takes effect when the home does its chores.
void sched_wake(struct sched_node *n);
// Wakes who is in this processor's inbox.
void sched_take_inbox(struct runq *q);

// The running vCPU waits for sched_wake(); any vCPU never runs again. Who had lent it the turn goes on with what is
// left of that. Own processor only.
void sched_park(struct sched_node *n, tsc_t now);
void sched_end(struct sched_node *n, tsc_t now);

// Who runs at `now` where the ring is plain: the same one while its turn lasts, else the one behind it in the ring,
// who may be the same one again. Own processor only.
static inline struct sched_node *sched_next(struct runq *q, tsc_t now)
{
    struct sched_node *n = q->current;
    if (now.v < n->turn_end.v)
        return n;
    n->ran += now.v;
    n = list_entry(n->link.next, struct sched_node, link);
    n->ran -= now.v;
    n->turn_end = tsc(now.v + n->quantum.v);
    q->current = q->first = n;
    return n;
}

// The same whatever the ring is like; NULL when nobody wants to run.
struct sched_node *sched_pick(struct runq *q, tsc_t now);

// Not like the others in the ring, where it has come.
noinline_cold void sched_join_unlike(struct runq *q, struct sched_node *n);

// Hand-off, for messages: `from`, who runs, lets `to`, who is PARKED here, run at once on the rest of its turn. With
// `parks`, `from` waits for sched_wake() from now on, else it is at the head of the queue: it goes on when `to` parks
// before the turn is over. When the turn is over the next in line runs, so that however often two hand it to each
// other, others wait for one quantum. `to` may lend it further. Own processor only.
//
// How a hypercall handler hands off (kernel/ipc.c): it writes the message into the registers of `to`, who is parked
// behind its own VMCALL, calls this and then vcpu_hand_over(), and returns. No queue is searched, and without
// anything rare about the two (vmx/state.h) there is no turn check. With `parks`, what lets the vCPU run (enum
// cpu_state) says so before, or the next cpu_events() would take it for one that runs.
static inline_always void sched_handoff(struct sched_node *from, struct sched_node *to, bool parks, tsc_t now)
{
    struct runq *q = from->home->runq;
    sched_change_state(to, 1 << SCHED_PARKED, SCHED_RUNNABLE);
    list_insert(&to->link, &from->link);
    if (unlikely(to->measure != q->alike))
        sched_join_unlike(q, to);
    to->turn_end = from->turn_end;
    if (parks) { // it leaves its place to `to`, which makes as many as before
        sched_change_state(from, 1 << SCHED_RUNNABLE, SCHED_PARKED);
        list_unlink(&from->link);
        if (q->first == from)
            q->first = to;
    } else {
        q->count++;
    }
    from->ran += now.v;
    to->ran -= now.v;
    q->current = to;
}

// The running vCPU gives up the rest of its turn, also of one that was lent to it: the next sched_pick() takes
// another if one waits.
static inline void sched_end_turn(struct sched_node *n)
{
    n->turn_end = tsc(0);
}

// ---- Moves. A processor with nothing to run asks; one that has a vCPU waiting for its turn gives it away. ----

// This processor has nobody to run: asks for work, now and again when `again` ticks have passed. Returns a processor
// that has more than one vCPU and should be kicked, or NULL; `*next`: when to ask again, ~0 when nobody has.
struct pcpu *sched_ask(struct pcpu *p, tsc_t now, uint64_t again, tsc_t *next);
// This processor has work.
void sched_ask_no_more(struct pcpu *p);
// Takes a vCPU that waits for its turn, and of which may_move() says so, out of this processor's ring for one that
// asks and that the vCPU may live on, `*to`. It is MOVING then: nobody runs it, and a wake does nothing, for it will
// be runnable. NULL: there is none. What hangs on its home can be moved now; sched_set_home() and, there,
// sched_arrive() have to follow.
struct sched_node *sched_depart(struct runq *q, bool (*may_move)(const struct sched_node *n),
                                struct pcpu **to);
void sched_set_home(struct sched_node *n, struct pcpu *to);
void sched_arrive(struct sched_node *n);
// From now on it lives where it is. Own processor only.
void sched_stay(struct sched_node *n);

// TSC ticks that `n` has run up to `now`. Any processor.
uint64_t sched_run_ticks(const struct sched_node *n, tsc_t now);
