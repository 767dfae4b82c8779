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

void sched_node_init(struct sched_node *n, struct pcpu *home, tsc_t quantum, uint32_t weight)
{
    *n = (struct sched_node){.home = home, .state = SCHED_CREATED, .quantum = quantum, .weight = weight};
    n->measure = max_u64(quantum.v / weight, 1);
    list_init(&n->link);
}

// ---- The ring ----

static struct sched_node *before(struct sched_node *n)
{
    return list_entry(n->link.prev, struct sched_node, link);
}

static struct sched_node *behind(struct sched_node *n)
{
    return list_entry(n->link.next, struct sched_node, link);
}

static void note_plain(struct runq *q)
{
    q->plain = q->current && !q->mixed;
}

// The processor goes from one to the other, either of which may be nobody; the turn goes on.
static void switch_in(struct runq *q, struct sched_node *to, tsc_t now)
{
    if (q->current)
        q->current->ran += now.v;
    if (to)
        to->ran -= now.v;
    q->current = to;
    note_plain(q);
}

// `n` comes into the ring behind `place` (NULL: the ring is empty), where this round is over. The first one that is
// not like the others begins a new reckoning of rounds; where it begins does not matter.
static void join(struct runq *q, struct sched_node *n, struct list *place)
{
    if (!q->count++) {
        q->mixed = false;
        q->least = q->most = n->measure;
    } else {
        list_insert(&n->link, place);
        q->least = min_u64(q->least, n->measure);
        q->most = max_u64(q->most, n->measure);
    }
    if (!q->mixed && q->least != q->most) {
        q->mixed = true;
        q->round++;
        q->unit = n->measure == q->least ? q->most : q->least; // the others'
        note_plain(q);
    }
    n->round = q->round;
}

// Once all had their turn a new round begins. All who are in it were seen in the last one, or came.
static void see_in_round(struct runq *q, struct sched_node *n)
{
    if (n->round == q->round) {
        q->round++;
        q->unit = q->least;
        q->mixed = q->least != q->most;
        q->least = q->most = n->measure;
    }
    q->least = min_u64(q->least, n->measure);
    q->most = max_u64(q->most, n->measure);
    n->round = q->round;
}

// How long `n` may run now, what it ran too long before taken off.
static uint64_t length_of_turn(struct runq *q, struct sched_node *n)
{
    see_in_round(q, n);
    uint64_t turn = q->mixed ? n->weight * q->unit : n->quantum.v, paid = min_u64(n->debt, turn);
    n->debt -= paid;
    return turn - paid;
}

// Turns that debts eat up are passed over, a few a time.
enum { TURNS_PASSED = 4 };

// The turn of `n`, or of one behind it.
static struct sched_node *start_turn(struct runq *q, struct sched_node *n, tsc_t now)
{
    uint64_t turn = q->mixed ? length_of_turn(q, n) : n->quantum.v;
    for (unsigned passed = 0; unlikely(!turn) && passed < TURNS_PASSED; passed++)
        turn = length_of_turn(q, n = behind(n));
    n->turn_end = tsc(now.v + turn);
    q->next = NULL;
    q->first = n;
    switch_in(q, n, now);
    return n;
}

// The tail of a ring is the place before whose turn it is.
static void wake_here(struct sched_node *n)
{
    struct runq *q = n->home->runq;
    if (!(ASLEEP >> n->state & 1))
        return;
    change_state(n, ASLEEP, SCHED_RUNNABLE);
    struct sched_node *head = q->first ? q->first : q->next;
    join(q, n, head ? head->link.prev : NULL);
    if (!head)
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
        (void)__atomic_exchange_n(&n->waking, 0,
                                  __ATOMIC_ACQ_REL); // what who came too late wrote before is seen
        wake_here(n);
        n = next;
    }
}

// ---- Turns ----

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
    q->count -= n->state == SCHED_RUNNABLE;
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

// A turn that was given up ended at 0.
static void end_turn(struct runq *q, tsc_t now)
{
    if (q->mixed && q->current->turn_end.v)
        q->first->debt += now.v - q->current->turn_end.v;
}

struct sched_node *sched_pick(struct runq *q, tsc_t now)
{
    struct sched_node *n = q->current;
    if (!n)
        return q->next ? start_turn(q, q->next, now) : NULL;
    if (now.v < n->turn_end.v)
        return n;
    end_turn(q, now);
    return start_turn(q, behind(n), now);
}

// join() and switch_in() for what is the rule: all in the ring are alike, so that nothing has to be reckoned.
static inline void lend(struct runq *q, struct sched_node *from, struct sched_node *to, tsc_t now)
{
    if (unlikely(q->mixed || to->measure != q->least)) {
        join(q, to, &from->link);
        switch_in(q, to, now);
        return;
    }
    q->count++;
    list_insert(&to->link, &from->link);
    to->round = q->round;
    from->ran += now.v;
    to->ran -= now.v;
    q->current = to;
}

bool sched_handoff(struct sched_node *from, struct sched_node *to, bool parks, tsc_t now)
{
    struct runq *q = from->home->runq;
    assert(q->current == from);
    if (to->home != from->home || to->state != SCHED_PARKED)
        return false;
    change_state(to, 1 << SCHED_PARKED, SCHED_RUNNABLE);
    to->turn_end = from->turn_end;
    lend(q, from, to, now);
    if (parks) { // it leaves its place to `to`
        list_remove(&from->link);
        q->count--;
        change_state(from, 1 << SCHED_RUNNABLE, SCHED_PARKED);
        if (q->first == from)
            q->first = to;
    }
    return true;
}

// One read, so that it is right whatever another processor does with `n` meanwhile.
uint64_t sched_run_ticks(const struct sched_node *n, tsc_t now)
{
    uint64_t ran = __atomic_load_n(&n->ran, __ATOMIC_RELAXED);
    return (int64_t)ran < 0 ? ran + now.v : ran;
}
