#include "sched/sched.h"
#include "arch/cpu.h"
#include "arch/pcpu.h"

enum {
    ASLEEP = 1 << SCHED_CREATED | 1 << SCHED_PARKED,
    ALIVE = ASLEEP | 1 << SCHED_RUNNABLE | 1 << SCHED_MOVING,
};

static bool watching;
static uint64_t asking; // processors that have nothing to run, bit per id
_Static_assert(PCPU_MAX <= 64, "a bit for each");

void runq_init(struct runq *q)
{
    *q = (struct runq){0};
}

void sched_node_init(struct sched_node *n, struct pcpu *home, tsc_t quantum, uint32_t weight,
                     uint64_t allowed)
{
    *n = (struct sched_node){.home = home, .quantum = quantum, .weight = weight, .allowed = allowed};
    n->state = SCHED_CREATED;
    n->measure = max_u64(quantum.v / weight, 1);
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
    q->plain = q->current && q->alike && !watching;
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

// The first one begins a new reckoning of rounds; where it begins does not matter.
void sched_join_unlike(struct runq *q, struct sched_node *n)
{
    if (q->alike) {
        q->round++;
        q->unit = q->least = q->most = q->alike;
        q->alike = 0;
        note_plain(q);
    }
    q->least = min_u64(q->least, n->measure);
    q->most = max_u64(q->most, n->measure);
    n->round = q->round;
}

// `n` comes into a ring with others, behind `place`, where this round is over.
static inline void join(struct runq *q, struct sched_node *n, struct list *place)
{
    list_insert(&n->link, place);
    if (unlikely(n->measure != q->alike))
        sched_join_unlike(q, n);
}

// Once all had their turn a new round begins. All who are in it were seen in the last one, or came.
static void see_in_round(struct runq *q, struct sched_node *n)
{
    if (n->round == q->round) {
        q->round++;
        q->unit = q->least;
        q->alike = q->least == q->most ? q->least : 0;
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
    uint64_t turn = q->alike ? n->quantum.v : n->weight * q->unit, paid = min_u64(n->debt, turn);
    n->debt -= paid;
    return turn - paid;
}

// Turns that debts eat up are passed over, a few a time.
enum { TURNS_PASSED = 4 };

// The turn of `n`, or of one behind it.
static struct sched_node *start_turn(struct runq *q, struct sched_node *n, tsc_t now)
{
    uint64_t turn = q->alike ? n->quantum.v : length_of_turn(q, n);
    for (unsigned passed = 0; unlikely(!turn) && passed < TURNS_PASSED; passed++)
        turn = length_of_turn(q, n = behind(n));
    n->turn_end = tsc(now.v + turn);
    q->next = NULL;
    q->first = n;
    switch_in(q, n, now);
    return n;
}

// The tail of a ring is the place before whose turn it is. Who has to wait there may find somebody who asks.
static void join_tail(struct sched_node *n)
{
    struct runq *q = n->home->runq;
    struct sched_node *head = q->first ? q->first : q->next;
    __atomic_fetch_add(&q->count, 1, __ATOMIC_SEQ_CST); // before we look who asks
    if (!head) {
        list_init(&n->link);
        q->next = n;
        q->alike = n->measure;
        return;
    }
    join(q, n, head->link.prev);
    if (unlikely(n->allowed & __atomic_load_n(&asking, __ATOMIC_SEQ_CST)))
        __atomic_store_n(&n->home->kick, 1, __ATOMIC_RELAXED);
}

static tsc_t stamp(void)
{
    return unlikely(watching) ? rdtsc() : tsc(0);
}

static void wake_here(struct sched_node *n, tsc_t when)
{
    if (!(ASLEEP >> n->state & 1))
        return;
    sched_change_state(n, ASLEEP, SCHED_RUNNABLE);
    n->woken = when;
    join_tail(n);
}

// Who finds `waking` clear holds the node: its place in an inbox and its home are its affair alone.
static bool hold(struct sched_node *n)
{
    return !__atomic_exchange_n(&n->waking, 1, __ATOMIC_ACQ_REL);
}

static void let_go(struct sched_node *n)
{
    (void)__atomic_exchange_n(&n->waking, 0, __ATOMIC_ACQ_REL); // what a waker wrote meanwhile is seen
}

// Of several wakers one puts the node in the inbox, and until the home has taken it out the wake of the others is that
// same one. Meanwhile the home does not change; while it changes, a wake is as good as done, for who moves is runnable.
static void wake_there(struct sched_node *n)
{
    if (!hold(n))
        return;
    struct pcpu *home = sched_home(n);
    struct runq *q = home->runq;
    n->posted = stamp();
    n->inbox = __atomic_load_n(&q->inbox, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&q->inbox, &n->inbox, n, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
    pcpu_kick(home);
}

void sched_wake(struct sched_node *n)
{
    if (sched_home(n) == this_pcpu())
        wake_here(n, stamp());
    else
        wake_there(n);
}

void sched_take_inbox(struct runq *q)
{
    struct sched_node *n = __atomic_exchange_n(&q->inbox, NULL, __ATOMIC_ACQUIRE);
    while (n) {
        struct sched_node *next = n->inbox;
        tsc_t posted = n->posted;
        let_go(n);
        wake_here(n, posted);
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

// Takes a vCPU out of the ring, if it is in there.
static void leave(struct sched_node *n, unsigned from, enum sched_state to, tsc_t now)
{
    if (n->state == SCHED_RUNNABLE) {
        struct runq *q = n->home->runq;
        if (q->current)
            leave_turn(q, n, now);
        else if (q->next == n)
            q->next = list_empty(&n->link) ? NULL : behind(n);
        __atomic_store_n(&q->count, q->count - 1, __ATOMIC_RELAXED);
        list_unlink(&n->link);
    }
    sched_change_state(n, from, to);
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
    if (!q->alike && q->current->turn_end.v)
        q->first->debt += now.v - q->current->turn_end.v;
}

void sched_watch(void)
{
    watching = true;
}

// Processors' clocks may differ a little.
static void count_wait(struct runq *q, struct sched_node *n, tsc_t now)
{
    uint64_t wait = now.v > n->woken.v ? now.v - n->woken.v : 1;
    q->waits[min_u64(log2_floor(wait), SCHED_BUCKETS - 1)]++;
    n->woken = tsc(0);
}

struct sched_node *sched_pick(struct runq *q, tsc_t now)
{
    struct sched_node *n = q->current ? q->current : q->next;
    if (!n)
        return NULL;
    if (!q->current) {
        n = start_turn(q, n, now);
    } else if (now.v >= n->turn_end.v) {
        end_turn(q, now);
        n = start_turn(q, behind(n), now);
    }
    if (unlikely(n->woken.v))
        count_wait(q, n, now);
    return n;
}

// ---- Moves ----

static uint64_t bit_of(const struct pcpu *p)
{
    return 1ull << p->id;
}

struct pcpu *sched_ask(struct pcpu *p, tsc_t now, uint64_t again, tsc_t *next)
{
    struct pcpu *busy = NULL;
    uint32_t most = 1;
    __atomic_fetch_or(&asking, bit_of(p), __ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < pcpu_count; i++) {
        uint32_t count = pcpus[i].runq ? __atomic_load_n(&pcpus[i].runq->count, __ATOMIC_SEQ_CST) : 0;
        if (count > most) {
            busy = &pcpus[i];
            most = count;
        }
    }
    bool due = !p->runq->asked.v || now.v >= p->runq->asked.v + again;
    if (due)
        p->runq->asked = now;
    *next = tsc(busy ? p->runq->asked.v + again : ~0ull);
    return due ? busy : NULL;
}

void sched_ask_no_more(struct pcpu *p)
{
    if (!p->runq->asked.v)
        return;
    p->runq->asked = tsc(0);
    __atomic_fetch_and(&asking, ~bit_of(p), __ATOMIC_SEQ_CST);
}

// One of those who ask gets `n`: its id, or -1. Of several givers, who clears the bit gives.
static int claim(const struct sched_node *n)
{
    uint64_t who = n->allowed & __atomic_load_n(&asking, __ATOMIC_SEQ_CST) & ~bit_of(n->home);
    if (!who)
        return -1;
    int id = __builtin_ctzll(who);
    return __atomic_fetch_and(&asking, ~(1ull << id), __ATOMIC_SEQ_CST) >> id & 1 ? id : -1;
}

// The next in line and a few behind it, but who is being woken from elsewhere; who has a part in the present turn
// stays.
struct sched_node *sched_depart(struct runq *q, bool (*may_move)(const struct sched_node *n),
                                struct pcpu **to)
{
    enum { LOOKED_AT = 8 };
    struct sched_node *n = q->current ? behind(q->current) : q->next;
    for (unsigned i = 0; i < LOOKED_AT && i + 1 < q->count && n != q->first; i++, n = behind(n)) {
        if (!may_move(n) || !hold(n))
            continue;
        int id = claim(n);
        if (id < 0) {
            let_go(n);
            continue;
        }
        *to = &pcpus[id];
        leave(n, 1 << SCHED_RUNNABLE, SCHED_MOVING, tsc(0)); // it does not run, so the time does not matter
        return n;
    }
    return NULL;
}

void sched_set_home(struct sched_node *n, struct pcpu *to)
{
    __atomic_store_n(&n->home, to, __ATOMIC_RELEASE);
    let_go(n);
}

void sched_arrive(struct sched_node *n)
{
    if (n->state != SCHED_MOVING)
        return;
    sched_change_state(n, 1 << SCHED_MOVING, SCHED_RUNNABLE);
    n->round = 0; // that of another ring
    n->home->runq->came++;
    join_tail(n);
}

void sched_stay(struct sched_node *n)
{
    n->allowed = bit_of(n->home);
}

// One read, so that it is right whatever another processor does with `n` meanwhile.
uint64_t sched_run_ticks(const struct sched_node *n, tsc_t now)
{
    uint64_t ran = __atomic_load_n(&n->ran, __ATOMIC_RELAXED);
    return (int64_t)ran < 0 ? ran + now.v : ran;
}
