#include "kernel/report.h"
#include "arch/cpu.h"
#include "arch/lock.h"
#include "arch/memory.h"
#include "arch/pcpu.h"
#include "arch/string.h"
#include "kernel/drain.h"
#include "sched/timeout.h"
#include "sdm/text.h"

// The boot processor says most: everything from the first line on, before anybody drains.
// A 16-byte FIFO takes 1.39 ms at 115200 baud; whoever comes a little early finds it busy and comes for
// nothing.
enum { BOOT_RING_SIZE = 0x10000, DRAIN_PERIODS_PER_SECOND = 700, STEP_BYTES = 64, NOBODY = ~0u };

_Static_assert((int)RINGS_MAX == (int)PCPU_MAX, "one ring a processor");

static uint8_t boot_bytes[BOOT_RING_SIZE] __attribute__((aligned(RECORD_ALIGN)));
static struct log_ring rings[PCPU_MAX];
static struct timeout timeouts[PCPU_MAX]; // each drains on its own processor
static tsc_t drain_period;                // how long a 16-byte FIFO takes to send; 0: no timeouts yet

static struct lock drain_lock; // guards `drain`, the sinks behind it and `drain_owner`
static uint32_t drain_owner = NOBODY;
static struct drain drain;
static bool is_open; // the consoles are there, all that will come

bool report_is_open(void)
{
    return is_open;
}

// NMI and #MC run on stacks of their own and may have interrupted anything, this file included.
static bool on_interrupt_stack(void)
{
    uint64_t sp = (uint64_t)(uintptr_t)__builtin_frame_address(0);
    return sp >= STACKS_BASE && sp < IMAGE_BASE &&
           (sp - STACKS_BASE) % PCPU_SLOT >= PCPU_STACK + PCPU_STACK_SIZE;
}

static void drain_leave(void)
{
    __atomic_store_n(&drain_owner, NOBODY, __ATOMIC_RELAXED);
    lock_release(&drain_lock);
}

static bool drain_try_enter(void)
{
    if (!lock_try(&drain_lock))
        return false;
    __atomic_store_n(&drain_owner, this_pcpu()->id, __ATOMIC_RELAXED);
    return true;
}

static void drain_enter(void)
{
    lock_take(&drain_lock);
    __atomic_store_n(&drain_owner, this_pcpu()->id, __ATOMIC_RELAXED);
}

// This processor's timeout will go on with the draining. Not from where the heap may be half changed.
static void drain_later(void)
{
    if (!drain_period.v || on_interrupt_stack())
        return;
    struct pcpu *p = this_pcpu();
    struct timeout *t = &timeouts[p->id];
    if (p->timeouts && t->index == TIMEOUT_IDLE)
        timeout_set(p->timeouts, t, tsc(rdtsc().v + drain_period.v));
}

static void drain_due(struct timeout *t)
{
    (void)t;
    report_drain_step(STEP_BYTES);
}

// Waits until this processor's ring has room, or until nothing can be done about it.
static void make_room(size_t length)
{
    const struct pcpu *p = this_pcpu();
    if (on_interrupt_stack() || __atomic_load_n(&drain_owner, __ATOMIC_RELAXED) == p->id)
        return; // waiting for the lock could be waiting for ourselves
    drain_enter();
    drain_for_room(&drain, p->log, length);
    drain_leave();
}

static void put(tsc_t at, enum record_kind kind, uint8_t detail, const char *text, size_t len)
{
    struct log_ring *r = this_pcpu()->log;
    len = min_u64(len, RECORD_TEXT_MAX);
    if (!log_ring_put(r, at, kind, detail, text, len)) {
        make_room(len);
        if (!log_ring_put(r, at, kind, detail, text, len))
            __atomic_fetch_add(&r->dropped, 1, __ATOMIC_RELAXED);
    }
    drain_later();
}

static void put_log_line(enum log_level level, const char *line, size_t len)
{
    (void)level;
    put(rdtsc(), RECORD_LINE, 0, line, len);
}

void report_add_ring(struct pcpu *p, void *zeroed, uint32_t bytes)
{
    timeout_init(&timeouts[p->id], drain_due);
    log_ring_init(&rings[p->id], zeroed, bytes);
    p->log = &rings[p->id];
    drain_enter();
    drain.rings[drain.ring_count++] = p->log;
    drain_leave();
}

