// Roles that exchange messages: nothing may be lost, doubled or out of order.
#include "guests/ipc/ipc.h"

static const char *sentence(sword_t got)
{
    return got < 0 ? error_text((enum error) - got) : "success";
}

// Waits that were interrupted or timed out are taken up again.
static sword_t receive(word_t port, struct words *m)
{
    sword_t got;
    while ((got = ipc_receive(port, WAIT_FOREVER, m)) == -E_INTERRUPTED)
        ;
    return got;
}

// Calls the first of to=, which answers with the number and one.
int ping(const struct role *r)
{
    struct words m;
    word_t n = 0;
    sword_t got = 0;
    uint64_t begun = rdtsc();
    for (; n < r->count; n++) {
        fill(&m, 1, n);
        got = ipc_call(r->out[0], r->in[0], &m);
        if (got != (sword_t)r->in[0] || !is_filled(&m, 2, n + 1))
            break;
    }
    if (n)
        print("%lu round trips, %lu ticks each\n", (unsigned long)n,
              (unsigned long)divide(rdtsc() - begun, (uint32_t)n));
    check(n == r->count, "answers", "expected %lu\ngot %lu, then port %ld: %s", (unsigned long)r->count,
          (unsigned long)n, (long)got, sentence(got));
    fill(&m, 1, 0);
    check_equal("nobody-else", (uint64_t)-E_AGAIN, (uint64_t)ipc_receive(PORT_ANY, 0, &m));
    return 0;
}

static word_t answer_port(const struct role *r, sword_t in)
{
    unsigned i = 0;
    while (i < r->by_count && r->in[i] != (word_t)in)
        i++;
    return i < r->by_count ? r->out[i] : PORTS;
}

// Answers whoever calls (by= and to= name the same, in the same order), until all have ended.
int serve(const struct role *r)
{
    struct words m;
    sword_t in = receive(PORT_ANY, &m);
    word_t served = 0;
    while (in >= 0) {
        fill(&m, 2, m.w[1] + 1);
        served++;
        in = ipc_call(answer_port(r, in), PORT_ANY, &m);
        if (in == -E_INTERRUPTED)
            in = receive(PORT_ANY, &m);
    }
    check(in == -E_GONE && served == r->count, "served", "expected %lu calls, then %s\ngot %lu, then %s",
          (unsigned long)r->count, error_text(E_GONE), (unsigned long)served, sentence(in));
    return 0;
}

// Sends numbered messages to all of to=, as fast as they take them.
int source(const struct role *r)
{
    struct words m;
    enum error e = E_OK;
    for (word_t n = 0; e == E_OK && n < r->count; n++)
        for (unsigned i = 0; e == E_OK && i < r->to_count; i++) {
            fill(&m, (word_t)r->start->vm_id, n);
            e = send_all(r->out[i], &m);
        }
    check(e == E_OK, "sent", "expected success\ngot: %s", error_text(e));
    return 0;
}

// Takes count= messages from each of by=, in order; then they end.
int sink(const struct role *r)
{
    word_t next[PORTS] = {0}, wrong = 0, all = 0;
    struct words m;
    sword_t in;
    while ((in = receive(PORT_ANY, &m)) >= 0) {
        wrong += !is_filled(&m, m.w[0], next[in]++);
        all++;
    }
    check(!wrong, "in-order", "expected all in order\ngot %lu that were not", (unsigned long)wrong);
    check(in == -E_GONE && all == r->count * r->by_count, "all", "expected %lu, then %s\ngot %lu, then %s",
          (unsigned long)(r->count * r->by_count), error_text(E_GONE), (unsigned long)all, sentence(in));
    return 0;
}

// Passes a token on that counts its hops; the one with `first` starts it and takes it out after count= rounds.
int ring(const struct role *r)
{
    struct words m;
    word_t rounds = 0;
    bool first = word_present(r->line, "first");
    if (first) {
        fill(&m, 3, 0);
        send_all(r->out[0], &m);
    }
    word_t hop = 0;
    bool ok = true;
    for (; ok && rounds < r->count; rounds++) {
        ok = receive(r->in[0], &m) == (sword_t)r->in[0];
        ok = ok && (!rounds || m.w[1] > hop) && is_filled(&m, 3, m.w[1]);
        hop = m.w[1];
        fill(&m, 3, hop + 1);
        if (ok && !(first && rounds + 1 == r->count))
            ok = send_all(r->out[0], &m) == E_OK;
    }
    check(ok, "token", "expected %lu rounds\ngot %lu, hop %lu", (unsigned long)r->count,
          (unsigned long)rounds, (unsigned long)hop);
    return 0;
}
