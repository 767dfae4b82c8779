#include "kernel/watchdog.h"
#include "arch/cpu.h"
#include "arch/exception.h"
#include "arch/lapic.h"
#include "arch/log.h"
#include "arch/tsc.h"
#include "kernel/symbols.h"
#include "sched/timeout.h"

enum { LOOK_MS = 500, PATIENCE = 3 }; // looks in a row without a sign of life

static struct watch {
    // Written by the processor that is watched.
    uint32_t notes; // how often it came by
    uint64_t rip;   // where the NMI found it; 0: nowhere yet
    // Written by its watcher.
    struct timeout timeout; // of its own looks at the next one
    uint32_t seen, missed;  // `notes` at the last look; looks since it changed
} watches[PCPU_MAX];

void watchdog_note(void)
{
    struct watch *w = &watches[this_pcpu()->id];
    __atomic_store_n(&w->notes, w->notes + 1, __ATOMIC_RELEASE);
}

// Runs anywhere, also in the middle of a log line: it only leaves word.
static void tell_where(const struct exception_frame *frame)
{
    __atomic_store_n(&watches[this_pcpu()->id].rip, frame->rip, __ATOMIC_RELEASE);
}

static void name_it(uint32_t id, uint64_t rip)
{
    struct symbol at;
    if (!rip)
        log_error("processor %u does not answer, not even to an NMI", id);
    else if (symbol_find(rip, &at))
        log_error("processor %u does not answer: it is at %s+0x%lx", id, at.name, at.offset);
    else
        log_error("processor %u does not answer: it is at %lx", id, rip);
}

// Asked by NMI at one look, told at the next; then not again before it comes by.
static void look(struct timeout *t)
{
    const struct pcpu *p = &pcpus[(this_pcpu()->id + 1) % pcpu_count];
    struct watch *w = &watches[p->id];
    uint32_t notes = __atomic_load_n(&w->notes, __ATOMIC_ACQUIRE);
    timeout_set(this_pcpu()->timeouts, t, tsc(rdtsc().v + tsc_from_ms(LOOK_MS).v));
    if (notes != w->seen || p->state != PCPU_ONLINE) {
        w->seen = notes;
        w->missed = 0;
    } else if (++w->missed == PATIENCE) {
        __atomic_store_n(&w->rip, 0, __ATOMIC_RELAXED);
        lapic_send_nmi(p->apic_id);
    } else if (w->missed == PATIENCE + 1) {
        name_it(p->id, __atomic_load_n(&w->rip, __ATOMIC_ACQUIRE));
    }
}

void watchdog_start(void)
{
    struct timeout *t = &watches[this_pcpu()->id].timeout;
    nmi_handler = tell_where;
    if (pcpu_count == 1)
        return;
    timeout_init(t, look);
    timeout_set(this_pcpu()->timeouts, t, tsc(rdtsc().v + tsc_from_ms(LOOK_MS).v));
}
