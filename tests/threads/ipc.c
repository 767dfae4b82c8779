// The sources of ipc/ between real threads, each a processor, under the thread sanitizer: build/threads/ipc MESSAGES.
// A thread that waits is parked until somebody's wake, as a vCPU is.
#include "ipc/events.h"
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ENDS = 2, CPUS = 2 };

static struct end ends[ENDS];
static struct port ports[ENDS]; // [from], to the other one
static bool woken[ENDS][CPUS];
static unsigned wrong;
static uint64_t messages;

static void wake(struct end *e, unsigned cpu)
{
    __atomic_store_n(&woken[e - ends][cpu], true, __ATOMIC_RELEASE);
}

static void nothing(struct end *e, unsigned cpu, uint8_t vector)
{
    (void)e, (void)cpu, (void)vector;
}

static bool tell(struct port *p, unsigned event, struct message *m, bool *more);

static void start(bool shared)
{
    static const struct ipc_ops ops = {.wake = wake, .raise = nothing, .tell = tell};
    ipc_ops = &ops;
    memset(ends, 0, sizeof ends);
    memset(ports, 0, sizeof ports);
    memset(woken, 0, sizeof woken);
    ends[1].shared = shared;
    for (unsigned i = 0; i < ENDS; i++)
        port_connect(&ports[i], &ends[i], 1, &ends[!i], 1);
    for (unsigned i = 0; i < ENDS; i++) {
        for (unsigned cpu = 0; cpu < CPUS; cpu++)
            end_seat(&ends[i], cpu, &woken[i][cpu], NULL);
        end_attach(&ends[i], &ends[i]);
    }
}

static void expect(bool ok)
{
    if (!ok)
        __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
}

static void send(unsigned from, uint64_t n)
{
    struct message m = {
        {n, ~n, n * 3, n ^ 0x5555}
    };
    while (port_send(&ports[from], &m) == E_AGAIN)
        sched_yield();
}

// False: the other side is gone, and everything was taken.
static bool receive(unsigned end, unsigned cpu, uint64_t *n)
{
    struct end *e = &ends[end];
    struct message m;
    for (;;) {
        bool open = end_open(e, ~0ull);
        if (end_take(e, ~0ull, &m) != NOBODY) {
            *n = m.word[0];
            expect(m.word[1] == ~*n && m.word[2] == *n * 3 && m.word[3] == (*n ^ 0x5555));
            return true;
        }
        if (!open)
            return false;
        if (!end_wait(e, &e->waiter[cpu], ~0ull))
            continue;
        while (!__atomic_exchange_n(&woken[end][cpu], false, __ATOMIC_ACQUIRE))
            sched_yield();
        end_stop_waiting(e, cpu);
    }
}

// ---- One sends, one receives ----

static void *source(void *arg)
{
    (void)arg;
    for (uint64_t n = 0; n < messages; n++)
        send(0, n);
    end_detach(&ends[0]);
    return NULL;
}

static void *sink(void *arg)
{
    (void)arg;
    uint64_t n, next = 0;
    while (receive(1, 0, &n))
        expect(n == next++);
    expect(next == messages);
    return NULL;
}

// ---- By turns: each parks for each message ----

static void *caller(void *arg)
{
    (void)arg;
    uint64_t answer;
    for (uint64_t n = 0; n < messages / 20; n++) {
        send(0, n);
        expect(receive(0, 0, &answer) && answer == n + 1);
    }
    end_detach(&ends[0]);
    return NULL;
}

static void *answerer(void *arg)
{
    (void)arg;
    for (uint64_t n; receive(1, 0, &n);)
        send(1, n + 1);
    return NULL;
}

// ---- Two vCPUs receive: each sees the numbers grow, together they see each once ----

static uint64_t taken, sum;

static void *one_of_two(void *arg)
{
    unsigned cpu = (unsigned)(uintptr_t)arg;
    uint64_t n, last = 0, count = 0, mine = 0;
    for (; receive(1, cpu, &n); count++) {
        expect(!count || n > last);
        last = n;
        mine += n;
    }
    __atomic_fetch_add(&taken, count, __ATOMIC_RELAXED);
    __atomic_fetch_add(&sum, mine, __ATOMIC_RELAXED);
    return NULL;
}

