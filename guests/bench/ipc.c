// Messages: to bench-peer, which answers each with the TSC at the first instruction behind its VMCALL; and to itself.
#include "guests/bench/bench.h"
#include "guests/lib/services.h"

// Ticks around one VMCALL with two arguments, in the shape of MEASURED() (bench.c).
static uint32_t ticks_call(uint32_t number, uint32_t first, uint32_t second)
{
    uint32_t ticks;
    __asm__ volatile("rdtsc\n\tmov %%eax, %%r9d\n\tmov %[number], %%eax\n\tmov %[first], %%edi\n\tvmcall\n\t"
                     "rdtsc\n\tsub %%r9d, %%eax"
                     : "=&a"(ticks), "+S"(second)
                     : [number] "r"(number), [first] "r"(first)
                     : "rdx", "rdi", "r8", "r9", "r10", "memory", "cc");
    return ticks;
}

// The same; `first_there`: ticks to the peer's first instruction, which its answer brings.
static uint32_t ticks_round_trip(uint32_t ports, uint32_t *first_there)
{
    uint32_t begun, ended, there;
    __asm__ volatile("rdtsc\n\tmov %%eax, %%r9d\n\tmov %[number], %%eax\n\tmov %[ports], %%edi\n\tvmcall\n\t"
                     "rdtsc\n\tmov %%r9d, %[begun]"
                     : "=&a"(ended), [begun] "=&r"(begun), "=&S"(there)
                     : [number] "i"(HC_CALL), [ports] "r"(ports)
                     : "rdx", "rdi", "r8", "r9", "r10", "memory", "cc");
    *first_there = there - begun;
    return ended - begun;
}

// Sends the TSC, which comes back as the second word of the answer.
static void send_time(uint32_t port)
{
    __asm__ volatile("rdtsc\n\tmov %%eax, %%esi\n\tmov %[number], %%eax\n\tmov %[port], %%edi\n\tvmcall"
                     :
                     : [number] "i"(HC_SEND), [port] "r"(port)
                     : "rax", "rdx", "rdi", "rsi", "r8", "r10", "memory", "cc");
}

static uint32_t ticks_event(uint32_t port)
{
    uint32_t begun, there;
    __asm__ volatile(
        "rdtsc\n\tmov %%eax, %%r8d\n\tmov %[number], %%eax\n\tmov %[port], %%edi\n\tvmcall\n\tnop\n\t"
        "mov %%r8d, %[begun]\n\tmov %%r9d, %[there]"
        : [begun] "=&r"(begun), [there] "=&r"(there)
        : [number] "i"(HC_SEND), [port] "r"(port)
        : "rax", "rdx", "rdi", "rsi", "r8", "r9", "r10", "memory", "cc");
    return there - begun;
}

static void measure_peer(uint32_t empty, word_t out, word_t in)
{
    uint32_t sends[RUNS], trips[RUNS];
    struct words m;
    for (unsigned i = 0; i < RUNS; i++)
        trips[i] = ticks_round_trip((uint32_t)(out | in << 8), &sends[i]);
    report_median("ipc-round-trip", trips, empty + INSTRUCTION);
    report_median("ipc-call", sends, empty + INSTRUCTION);
    for (unsigned i = 0; i < RUNS; i++) {
        send_time((uint32_t)out);
        ipc_receive(in, WAIT_FOREVER, &m);
        sends[i] = (uint32_t)m.w[0] - (uint32_t)m.w[1];
    }
    report_median("ipc-send", sends, empty + INSTRUCTION);
}

static void measure_oneself(uint32_t empty, word_t out, word_t in)
{
    uint32_t queues[RUNS], takes[RUNS], events[RUNS];
    struct words m;
    for (unsigned i = 0; i < RUNS; i++) {
        queues[i] = ticks_call(HC_SEND, (uint32_t)out, 0);
        takes[i] = ticks_call(HC_RECEIVE, (uint32_t)in, 0);
    }
    report_median("ipc-queue", queues, empty + INSTRUCTION);
    report_median("ipc-take", takes, empty + INSTRUCTION);
    port_event(in, VECTOR);
    for (unsigned i = 0; i < RUNS; i++) {
        interrupts_on();
        events[i] = ticks_event((uint32_t)out);
        interrupts_off();
        end_interrupt();
        ipc_receive(in, 0, &m);
    }
    report_median("event", events, empty + INSTRUCTION);
}

