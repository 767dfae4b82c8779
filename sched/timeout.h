// Timeouts: one binary heap a processor, touched by that processor alone, so it needs no lock. While a vCPU
// runs, the VMX preemption timer is armed for the nearer of quantum end and heap head; an idle processor
// uses its local APIC timer. Pure.
#pragma once
#include "arch/types.h"

enum { TIMEOUT_IDLE = -1, TIMEOUT_SUSPENDED = -2 };

struct timeout {
    tsc_t deadline;
    void (*fire)(
        struct timeout *t); // runs on the owning processor, out of the heap already; may set it again
    int32_t index;          // place in the heap; TIMEOUT_IDLE: not set; TIMEOUT_SUSPENDED: between two heaps
};

struct timeouts {
    tsc_t next;            // deadline of the head, ~0 when there is none
    struct timeout **heap; // [capacity]
    uint32_t count, capacity;
};

void timeouts_init(struct timeouts *ts, struct timeout **heap, uint32_t capacity);

void timeout_init(struct timeout *t, void (*fire)(struct timeout *));
// Sets or moves `t`. There is room: a heap has a place for each timeout that there can be.
void timeout_set(struct timeouts *ts, struct timeout *t, tsc_t deadline);
void timeout_cancel(struct timeouts *ts, struct timeout *t);
// Takes `t` out of a heap to put it, if it was set, into another one, where it may be set and cancelled meanwhile.
void timeout_suspend(struct timeouts *ts, struct timeout *t);
void timeout_resume(struct timeouts *ts, struct timeout *t);
// The nearest deadline, or ~0 when none is set.
static inline tsc_t timeouts_next(const struct timeouts *ts)
{
    return ts->next;
}
// Fires what is due at `now`, in order of deadline, TIMEOUTS_A_RUN at most: however many are due, and even if they set
// themselves into the past again and again, they cannot keep the processor here. The rest fires at the next call.
enum { TIMEOUTS_A_RUN = 4 };
void timeouts_run(struct timeouts *ts, tsc_t now);