// ---- Events, which two vCPUs take: each comes once, and nobody sleeps on one ----

enum { NOTED = 8 };
static const uint64_t STOP = ~0ull;
static struct events events;
static uint64_t about[NOTED], heard[NOTED]; // of the event that is noted, and that was taken last
static unsigned stopped;

static bool tell(struct port *p, unsigned event, struct message *m, bool *more)
{
    uint64_t n = __atomic_load_n(&about[event], __ATOMIC_RELAXED);
    (void)p, (void)more;
    *m = (struct message){
        {n, ~n, n * 3, n ^ 0x5555}
    };
    return true;
}

static void note(unsigned event, uint64_t n)
{
    __atomic_store_n(&about[event], n, __ATOMIC_RELAXED);
    events_note(&ports[0], event);
}

static void await(uint64_t n)
{
    while (n && __atomic_load_n(&heard[n % NOTED], __ATOMIC_ACQUIRE) != n)
        sched_yield();
}

// Several are on their way at a time; one is noted again when it was taken.
static void *notes(void *arg)
{
    (void)arg;
    for (uint64_t n = 1; n <= messages; n++) {
        await(n > NOTED ? n - NOTED : 0);
        note(n % NOTED, n);
    }
    for (uint64_t n = messages; n && n > messages - NOTED; n--)
        await(n);
    for (unsigned event = 0; __atomic_load_n(&stopped, __ATOMIC_ACQUIRE) < CPUS; event++) {
        note(event % NOTED, STOP);
        sched_yield();
    }
    return NULL;
}

static void *hears(void *arg)
{
    unsigned cpu = (unsigned)(uintptr_t)arg;
    uint64_t count = 0, mine = 0;
    for (uint64_t n; receive(1, cpu, &n) && n != STOP; count++, mine += n)
        __atomic_store_n(&heard[n % NOTED], n, __ATOMIC_RELEASE);
    __atomic_fetch_add(&taken, count, __ATOMIC_RELAXED);
    __atomic_fetch_add(&sum, mine, __ATOMIC_RELAXED);
    __atomic_fetch_add(&stopped, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void start_events(void)
{
    start(true);
    taken = sum = 0;
    ends[0].look = LOOK_SERVES;
    ports[0].events = &events;
    for (unsigned event = 0; event < NOTED; event++)
        events_expect(&ports[0], event, 0, false);
}

// ---- ----

static void point(unsigned number, const char *name)
{
    printf("%s %u - %s\n", wrong ? "not ok" : "ok", number, name);
    if (wrong)
        printf("# expected every message once and in order\n# got %u that were not\n", wrong);
    wrong = 0;
}

static void run(void *(*const bodies[])(void *), void *const args[], unsigned count)
{
    pthread_t threads[3];
    for (unsigned i = 0; i < count; i++)
        pthread_create(&threads[i], NULL, bodies[i], args[i]);
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
    messages = argc > 1 ? strtoull(argv[1], NULL, 0) : 1000000;
    void *const cpus[] = {NULL, (void *)0, (void *)1};
    printf("1..4\n");
    start(false);
    run((void *(*[])(void *)){source, sink}, cpus, 2);
    point(1, "one sends, one receives");
    start(false);
    run((void *(*[])(void *)){caller, answerer}, cpus, 2);
    point(2, "by turns");
    start(true);
    messages /= 4;
    run((void *(*[])(void *)){source, one_of_two, one_of_two}, cpus, 3);
    expect(taken == messages && sum == messages * (messages - 1) / 2);
    point(3, "two vCPUs of the receiver");
    start_events();
    run((void *(*[])(void *)){notes, hears, hears}, cpus, 3);
    expect(taken == messages && sum == messages * (messages + 1) / 2);
    point(4, "events for two vCPUs");
    return 0;
}
