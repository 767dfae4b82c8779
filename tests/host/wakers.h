// Threads that wake any of `node`, NODES of them, which who includes this has defined. Each hands out work first;
// whoever runs a node finds all that was handed out before its wake.
#pragma once
#include <pthread.h>
#include <stdlib.h>

enum { WAKERS = 3, WAKES = 20000 };
static uint32_t work[NODES], done[NODES]; // handed out by wakers, found by who runs
static uint32_t wakers_left;

static void *waker(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;
    struct pcpu me = {.id = seed};
    host_pcpu = &me;
    for (unsigned i = 0; i < WAKES; i++) {
        unsigned n = (unsigned)rand_r(&seed) % NODES;
        __atomic_fetch_add(&work[n], 1, __ATOMIC_SEQ_CST);
        sched_wake(&node[n]);
        if (i % 64 == 0)
            sched_yield(); // the test may have fewer processors than threads
    }
    __atomic_fetch_sub(&wakers_left, 1, __ATOMIC_SEQ_CST);
    return NULL;
}
