// Ticket spin lock, fair between processors. The hypervisor runs with interrupts off, so a lock needs no
// interrupt masking; NMI and #MC handlers take none. On the host the same code runs between threads.
#pragma once
#include "arch/types.h"
#ifdef MICRONOVA_HOST
#include <sched.h>
#endif

struct lock {
    uint16_t next, serving;
};

// Threads on the host may share a processor with the one they wait for.
static inline void lock_wait(void)
{
#ifdef MICRONOVA_HOST
    sched_yield();
#else
    __builtin_ia32_pause();
#endif
}

static inline void lock_take(struct lock *l)
{
    uint16_t ticket = __atomic_fetch_add(&l->next, 1, __ATOMIC_RELAXED);
    while (__atomic_load_n(&l->serving, __ATOMIC_ACQUIRE) != ticket)
        lock_wait();
}

static inline bool lock_try(struct lock *l)
{
    uint16_t ticket = __atomic_load_n(&l->serving, __ATOMIC_ACQUIRE);
    return __atomic_compare_exchange_n(&l->next, &ticket, (uint16_t)(ticket + 1), false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

static inline void lock_release(struct lock *l)
{
    __atomic_store_n(&l->serving, (uint16_t)(l->serving + 1), __ATOMIC_RELEASE);
}