void report_start(void)
{
    report_add_ring(this_pcpu(), boot_bytes, sizeof boot_bytes);
    log_sink = put_log_line;
}

void report_add_sink(const struct sink *sink)
{
    drain_enter();
    if (drain.sink_count < SINKS_MAX) {
        drain.taken[drain.sink_count] = drain.length; // starts with the next line
        drain.sinks[drain.sink_count++] = *sink;
    }
    drain_leave();
}

void report_use_timeouts(uint64_t ticks_per_second)
{
    drain_period = tsc(ticks_per_second / DRAIN_PERIODS_PER_SECOND);
    drain_later();
}

void report_open(bool tap)
{
    static const char version[] = "TAP version 13\n";
    drain_enter();
    drain.tap.off = !tap;
    drain_text(&drain, version, tap ? sizeof version - 1 : 0);
    is_open = true;
    drain_leave();
}

bool report_drain_step(size_t max_bytes)
{
    bool left = true; // if another one drains, it may have passed by what is new
    if (drain_try_enter()) {
        left = is_open && drain_step(&drain, max_bytes);
        drain_leave();
    }
    if (left)
        drain_later();
    return left;
}

void report_drain(void)
{
    drain_enter();
    drain_all(&drain);
    drain_settle(&drain);
    drain_leave();
}

void report_point(enum point_result result, const char *machine, const char *name, const char *detail)
{
    char buf[RECORD_TEXT_MAX + 1];
    struct text text = text_in(buf, sizeof buf);
    text_add(&text, "%s/%s", machine, name);
    if (detail)
        text_add(&text, "\n%s", detail);
    put(rdtsc(), RECORD_POINT, (uint8_t)result, buf, text.len);
}

bool report_has_room(void)
{
    return log_ring_free(this_pcpu()->log) >= REPORT_ROOM;
}

void report_guest_line(const char *machine, const char *text, size_t len)
{
    char line[RECORD_TEXT_MAX];
    size_t n = min_u64(format(line, sizeof line, "%s| ", machine), sizeof line - 1);
    len = min_u64(len, sizeof line - n);
    memcpy(line + n, text, len);
    put(rdtsc(), RECORD_LINE, 0, line, n + len);
}

static void put_losses(void)
{
    for (uint32_t i = 0; i < drain.ring_count; i++) {
        uint32_t lost = __atomic_exchange_n(&drain.rings[i]->dropped, 0, __ATOMIC_RELAXED);
        char line[64];
        if (lost)
            drain_text(&drain, line, format(line, sizeof line, "# %u lines of processor %u lost\n", lost, i));
    }
}

uint32_t report_end(void)
{
    drain_enter();
    drain_all(&drain);
    put_losses();
    drain_text(&drain, drain.line, tap_end(&drain.tap, drain.line));
    drain_settle(&drain);
    uint32_t failed = drain.tap.failed;
    drain_leave();
    return failed;
}

// Once all is drained, the buffer of the line in transit is free: a panic's stack may be short.
static void bail_out(const char *sentence)
{
    struct log_record record = {.kind = RECORD_LINE, .length = (uint16_t)strnlen(sentence, RECORD_TEXT_MAX)};
    drain_all(&drain);
    drain_text(&drain, "# ", drain.tap.off ? 2 : 0);
    drain_text(&drain, "Bail out! ", 10);
    size_t n = tap_render(&drain.tap, &record, sentence, drain.line);
    drain_text(&drain, drain.line + 2, n - 2); // without "# "
    drain.tap.ended = true;
}

void report_bail_out(const char *sentence)
{
    drain_enter();
    bail_out(sentence);
    drain_settle(&drain);
    drain_leave();
}

void report_seize(const char *sentence)
{
    bail_out(sentence);
    log_sink = report_seized_line;
}

void report_seized_line(enum log_level level, const char *line, size_t len)
{
    struct log_record record = {.kind = RECORD_LINE, .length = (uint16_t)min_u64(len, RECORD_TEXT_MAX)};
    (void)level;
    drain_text(&drain, drain.line, tap_render(&drain.tap, &record, line, drain.line));
}

void report_settle(void)
{
    drain_settle(&drain);
}
