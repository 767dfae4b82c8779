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

// The tail of a ring is the place before whose turn it is.
static void wake_here(struct sched_node *n)
{
    struct runq *q = n->home->runq;
    if (!(ASLEEP >> n->state & 1))
        return;
    change_state(n, ASLEEP, SCHED_RUNNABLE);
    struct sched_node *head = q->first ? q->first : q->next;
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

static struct sched_node *before(struct sched_node *n)
{
    return list_entry(n->link.prev, struct sched_node, link);
}

static struct sched_node *behind(struct sched_node *n)
{
    return list_entry(n->link.next, struct sched_node, link);
}

// The processor goes from one to the other, either of which may be nobody; the turn goes on.
static void switch_in(struct runq *q, struct sched_node *to, tsc_t now)
{
    if (q->current)
        q->current->ran += now.v;
    if (to)
        to->ran -= now.v;
    q->current = to;
}

// The present turn goes on without `n`: with who lent it to `n`, or whom `n` has lent it to. Else it is over, and who
// was behind `n` is next.
static void leave_turn(struct runq *q, struct sched_node *n, tsc_t now)
{
    struct sched_node *next = list_empty(&n->link) ? NULL : behind(n);
    bool was_first = q->first == n;
    if (was_first)
        q->first = q->current == n ? NULL : next;
    if (q->current != n)
        return;
    if (was_first)
        q->next = next;
    else
        before(n)->turn_end = n->turn_end;
    switch_in(q, was_first ? NULL : before(n), now);
}

// Takes a vCPU out of the ring.
static void leave(struct sched_node *n, unsigned from, enum sched_state to, tsc_t now)
{
    struct runq *q = n->home->runq;
    if (q->current)
        leave_turn(q, n, now);
    else if (q->next == n)
        q->next = list_empty(&n->link) ? NULL : behind(n);
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
        n->turn_end = tsc(now.v + n->quantum.v);
        q->next = NULL;
        q->first = n;
        switch_in(q, n, now);
    }
    return n;
}

bool sched_handoff(struct sched_node *from, struct sched_node *to, bool parks, tsc_t now)
{
    struct runq *q = from->home->runq;
    assert(q->current == from);
    if (to->home != from->home || to->state != SCHED_PARKED)
        return false;
    change_state(to, 1 << SCHED_PARKED, SCHED_RUNNABLE);
    list_insert(&to->link, &from->link);
    to->turn_end = from->turn_end;
    switch_in(q, to, now);
    if (parks)
        leave(from, 1 << SCHED_RUNNABLE, SCHED_PARKED, now);
    return true;
}

// One read, so that it is right whatever another processor does with `n` meanwhile.
uint64_t sched_run_ticks(const struct sched_node *n, tsc_t now)
{
    uint64_t ran = __atomic_load_n(&n->ran, __ATOMIC_RELAXED);
    return (int64_t)ran < 0 ? ran + now.v : ran;
}
