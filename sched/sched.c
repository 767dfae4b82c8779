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
    ALIVE = ASLEEP | 1 << SCHED_RUNNABLE,
};

void runq_init(struct runq *q)
{
    *q = (struct runq){0};
}

void sched_node_init(struct sched_node *n, struct pcpu *home, tsc_t quantum)
{
    *n = (struct sched_node){.home = home, .state = SCHED_CREATED, .quantum = quantum};
    list_init(&n->link);
}

// The tail of a ring is the place before the one that runs.
static void wake_here(struct sched_node *n)
{
    struct runq *q = n->home->runq;
    if (!(ASLEEP >> n->state & 1))
        return;
    change_state(n, ASLEEP, SCHED_RUNNABLE);
    struct sched_node *head = q->current ? q->current : q->next;
    if (head)
        list_push_back(&head->link, &n->link);
    else
        q->next = n;
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
    __atomic_store_n(&n->home->kick, 1, __ATOMIC_RELEASE);
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

// Takes a vCPU out of the ring; who was behind the running one is next.
static void leave(struct sched_node *n, unsigned from, enum sched_state to, tsc_t now)
{
    struct runq *q = n->home->runq;
    struct sched_node *behind =
        list_empty(&n->link) ? NULL : list_entry(n->link.next, struct sched_node, link);
    if (q->current == n) {
        n->run_ticks += now.v - n->turn_start.v;
        q->current = NULL;
        q->next = behind;
    } else if (!q->current && q->next == n) {
        q->next = behind;
    }
    change_state(n, from, to);
    list_remove(&n->link);
}

void sched_park(struct sched_node *n, tsc_t now)
{
    leave(n, 1 << SCHED_RUNNABLE, SCHED_PARKED, now);
}

seldom void sched_end(struct sched_node *n, tsc_t now)
{
    leave(n, ALIVE, SCHED_ENDED, now);
}

struct sched_node *sched_pick(struct runq *q, tsc_t now)
{
    if (q->current)
        return sched_next(q, now);
    struct sched_node *n = q->next;
    if (n) {
        n->turn_start = now;
        n->turn_end = tsc(now.v + n->quantum.v);
        q->next = NULL;
        q->current = n;
    }
    return n;
}

uint64_t sched_run_ticks(const struct sched_node *n, tsc_t now)
{
    return n->run_ticks + (n->home->runq->current == n ? now.v - n->turn_start.v : 0);
}
