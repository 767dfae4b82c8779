#include "sched/sched.h"
#include "arch/panic.h"
#include "arch/pcpu.h"

// A change of state, allowed from the states in `from` (bits by enum sched_state). The only place that does it.
static inline void change_state(struct sched_node *n, unsigned from, enum sched_state to)
{
    assert(from >> n->state & 1);
    n->state = to;
}

enum {
    ASLEEP = 1 << SCHED_CREATED | 1 << SCHED_PARKED,
    ALIVE = ASLEEP | 1 << SCHED_RUNNABLE | 1 << SCHED_RUNNING,
};

void runq_init(struct runq *q)
{
    q->current = NULL;
    q->inbox = NULL;
    list_init(&q->runnable);
}

void sched_node_init(struct sched_node *n, struct pcpu *home, tsc_t quantum)
{
    *n = (struct sched_node){.home = home, .state = SCHED_CREATED, .quantum = quantum};
    list_init(&n->link);
}

static void wake_here(struct sched_node *n)
{
    if (!(ASLEEP >> n->state & 1))
        return;
    change_state(n, ASLEEP, SCHED_RUNNABLE);
    list_push_back(&n->home->runq->runnable, &n->link);
}

// The exchange decides between several wakers: one of them puts the node in the inbox, and until the home has
// taken it out the wake of the others is that same one.
static void wake_there(struct sched_node *n)
{
    struct runq *q = n->home->runq;
    if (__atomic_exchange_n(&n->waking, 1, __ATOMIC_ACQ_REL))
        return;
    n->inbox = __atomic_load_n(&q->inbox, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&q->inbox, &n->inbox, n, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
    n->home->kick = 1;
    pcpu_kick(n->home);
}

void sched_wake(struct sched_node *n)
{
    if (n->home == this_pcpu())
        wake_here(n);
    else
        wake_there(n);
}

void sched_take_inbox(struct runq *q)
{
    struct sched_node *n = __atomic_exchange_n(&q->inbox, NULL, __ATOMIC_ACQUIRE);
    while (n) {
        struct sched_node *next = n->inbox;
        __atomic_store_n(&n->waking, 0, __ATOMIC_RELEASE);
        wake_here(n);
        n = next;
    }
}

// Takes the running vCPU off the processor, or a waiting one out of its queue.
static void leave(struct sched_node *n, unsigned from, enum sched_state to, tsc_t now)
{
    struct runq *q = n->home->runq;
    if (q->current == n) {
        n->run_ticks += now.v - n->turn_start.v;
        q->current = NULL;
    }
    change_state(n, from, to);
    list_remove(&n->link);
}

void sched_park(struct sched_node *n, tsc_t now)
{
    leave(n, 1 << SCHED_RUNNING, SCHED_PARKED, now);
}

void sched_end(struct sched_node *n, tsc_t now)
{
    leave(n, ALIVE, SCHED_ENDED, now);
}

static inline void to_tail(struct runq *q, struct sched_node *n, tsc_t now)
{
    n->run_ticks += now.v - n->turn_start.v;
    change_state(n, 1 << SCHED_RUNNING, SCHED_RUNNABLE);
    list_push_back(&q->runnable, &n->link);
}

static inline struct sched_node *take_head(struct runq *q, tsc_t now)
{
    struct sched_node *n = list_entry(q->runnable.next, struct sched_node, link);
    list_remove(&n->link);
    change_state(n, 1 << SCHED_RUNNABLE, SCHED_RUNNING);
    n->turn_start = now;
    n->turn_end = tsc(now.v + n->quantum.v);
    q->current = n;
    return n;
}

// Who is `current` runs: a vCPU that parked or ended has left it empty.
struct sched_node *sched_pick(struct runq *q, tsc_t now)
{
    struct sched_node *n = q->current;
    if (n && now.v < n->turn_end.v)
        return n;
    if (likely(!list_empty(&q->runnable))) {
        if (n)
            to_tail(q, n, now);
        return take_head(q, now);
    }
    if (n)
        n->turn_end = tsc(now.v + n->quantum.v);
    return n;
}

uint64_t sched_run_ticks(const struct sched_node *n, tsc_t now)
{
    return n->run_ticks + (n->state == SCHED_RUNNING ? now.v - n->turn_start.v : 0);
}
