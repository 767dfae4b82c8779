#include "sched/sched.h"
#include "arch/panic.h"
#include "arch/pcpu.h"

// Which states may follow which, as bits by enum sched_state.
static const uint8_t successors[] = {
    [SCHED_CREATED] = 1 << SCHED_RUNNABLE | 1 << SCHED_ENDED,
    [SCHED_RUNNABLE] = 1 << SCHED_RUNNING | 1 << SCHED_ENDED,
    [SCHED_RUNNING] = 1 << SCHED_RUNNABLE | 1 << SCHED_PARKED | 1 << SCHED_ENDED,
    [SCHED_PARKED] = 1 << SCHED_RUNNABLE | 1 << SCHED_ENDED,
    [SCHED_ENDED] = 0,
};

static void set_state(struct sched_node *n, enum sched_state to)
{
    assert(successors[n->state] & 1 << to);
    n->state = to;
}

void runq_init(struct runq *q)
{
    q->lock = (struct lock){0};
    q->current = NULL;
    list_init(&q->runnable);
}

void sched_node_init(struct sched_node *n, struct pcpu *home, tsc_t quantum)
{
    *n = (struct sched_node){.home = home, .state = SCHED_CREATED, .quantum = quantum};
    list_init(&n->link);
}

void sched_wake(struct sched_node *n)
{
    struct runq *q = n->home->runq;
    lock_take(&q->lock);
    bool asleep = n->state == SCHED_CREATED || n->state == SCHED_PARKED;
    if (asleep) {
        set_state(n, SCHED_RUNNABLE);
        list_push_back(&q->runnable, &n->link);
    }
    lock_release(&q->lock);
    if (asleep && n->home != this_pcpu())
        pcpu_kick(n->home);
}

// Takes the running vCPU off the processor, or a waiting one out of its queue.
static void leave(struct sched_node *n, enum sched_state to)
{
    struct runq *q = n->home->runq;
    lock_take(&q->lock);
    set_state(n, to);
    list_remove(&n->link);
    if (q->current == n)
        n->turn_end = tsc(0);
    lock_release(&q->lock);
}

void sched_park(struct sched_node *n)
{
    leave(n, SCHED_PARKED);
}

void sched_end(struct sched_node *n)
{
    leave(n, SCHED_ENDED);
}

void sched_yield(struct sched_node *n)
{
    n->turn_end = tsc(0);
}

// Accounts for the turn that ends and puts the node where its state says.
static void switch_out(struct runq *q, struct sched_node *n, tsc_t now)
{
    n->run_ticks += now.v - n->turn_start.v;
    if (n->state == SCHED_RUNNING) {
        set_state(n, SCHED_RUNNABLE);
        list_push_back(&q->runnable, &n->link);
    }
    q->current = NULL;
}

static struct sched_node *switch_in(struct runq *q, tsc_t now)
{
    struct sched_node *n = list_entry(q->runnable.next, struct sched_node, link);
    list_remove(&n->link);
    set_state(n, SCHED_RUNNING);
    n->turn_start = now;
    n->turn_end = tsc(now.v + n->quantum.v);
    q->current = n;
    return n;
}

struct sched_node *sched_pick(struct runq *q, tsc_t now)
{
    lock_take(&q->lock);
    struct sched_node *n = q->current;
    if (n && n->state == SCHED_RUNNING && now.v >= n->turn_end.v && list_empty(&q->runnable))
        n->turn_end = tsc(now.v + n->quantum.v);
    if (!n || n->state != SCHED_RUNNING || now.v >= n->turn_end.v) {
        if (n)
            switch_out(q, n, now);
        n = list_empty(&q->runnable) ? NULL : switch_in(q, now);
    }
    lock_release(&q->lock);
    return n;
}

uint64_t sched_run_ticks(const struct sched_node *n, tsc_t now)
{
    return n->run_ticks + (n->state == SCHED_RUNNING ? now.v - n->turn_start.v : 0);
}
