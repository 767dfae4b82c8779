// Bad input: wrong numbers and registers, limits, and what comes of it; time; events; a flood; an end in the middle.
#include "guests/ipc/ipc.h"

enum { VECTOR = 0x61, DEPTH = 32 };

static void refused(const char *name, enum error expected, sword_t got)
{
    check_equal(name, (uint64_t)(sword_t) - (sword_t)expected, (uint64_t)got);
}

static sword_t port_call(enum port_op op, word_t a, word_t b)
{
    return hypercall(HC_PORT, op, a, b, 0, 0);
}

static sword_t grant(enum grant_op op, word_t a, word_t b, word_t c, word_t d)
{
    return hypercall(HC_GRANT, op, a, b, c, d);
}

static void wrong_numbers(const struct role *r)
{
    struct words m = {{0}};
    refused("send-0", E_NOT_FOUND, ipc_send(0, &m));
    refused("send-63", E_NOT_FOUND, ipc_send(63, &m));
    refused("send-64", E_NOT_FOUND, ipc_send(64, &m));
    refused("send-wild", E_NOT_FOUND, ipc_send(~(word_t)0, &m));
    refused("receive-63", E_NOT_FOUND, ipc_receive(63, 0, &m));
    refused("receive-wild", E_NOT_FOUND, ipc_receive(~(word_t)0 << 8, 0, &m));
    refused("receive-for-long", E_INVALID, ipc_receive(r->in[0], (word_t)WAIT_FOREVER + 1, &m));
    refused("call-from-nowhere", E_NOT_FOUND, ipc_call(r->out[0], 63, &m));
    refused("call-wild", E_NOT_FOUND, message_call(HC_CALL, r->out[0] | 1 << 16, &m));
    refused("port-op", E_INVALID, port_call((enum port_op)77, 0, 0));
    refused("port-nobody", E_NOT_FOUND, port_out("nobody"));
    refused("port-no-name", E_INVALID, port_call(PORT_OUT, (word_t) "x", 0));
    refused("port-long-name", E_TOO_BIG, port_call(PORT_OUT, (word_t) "x", 100));
    refused("port-name-outside", E_BAD_ADDRESS, port_call(PORT_IN, (word_t)r->start->mem_bytes, 5));
    refused("event-nowhere", E_NOT_FOUND, port_call(PORT_EVENT, 63, VECTOR));
    refused("event-low", E_INVALID, port_call(PORT_EVENT, r->in[0], 15));
    refused("event-high", E_INVALID, port_call(PORT_EVENT, r->in[0], 256));
}

static void wrong_grants(const struct role *r)
{
    word_t out = r->out[0], in = r->in[0], end = (word_t)(r->start->mem_bytes >> 12);
    refused("grant-op", E_INVALID, grant((enum grant_op)77, out, 0, 1, 1));
    refused("grant-no-port", E_NOT_FOUND, grant(GRANT_GIVE, 63, 0, 1, 1));
    refused("grant-nothing", E_INVALID, grant(GRANT_GIVE, out, 0, 0, 1));
    refused("grant-no-right", E_INVALID, grant(GRANT_GIVE, out, 0, 1, 2));
    refused("grant-outside", E_BAD_ADDRESS, grant(GRANT_GIVE, out, end - 1, 2, 1));
    refused("grant-everything", E_BAD_ADDRESS, grant(GRANT_GIVE, out, 1, ~(word_t)0, 1));
    refused("grant-wild", E_BAD_ADDRESS, grant(GRANT_GIVE, out, ~(word_t)0, 2, 1));
    refused("map-none", E_NOT_FOUND, grant(GRANT_MAP, in, 5, 0, 0));
    refused("map-wild", E_NOT_FOUND, grant(GRANT_MAP, in, ~(word_t)0, 0, 0));
    refused("map-no-port", E_NOT_FOUND, grant(GRANT_MAP, 63, 0, 0, 0));
    refused("unmap-none", E_NOT_FOUND, grant(GRANT_UNMAP, in, 5, 0, 0));
    refused("revoke-none", E_NOT_FOUND, grant(GRANT_REVOKE, out, 5, 0, 0));
    sword_t number = grant(GRANT_GIVE, out, end - 1, 1, 1);
    check_equal("grant-self", 0, (uint64_t)number);
    refused("map-self", E_INVALID, grant(GRANT_MAP, in, (word_t)number, 0, 0));
    check_equal("revoke-self", 0, (uint64_t)grant(GRANT_REVOKE, out, (word_t)number, 0, 0));
}

