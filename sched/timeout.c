#include "sched/timeout.h"
#include "arch/panic.h"

static bool earlier(const struct timeout *a, const struct timeout *b)
{
    return a->deadline.v < b->deadline.v;
}

static void place(struct timeouts *ts, struct timeout *t, uint32_t i)
{
    ts->heap[i] = t;
    t->index = (int32_t)i;
}

// Moves the hole at `i` towards the root until `t` may stand in it.
static void sift_up(struct timeouts *ts, struct timeout *t, uint32_t i)
{
    while (i > 0 && earlier(t, ts->heap[(i - 1) / 2])) {
        place(ts, ts->heap[(i - 1) / 2], i);
        i = (i - 1) / 2;
    }
    place(ts, t, i);
}

// Moves the hole at `i` towards the leaves until `t` may stand in it.
static void sift_down(struct timeouts *ts, struct timeout *t, uint32_t i)
{
    for (uint32_t child; (child = 2 * i + 1) < ts->count; i = child) {
        if (child + 1 < ts->count && earlier(ts->heap[child + 1], ts->heap[child]))
            child++;
        if (!earlier(ts->heap[child], t))
            break;
        place(ts, ts->heap[child], i);
    }
    place(ts, t, i);
}

// Puts `t` where its deadline belongs, given a hole at `i` in a heap that is in order but for the hole.
static void settle(struct timeouts *ts, struct timeout *t, uint32_t i)
{
    if (i > 0 && earlier(t, ts->heap[(i - 1) / 2]))
        sift_up(ts, t, i);
    else
        sift_down(ts, t, i);
}

void timeout_init(struct timeout *t, void (*fire)(struct timeout *))
{
    *t = (struct timeout){.fire = fire, .index = TIMEOUT_IDLE};
}

void timeouts_init(struct timeouts *ts, struct timeout **heap, uint32_t capacity)
{
    *ts = (struct timeouts){.next = {~0ull}, .heap = heap, .capacity = capacity};
}

static void note_next(struct timeouts *ts)
{
    ts->next = ts->count ? ts->heap[0]->deadline : tsc(~0ull);
}

void timeout_set(struct timeouts *ts, struct timeout *t, tsc_t deadline)
{
    bool is_new = t->index < 0;
    assert(!is_new || ts->count < ts->capacity);
    t->deadline = deadline;
    settle(ts, t, is_new ? ts->count++ : (uint32_t)t->index);
    note_next(ts);
}

void timeout_cancel(struct timeouts *ts, struct timeout *t)
{
    int32_t index = t->index;
    t->index = TIMEOUT_IDLE;
    if (index < 0)
        return;
    uint32_t hole = (uint32_t)index;
    struct timeout *last = ts->heap[--ts->count];
    if (last != t)
        settle(ts, last, hole);
    note_next(ts);
}

void timeout_suspend(struct timeouts *ts, struct timeout *t)
{
    bool was_set = t->index >= 0;
    timeout_cancel(ts, t);
    if (was_set)
        t->index = TIMEOUT_SUSPENDED;
}

void timeout_resume(struct timeouts *ts, struct timeout *t)
{
    if (t->index == TIMEOUT_SUSPENDED)
        timeout_set(ts, t, t->deadline);
}

void timeouts_run(struct timeouts *ts, tsc_t now)
{
    for (unsigned rounds = 0; rounds < TIMEOUTS_A_RUN && ts->count > 0; rounds++) {
        struct timeout *t = ts->heap[0];
        if (t->deadline.v > now.v)
            return;
        timeout_cancel(ts, t);
        t->fire(t);
    }
}
