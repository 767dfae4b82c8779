// NMI, INIT and SIPI for the processor of an attempt while its subject runs: another processor sends them. Both know at
// any time how far the other one is, so that nothing arrives behind the attempt unnoticed, and a processor waits for a
// SIPI only while another one is there that sends it.
//
//     IDLE -> ASKED    the processor of the attempt asks one other, by an interrupt
//     ASKED -> READY   which answers from its handler, and stays there
//     READY -> INSIDE  about to enter
//     INSIDE -> SENT   a while later: sent
//     INSIDE -> LEFT, SENT -> LEFT   the attempt is over
//     LEFT -> IDLE, SENT -> IDLE     the other one is done with it; READY -> IDLE: it gave up
//
// Each change is one compare-and-exchange by who it belongs to.
#include "arch/cpu.h"
#include "arch/exception.h"
#include "arch/lapic.h"
#include "arch/pcpu.h"
#include "arch/tsc.h"
#include "vmx/probe.h"

enum stage { IDLE, ASKED, READY, INSIDE, SENT, LEFT };

static struct request {
    enum stage stage;
    enum probe_flag signal;
    bool until_left;  // sent again and again
    uint32_t helper;  // who is to send it
} requests[PCPU_MAX]; // by who is to get it

enum { PATIENCE_MS = 20, A_WHILE = 20000 }; // the latter in TSC ticks: longer than a VM entry takes

static bool move(struct request *r, enum stage from, enum stage to)
{
    return __atomic_compare_exchange_n(&r->stage, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static enum stage stage_of(const struct request *r)
{
    return __atomic_load_n(&r->stage, __ATOMIC_ACQUIRE);
}

// ---- Who sends ----

static void send(const struct request *r)
{
    uint32_t to = pcpus[r - requests].apic_id;
    if (r->signal == PROBE_SEND_NMI)
        lapic_send(to, IPI_NMI, 0);
    else if (r->signal == PROBE_SEND_INIT)
        lapic_send(to, IPI_INIT, 0);
    else
        lapic_send(to, IPI_STARTUP, PROBE_SIPI_VECTOR);
}

// While `stage` lasts, at most so many ticks.
static void wait(const struct request *r, enum stage stage, uint64_t ticks)
{
    const uint64_t begun = rdtsc().v;
    while (stage_of(r) == stage && rdtsc().v - begun < ticks)
        cpu_pause();
}

static void help(struct request *r)
{
    if (!move(r, ASKED, READY))
        return;
    wait(r, READY, tsc_from_ms(PATIENCE_MS).v);
    if (move(r, READY, IDLE))
        return;
    wait(r, INSIDE, A_WHILE);
    if (move(r, INSIDE, SENT)) {
        send(r);
        while (r->until_left && stage_of(r) == SENT) {
            wait(r, SENT, A_WHILE);
            send(r);
        }
    }
    __atomic_store_n(&r->stage, IDLE, __ATOMIC_RELEASE);
}

static uint32_t asking; // how many

// By an interrupt, and by who comes by: there are processors on which an interrupt does not end the turn of a guest
// that has interrupts off (docs/deviations.md).
void probe_signal_help(void)
{
    if (!__atomic_load_n(&asking, __ATOMIC_ACQUIRE))
        return;
    for (uint32_t id = 0; id < pcpu_count; id++)
        if (stage_of(&requests[id]) == ASKED && requests[id].helper == this_pcpu()->id)
            help(&requests[id]);
}

bool probe_signals_survived;

void probe_signal_init(bool survived)
{
    probe_signals_survived = survived;
    interrupt_set(VECTOR_PROBE, probe_signal_help);
}

// ---- Who gets it ----

static struct pcpu *another_one(void)
{
    for (uint32_t n = 1; n < pcpu_count; n++) {
        struct pcpu *p = &pcpus[(this_pcpu()->id + n) % pcpu_count];
        if (p->state == PCPU_ONLINE)
            return p;
    }
    return NULL;
}

// Two processors may ask each other: who waits for an answer gives one.
enum error probe_signal_ask(enum probe_flag signal, bool until_left)
{
    struct request *r = &requests[this_pcpu()->id];
    struct pcpu *helper = another_one();
    if (!helper)
        return E_UNSUPPORTED;
    r->signal = signal;
    r->until_left = until_left;
    r->helper = helper->id;
    move(r, IDLE, ASKED);
    __atomic_fetch_add(&asking, 1, __ATOMIC_RELEASE);
    lapic_send(helper->apic_id, IPI_FIXED, VECTOR_PROBE);
    const uint64_t begun = rdtsc().v, patience = tsc_from_ms(PATIENCE_MS).v;
    while (stage_of(r) == ASKED && rdtsc().v - begun < patience) {
        probe_signal_help();
        cpu_pause();
    }
    __atomic_fetch_sub(&asking, 1, __ATOMIC_RELEASE);
    return move(r, ASKED, IDLE) || !move(r, READY, INSIDE) ? E_AGAIN : E_OK;
}

bool probe_signal_left(void)
{
    struct request *r = &requests[this_pcpu()->id];
    bool sent = !move(r, INSIDE, LEFT);
    move(r, SENT, LEFT);
    while (stage_of(r) != IDLE)
        cpu_pause();
    return sent;
}