// The time of day, asked of the hypervisor.
static void measure_service(uint32_t empty)
{
    uint32_t calls[RUNS];
    struct services hypervisor;
    if (!services_find(&hypervisor)) {
        print("no ports to the hypervisor: no figure of its services\n");
        return;
    }
    for (unsigned i = 0; i < RUNS; i++)
        calls[i] = ticks_call(HC_CALL, (uint32_t)(hypervisor.out | hypervisor.in << 8), ASK_CLOCK_NOW);
    report_median("service-call", calls, empty + INSTRUCTION);
}

// A part of what bench-peer has granted, of pages that it has touched.
static void measure_grant(uint32_t empty, word_t in)
{
    enum { PAGES = 64 };
    sword_t window = hypercall1(HC_GRANT, GRANT_WINDOW), mapped = 0, got = 0;
    uint64_t sum = 0;
    while (window >= 0 && mapped < PAGES && got >= 0) {
        uint64_t begun = rdtsc();
        got = hypercall(HC_GRANT, GRANT_MAP, in, 0, (word_t)window, 0);
        sum += rdtsc() - begun - empty;
        mapped = got;
    }
    if (mapped == PAGES)
        report("grant-map", sum / PAGES, "ticks");
    else
        print("grant-map: %ld\n", (long)got);
}

void measure_grants(uint32_t empty)
{
    sword_t in = port_in("bench-peer");
    if (in >= 0)
        measure_grant(empty, (word_t)in);
}

// One leaf of 2 MiB, mapped and given back again and again. For a moment after it was given back it cannot be mapped.
void measure_large_grant(uint32_t empty)
{
    enum { PAGES = 512, PATIENCE = 1000 };
    uint32_t ticks[RUNS];
    sword_t in = port_in("bench-peer"), window = hypercall1(HC_GRANT, GRANT_WINDOW), got = 0;
    for (unsigned i = 0, tries = 0; in >= 0 && i < RUNS && tries < PATIENCE; tries++) {
        uint64_t begun = rdtsc();
        got = hypercall(HC_GRANT, GRANT_MAP, (word_t)in, 0, (word_t)window, 0);
        ticks[i] = (uint32_t)(rdtsc() - begun);
        i += got == PAGES;
        while (got > 0)
            got = hypercall(HC_GRANT, GRANT_UNMAP, (word_t)in, 0, 0, 0);
        yield();
    }
    if (got == 0)
        report_median("grant-map-2m", ticks, empty);
    else
        print("grant-map-2m: %ld\n", (long)got);
}

void measure_ipc(uint32_t empty)
{
    sword_t out = port_out("bench-peer"), in = port_in("bench-peer"), to_me = port_out("bench"),
            from_me = port_in("bench");
    if (out < 0 || in < 0 || to_me < 0 || from_me < 0) {
        print("no ports to bench-peer and bench: no figures of messages\n");
        return;
    }
    measure_peer(empty, (word_t)out, (word_t)in);
    measure_oneself(empty, (word_t)to_me, (word_t)from_me);
    measure_service(empty);
}

// ---- Across processors: bench-peer waits on an idle one; after that `taker` computes there, and is interrupted ----

static void measure_taker(uint32_t empty, word_t out, word_t in)
{
    enum { PAUSE = 2000 };
    uint32_t ticks[RUNS];
    struct words m = {{0}};
    ipc_send(out, &m);
    for (unsigned i = 0; i < RUNS; i++) {
        ipc_receive(in, WAIT_FOREVER, &m); // it is about to wait
        for (uint64_t end = rdtsc() + PAUSE; rdtsc() < end;)
            ;
        send_time((uint32_t)out);
        ipc_receive(in, WAIT_FOREVER, &m);
        ticks[i] = (uint32_t)m.w[0];
    }
    report_median("event", ticks, empty + INSTRUCTION);
}

void measure_far(uint32_t empty)
{
    sword_t out = port_out("bench-peer"), in = port_in("bench-peer"), to_taker = port_out("taker"),
            from_taker = port_in("taker");
    measure_peer(empty, (word_t)out, (word_t)in);
    measure_taker(empty, (word_t)to_taker, (word_t)from_taker);
}

void take_events(void)
{
    sword_t out = port_out("bench"), in = port_in("bench");
    struct words m;
    apic_enable(true);
    ipc_receive((word_t)in, WAIT_FOREVER, &m);
    port_event((word_t)in, VECTOR);
    for (unsigned i = 0; i < RUNS; i++) {
        ipc_send((word_t)out, &m);
        uint32_t came = wait_for_handler();
        end_interrupt();
        ipc_receive((word_t)in, 0, &m);
        m.w[0] = came - (uint32_t)m.w[0];
        ipc_send((word_t)out, &m);
    }
}
