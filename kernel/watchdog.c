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
    uint32_t notes;        // how often it came by
    uint64_t rip;          // where the NMI found it; 0: nowhere yet
    uint32_t strays, told; // NMIs that nobody had asked for; how many of them the log has
    uint64_t stray_rip;    // where the last of them found it
    uint8_t stray_port;    // what port 61h said
    // Written by its watcher.
    struct timeout timeout; // of its own looks at the next one
    uint32_t seen, missed;  // `notes` at the last look; looks since it changed
    uint32_t asked;         // an NMI was sent that did not come yet: written by both
} watches[PCPU_MAX];

// Bits 7 and 6 of port 61h tell of memory and bus errors (NMI Status and Control of Intel's chipsets).
static noinline_cold void tell_stray(struct watch *w)
{
    struct symbol at;
    uint32_t strays = w->strays;
    symbol_find(w->stray_rip, &at);
    log_warn("processor %u: %u NMIs that nobody had asked for, the last at %s+0x%lx, port 61h says %02xh",
             this_pcpu()->id, strays - w->told, at.name, at.offset, w->stray_port);
    w->told = strays;
}

void watchdog_note(void)
{
    struct watch *w = &watches[this_pcpu()->id];
    __atomic_store_n(&w->notes, w->notes + 1, __ATOMIC_RELEASE);
    if (unlikely(w->strays != w->told))
        tell_stray(w);
}

// Runs anywhere, also in the middle of a log line: it only leaves word.
static void on_nmi(const struct exception_frame *frame)
{
    enum { PORT_B = 0x61 };
    struct watch *w = &watches[this_pcpu()->id];
    if (__atomic_exchange_n(&w->asked, 0, __ATOMIC_ACQ_REL)) {
        __atomic_store_n(&w->rip, frame->rip, __ATOMIC_RELEASE);
        return;
    }
    w->stray_rip = frame->rip;
    w->stray_port = in8(PORT_B);
    w->strays++;
    this_pcpu()->kick = 1;
}

static void name_it(uint32_t id, uint64_t rip)
{
    struct symbol at;
    symbol_find(rip, &at);
    if (rip)
        log_error("processor %u does not answer: it is at %s+0x%lx", id, at.name, at.offset);
    else
        log_error("processor %u does not answer, not even to an NMI", id);
}

// Asked by NMI at one look, told at the next; then not again before it comes by. Before its first turn it builds machines,
// however long.
static void look(struct timeout *t)
{
    const struct pcpu *p = &pcpus[(this_pcpu()->id + 1) % pcpu_count];
    struct watch *w = &watches[p->id];
    uint32_t notes = __atomic_load_n(&w->notes, __ATOMIC_ACQUIRE);
    timeout_set(this_pcpu()->timeouts, t, tsc(rdtsc().v + tsc_from_ms(LOOK_MS).v));
    if (!notes || notes != w->seen || p->state != PCPU_ONLINE) {
        w->seen = notes;
        w->missed = 0;
    } else if (++w->missed == PATIENCE) {
        __atomic_store_n(&w->rip, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&w->asked, 1, __ATOMIC_RELEASE);
        lapic_send(p->apic_id, IPI_NMI, 0);
    } else if (w->missed == PATIENCE + 1) {
        name_it(p->id, __atomic_load_n(&w->rip, __ATOMIC_ACQUIRE));
    }
}

void watchdog_start(void)
{
    struct timeout *t = &watches[this_pcpu()->id].timeout;
    nmi_handler = on_nmi;
    if (pcpu_count == 1)
        return;
    timeout_init(t, look);
    timeout_set(this_pcpu()->timeouts, t, tsc(rdtsc().v + tsc_from_ms(LOOK_MS).v));
}