static void limits(const struct role *r)
{
    struct words m;
    unsigned sent = 0, taken = 0;
    for (sword_t got = 0; !got && sent <= DEPTH; sent += !got) {
        fill(&m, 1, sent);
        got = ipc_send(r->out[0], &m);
    }
    check_equal("full", DEPTH, sent);
    while (ipc_receive(r->in[0], 0, &m) == (sword_t)r->in[0] && is_filled(&m, 1, taken))
        taken++;
    check_equal("all-back", DEPTH, taken);
    uint64_t begun = rdtsc(), us = 3000;
    refused("timeout", E_AGAIN, ipc_receive(PORT_ANY, (word_t)us, &m));
    check(rdtsc() - begun >= divide(r->start->tsc_hz, 1000000) * us, "timeout-lasts",
          "expected 3 ms\ngot less");
}

static volatile unsigned came;

static bool on_event(struct frame *f)
{
    (void)f;
    came++;
    apic_eoi();
    return true;
}

// An interrupt that comes before the call, because others had their turns in between, ends no wait: another one is
// tried.
static void interrupted_wait(struct words *m)
{
    enum { TICKS = 20000, PATIENCE_US = 500000, TRIES = 10 };
    sword_t got = -E_AGAIN;
    unsigned before = came, tries = 0;
    apic_write(APIC_LVT_TIMER, TIMER_DEADLINE | VECTOR);
    for (; got == -E_AGAIN && tries < TRIES; tries++) {
        wrmsr(MSR_TSC_DEADLINE, rdtsc() + TICKS);
        interrupts_on();
        got = ipc_receive(PORT_ANY, PATIENCE_US, m);
        interrupts_off();
    }
    refused("interrupted", E_INTERRUPTED, got);
    check_equal("interrupt-came", before + tries, came);
}

static void events(const struct role *r)
{
    struct words m;
    fill(&m, 1, 1);
    apic_map();
    apic_enable(true);
    exception_handle(VECTOR, on_event);
    check_equal("event-set", 0, (uint64_t)port_event(r->in[0], VECTOR));
    ipc_send(r->out[0], &m);
    interrupts_window();
    check_equal("event", 1, came);
    ipc_receive(r->in[0], 0, &m);
    port_event(r->in[0], 0);
    ipc_send(r->out[0], &m);
    interrupts_window();
    check_equal("event-off", 1, came);
    port_event(r->in[0], VECTOR); // one is there already
    interrupts_window();
    check_equal("event-late", 2, came);
    ipc_receive(r->in[0], 0, &m);
    interrupted_wait(&m);
}

// A machine that may send to itself and to nobody else.
int hostile(const struct role *r)
{
    wrong_numbers(r);
    wrong_grants(r);
    limits(r);
    events(r);
    return 0;
}

// No ports at all.
int alone(const struct role *r)
{
    struct words m = {{0}};
    (void)r;
    refused("send", E_NOT_FOUND, ipc_send(1, &m));
    refused("receive", E_NOT_FOUND, ipc_receive(PORT_ANY, 0, &m));
    refused("find", E_NOT_FOUND, port_out("alone"));
    return 0;
}

// Ends count= messages after its first, in the middle of what others expect of it.
int dies(const struct role *r)
{
    struct words m;
    for (word_t i = 0; i < r->count; i++)
        ipc_receive(PORT_ANY, WAIT_FOREVER, &m);
    check(true, "dies", "expected and got nothing");
    return 0;
}

// Calls one that never answers and ends: it must be told.
int widow(const struct role *r)
{
    struct words m;
    fill(&m, 1, 1);
    refused("call-is-given-up", E_GONE, ipc_call(r->out[0], r->in[0], &m));
    refused("send-is-refused", E_GONE, ipc_send(r->out[0], &m));
    refused("receive-is-refused", E_GONE, ipc_receive(PORT_ANY, WAIT_FOREVER, &m));
    return 0;
}

// Sends without asking whether anybody takes it, for count= rounds.
int flood(const struct role *r)
{
    struct words m;
    word_t full = 0;
    for (word_t i = 0; i < r->count; i++) {
        fill(&m, 1, i);
        full += ipc_send(r->out[0], &m) == -E_AGAIN;
    }
    check(full > 0, "was-held-back", "expected E_AGAIN at times\ngot it never");
    return 0;
}

// Takes one message each 50 us from who floods; the other of by= must not wait for longer.
int slow(const struct role *r)
{
    struct words m;
    word_t others = 0, next = 0, wrong = 0;
    uint64_t ms = divide(r->start->tsc_hz, 1000);
    sword_t in;
    while ((in = ipc_receive(PORT_ANY, WAIT_FOREVER, &m)) >= 0) {
        if (in == (sword_t)r->in[1]) {
            wrong += !is_filled(&m, m.w[0], next++);
            others++;
        }
        for (uint64_t end = rdtsc() + ms / 20; rdtsc() < end;)
            ;
    }
    check(others == r->count && !wrong, "third-party", "expected %lu in order\ngot %lu, %lu wrong",
          (unsigned long)r->count, (unsigned long)others, (unsigned long)wrong);
    return 0;
}
