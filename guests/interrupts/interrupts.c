// Counts interrupts of all kinds and priorities on all its processors at once: self-IPIs, timer, IPIs to others, with
// priorities raised, interrupts off and handlers interrupted now and then. A vector is sent again only when its
// last one has arrived, so each must come exactly once. cmdline=total=N: how many in all.
#include "guests/lib/guest.h"
#include "guests/lib/smp.h"

enum { SELF_VECTORS = 4, TIMER_VECTOR = 0xd3, WAIT_TICKS = 400000000, TIMER_TICKS = 1500 };
enum kind { SELF, TIMER, IPI, KINDS };

struct counter {
    volatile unsigned sent, came;
};

static unsigned cpus, share;
static char stacks[CPUS_MAX][CPU_STACK_BYTES] __attribute__((aligned(16)));
static volatile unsigned finished, doubled;
static volatile struct barrier all_there;

static struct cpu {
    struct counter self[SELF_VECTORS], timer, ipi[CPUS_MAX]; // ipi[from]
    unsigned sent[KINDS];
    uint32_t random;
} cpu[CPUS_MAX];

static uint8_t self_vector(unsigned i)
{
    return (uint8_t)(0x3a + 0x21 * i); // classes 3, 5, 7, 9
}

// Of higher class the higher the sender; not the self-IPIs' vectors.
static uint8_t ipi_vector(unsigned from)
{
    return (uint8_t)(0x44 + 0x10 * (from & 7) + (from >> 3));
}

static unsigned random(struct cpu *c)
{
    c->random = c->random * 1664525 + 1013904223;
    return c->random >> 16;
}

static struct counter *counter_of(struct cpu *c, uint8_t vector)
{
    if (vector == TIMER_VECTOR)
        return &c->timer;
    for (unsigned i = 0; i < SELF_VECTORS; i++)
        if (vector == self_vector(i))
            return &c->self[i];
    for (unsigned from = 0; from < cpus; from++)
        if (vector == ipi_vector(from))
            return &c->ipi[from];
    return NULL;
}

static bool on_interrupt(struct frame *f)
{
    struct cpu *c = &cpu[this_cpu()];
    struct counter *n = counter_of(c, (uint8_t)f->vector);
    if (!n || n->came >= n->sent)
        __atomic_add_fetch(&doubled, 1, __ATOMIC_SEQ_CST);
    else
        n->came++;
    if (f->vector % 3 == 0) { // higher ones may come in between
        interrupts_on();
        pause();
        interrupts_off();
    }
    apic_eoi();
    return true;
}

static bool free_again(const struct counter *n)
{
    return n->came == n->sent;
}

static bool send_self(struct cpu *c)
{
    unsigned i = random(c) % SELF_VECTORS;
    if (!free_again(&c->self[i]))
        return false;
    c->self[i].sent++;
    apic_self(self_vector(i));
    return true;
}

static bool send_timer(struct cpu *c)
{
    if (!free_again(&c->timer))
        return false;
    c->timer.sent++;
    wrmsr(MSR_TSC_DEADLINE, rdtsc() + random(c) % TIMER_TICKS);
    return true;
}

static bool send_ipi(struct cpu *c)
{
    unsigned from = (unsigned)(c - cpu), to = random(c) % cpus;
    struct counter *n = &cpu[to].ipi[from];
    if (to == from || !free_again(n))
        return false;
    n->sent++;
    apic_send(to, ipi_vector(from));
    return true;
}

static bool (*const senders[KINDS])(struct cpu *c) = {send_self, send_timer, send_ipi};

static void step(struct cpu *c)
{
    static const enum kind mix[] = {SELF, SELF, SELF, SELF, IPI, IPI, IPI, TIMER};
    unsigned r = random(c);
    enum kind kind = mix[r % array_size(mix)];
    if (r & 0x100)
        interrupts_off();
    else
        interrupts_on();
    if ((r >> 9 & 7) == 0)
        apic_write(APIC_TPR, r >> 4 & 0xf0);
    else if ((r >> 9 & 7) < 3)
        apic_write(APIC_TPR, 0);
    if (senders[kind](c)) {
        c->sent[kind]++;
        return;
    }
    apic_write(APIC_TPR, 0);
    interrupts_off();
    if (!free_again(&c->timer) && r & 0x1000)
        __asm__ volatile("sti; hlt" : : : "memory");
    else
        interrupts_window();
    yield();
}

static bool all_arrived(void)
{
    for (unsigned i = 0; i < cpus; i++) {
        for (unsigned k = 0; k < SELF_VECTORS; k++)
            if (!free_again(&cpu[i].self[k]))
                return false;
        for (unsigned k = 0; k < cpus; k++)
            if (!free_again(&cpu[i].ipi[k]))
                return false;
        if (!free_again(&cpu[i].timer))
            return false;
    }
    return true;
}

static void run(unsigned id)
{
    struct cpu *c = &cpu[id];
    barrier_wait(&all_there, cpus); // an APIC that is not enabled yet takes no interrupt
    uint64_t end = rdtsc() + (uint64_t)WAIT_TICKS * 4;
    c->random = id + 1;
    apic_write(APIC_LVT_TIMER, TIMER_DEADLINE | TIMER_VECTOR);
    while (c->sent[SELF] + c->sent[TIMER] + c->sent[IPI] < share && rdtsc() < end)
        step(c);
    apic_write(APIC_TPR, 0);
    interrupts_on();
    __atomic_add_fetch(&finished, 1, __ATOMIC_SEQ_CST);
    for (end = rdtsc() + WAIT_TICKS; (finished < cpus || !all_arrived()) && rdtsc() < end;)
        yield();
}

static void run_other(unsigned id)
{
    run(id);
    for (;;)
        __asm__ volatile("hlt" : : : "memory");
}

static unsigned sum(enum kind kind, bool came)
{
    unsigned n = 0;
    for (unsigned i = 0; i < cpus; i++) {
        if (kind == TIMER)
            n += came ? cpu[i].timer.came : cpu[i].sent[TIMER];
        if (kind == SELF)
            for (unsigned k = 0; k < SELF_VECTORS; k++)
                n += came ? cpu[i].self[k].came : cpu[i].self[k].sent;
        if (kind == IPI)
            for (unsigned k = 0; k < cpus; k++)
                n += came ? cpu[i].ipi[k].came : cpu[i].ipi[k].sent;
    }
    return n;
}

static void check_counts(unsigned total)
{
    static const char *const names[KINDS] = {"self-ipi", "timer", "ipi"};
    unsigned came = 0;
    for (enum kind kind = SELF; kind < KINDS; kind++) {
        check_equal(names[kind], sum(kind, false), sum(kind, true));
        came += sum(kind, true);
    }
    check_equal("total", total, came);
    check_equal("none-doubled", 0, doubled);
    print("%u interrupts: %u self-IPIs, %u of timers, %u IPIs\n", came, sum(SELF, true), sum(TIMER, true),
          sum(IPI, true));
}

int main(const struct start_info *start)
{
    apic_map();
    apic_enable(true);
    cpus = cpu_count();
    share = (unsigned)word_number(command_line(start), "total", 20000) / cpus;
    tap_plan(6);
    for (unsigned vector = 32; vector < 255; vector++)
        exception_handle(vector, on_interrupt);
    unsigned started = 1;
    for (unsigned i = 1; i < cpus; i++)
        started += cpu_start(i, run_other, stacks[i] + CPU_STACK_BYTES);
    check_equal("all-start", cpus, started);
    run(0);
    interrupts_off();
    check_counts(share * cpus);
    return tap_end();
}
