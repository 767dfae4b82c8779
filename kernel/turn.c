#include "kernel/run.h"
#include "arch/cpu.h"
#include "arch/lapic.h"
#include "arch/pcpu.h"
#include "arch/tsc.h"
#include "kernel/balloon.h"
#include "kernel/control.h"
#include "kernel/cpu.h"
#include "kernel/home.h"
#include "kernel/report.h"
#include "kernel/sleep.h"
#include "kernel/vm.h"
#include "kernel/watchdog.h"
#include "mm/mm.h"
#include "mm/quarantine.h"
#include "sched/timeout.h"
#include "vmx/tags_check.h"

// Work for a processor with nothing to run; false when there is none and it may halt.
static bool idle_work(struct pcpu *p)
{
    report_drain_step(64);
    return frame_cache_refill_idle(p->frames) || p->kick;
}

// While others have more than one, work is asked for again after this time: who was asked may just then have had none
// to give.
enum { ASK_AGAIN_US = 10000 };

// Asks for work. Returns when to ask again.
static tsc_t ask(struct pcpu *p)
{
    tsc_t again;
    struct pcpu *busy = sched_ask(p, rdtsc(), tsc_from_us(ASK_AGAIN_US).v, &again);
    if (busy)
        pcpu_kick(busy);
    return again;
}

static void idle(struct pcpu *p)
{
    if (idle_work(p)) {
        take_interrupts();
        return;
    }
    tsc_t again = ask(p);
    lapic_timer_arm(tsc(min_u64(timeouts_next(p->timeouts).v, again.v)));
    wait_for_interrupt();
    lapic_timer_arm(tsc(~0ull));
}

// What comes seldom: machines that were built for this processor or ended on it, vCPUs that move, memory, the end.
static noinline_cold void chores(struct pcpu *p)
{
    __atomic_store_n(&p->kick, 0, __ATOMIC_SEQ_CST);
    run_stop_if_asked();
    sched_take_inbox(p->runq);
    if (home_step() || quarantine_poll() || control_step() || balloon_step() || sleep_step())
        p->kick = 1; // one thing at a time: guests have turns in between
}

// Chores that are left go on soon, however long the turn is.
enum { CHORES_PAUSE = 20000 };

static inline struct vcpu *enter(struct sched_node *n, tsc_t now, uint64_t latest)
{
    tsc_t deadline = tsc(min_u64(n->turn_end.v, latest));
    return vcpu_enter(container_of(n, struct vcpu, sched), now, deadline);
}

// Behind timeouts and chores, which took from `begun` until `now`: a guest runs for as long before the next ones,
// however many are due by then. Else machines that have something due at all times would stop every other one.
static struct vcpu *enter_after(struct pcpu *p, struct sched_node *n, tsc_t begun, tsc_t now)
{
    uint64_t next = min_u64(timeouts_next(p->timeouts).v, p->kick ? now.v + CHORES_PAUSE : ~0ull);
    return enter(n, now, max_u64(next, now.v + (now.v - begun.v)));
}

// With timeouts due, chores, or nobody to run: idles until somebody is.
static noinline_cold struct vcpu *wait_for_vcpu(struct pcpu *p)
{
    for (;;) {
        tsc_t begun = rdtsc();
        watchdog_note();
        timeouts_run(p->timeouts, begun);
        if (p->kick)
            chores(p);
        tsc_t now = rdtsc();
        struct sched_node *n = sched_pick(p->runq, now);
        if (n) {
            sched_ask_no_more(p);
            return enter_after(p, n, begun, now);
        }
        vcpu_leave();
        idle(p);
    }
}

struct vcpu *turn_next(void)
{
    struct pcpu *p = this_pcpu();
    tsc_t now = rdtsc();
    if (unlikely(now.v >= timeouts_next(p->timeouts).v || p->kick || !p->runq->plain))
        return wait_for_vcpu(p);
    return enter(sched_next(p->runq, now), now, timeouts_next(p->timeouts).v);
}

_Noreturn void turn_forever(void)
{
    watchdog_start();
    vcpu_run(tags_check_entry(turn_next()));
}
