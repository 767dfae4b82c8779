// Finds its processors, starts them and has them work together: ids, lock, barrier, IPIs of all kinds, INIT of one
// that runs, and what it keeps. cmdline=cpus=N says how many there must be; `xapic` runs it by the page; `nowhere`
// sends a SIPI to where there is no memory, and `halt` halts all that it has started in several ways, each of which
// ends this machine.
#include "guests/lib/guest.h"
#include "guests/lib/smp.h"

enum { LOCKED_STEPS = 300, ROUNDS = 40, PINGS = 100, ABSENT = 14, WAIT_TICKS = 200000000 };
enum { WAKE = 0x41, PING = 0x51, PONG = 0x61, COUNTED = 0x71 };
enum { X2APIC_FLAGS = BASE_ENABLE | BASE_X2APIC };

static unsigned cpus;
static char stacks[CPUS_MAX][CPU_STACK_BYTES] __attribute__((aligned(16)));

static struct cpu {
    void (*volatile job)(unsigned id); // NULL: it waits for one
    volatile unsigned counted, nmis, pings, pongs;
    volatile unsigned turns; // of its waiting loop
    uint32_t apic_id, leaf1_id, leafb_id;
    uint64_t base;
} cpu[CPUS_MAX];

// ---- What the others do ----

static void work(unsigned id)
{
    for (;;) {
        while (!cpu[id].job) {
            halt_once();
            cpu[id].turns++;
        }
        cpu[id].job(id);
        cpu[id].job = NULL;
    }
}

static bool wait_until(bool (*reached)(void))
{
    uint64_t end = rdtsc() + WAIT_TICKS;
    interrupts_on();
    while (!reached() && rdtsc() < end)
        yield();
    interrupts_off();
    return reached();
}

static bool all_idle(void)
{
    for (unsigned i = 1; i < cpus; i++)
        if (cpu[i].job)
            return false;
    return true;
}

// All processors, this one among them, do `job`; false when one of them does not come back.
static bool everybody(void (*job)(unsigned id))
{
    for (unsigned i = 1; i < cpus; i++) {
        cpu[i].job = job;
        apic_send(i, WAKE);
    }
    job(0);
    return wait_until(all_idle);
}

static bool on_interrupt(struct frame *f)
{
    struct cpu *c = &cpu[this_cpu()];
    switch (f->vector) {
    case PING:
        c->pings++;
        apic_send(0, PONG);
        break;
    case PONG:
        c->pongs++;
        break;
    case COUNTED:
        c->counted++;
        break;
    }
    apic_eoi();
    return true;
}

static bool on_nmi(struct frame *f)
{
    (void)f;
    cpu[this_cpu()].nmis++;
    return true;
}

// ---- Points ----

static void check_start(void)
{
    unsigned started = 1;
    for (unsigned i = 1; i < cpus; i++)
        started += cpu_start(i, work, stacks[i] + CPU_STACK_BYTES);
    check_equal("all-start", cpus, started);
}

static void look_at_oneself(unsigned id)
{
    cpu[id].apic_id = apic_id();
    cpu[id].leaf1_id = cpuid(1, 0).ebx >> 24;
    cpu[id].leafb_id = cpuid(0xb, 0).edx;
    cpu[id].base = rdmsr(MSR_APIC_BASE);
}

static void check_ids(void)
{
    bool back = everybody(look_at_oneself), ids = true, flags = true;
    uint32_t mode = apic_x2 ? X2APIC_FLAGS : BASE_ENABLE;
    for (unsigned i = 0; i < cpus; i++) {
        ids = ids && cpu[i].apic_id == i && cpu[i].leaf1_id == i && cpu[i].leafb_id == i;
        flags = flags && (cpu[i].base & 0xfff) == (mode | (i ? 0 : BASE_BSP));
    }
    check(back, "wake-by-ipi", "expected all to wake, work and come back\ngot not all");
    check(ids, "ids", "expected ids from 0 on in APIC, CPUID 1 and CPUID 0BH\ngot others");
    check(flags, "apic-base", "expected the BSP flag of the first one alone\ngot otherwise");
}

static volatile struct spinlock lock;
static volatile struct barrier barrier;
static volatile unsigned locked_sum, ahead;
static volatile unsigned round_of[CPUS_MAX];

static void count_locked(unsigned id)
{
    (void)id;
    for (unsigned i = 0; i < LOCKED_STEPS; i++) {
        spin_lock(&lock);
        unsigned before = locked_sum;
        if (i % 16 == 0)
            yield(); // somebody else could come in here
        locked_sum = before + 1;
        spin_unlock(&lock);
    }
}

static void go_rounds(unsigned id)
{
    for (unsigned i = 1; i <= ROUNDS; i++) {
        round_of[id] = i;
        barrier_wait(&barrier, cpus);
        for (unsigned other = 0; other < cpus; other++)
            if (round_of[other] != i)
                __atomic_add_fetch(&ahead, 1, __ATOMIC_SEQ_CST);
        barrier_wait(&barrier, cpus);
    }
}

static void check_memory(void)
{
    everybody(count_locked);
    check_equal("lock", cpus * LOCKED_STEPS, locked_sum);
    everybody(go_rounds);
    check_equal("barrier", 0, ahead);
}

static unsigned pongs_expected;

static bool pong_came(void)
{
    return cpu[0].pongs >= pongs_expected;
}

static void check_ping_pong(void)
{
    unsigned pings = 0;
    for (unsigned i = 0; i < PINGS; i++) {
        for (unsigned to = 1; to < cpus; to++) {
            pongs_expected++;
            apic_send(to, PING);
            if (!wait_until(pong_came))
                break;
        }
    }
    for (unsigned i = 1; i < cpus; i++)
        pings += cpu[i].pings;
    check_equal("ping", PINGS * (cpus - 1), pings);
    check_equal("pong", PINGS * (cpus - 1), cpu[0].pongs);
}

static unsigned counted_expected; // bit for each processor that is to count one
static bool nmis_too;

static unsigned who_counted(void)
{
    unsigned who = 0;
    for (unsigned i = 0; i < cpus; i++)
        who |= (nmis_too ? cpu[i].nmis == 1 : cpu[i].counted == 1) << i;
    return who;
}

static bool counted_all(void)
{
    return who_counted() == counted_expected;
}

// Sends, and checks that each processor of `expected` got exactly one and no other any.
static void check_reaches(const char *name, uint32_t destination, uint32_t icr, unsigned expected)
{
    for (unsigned i = 0; i < cpus; i++)
        cpu[i].counted = cpu[i].nmis = 0;
    nmis_too = icr & ICR_NMI;
    counted_expected = expected;
    apic_send(destination, icr | (nmis_too ? 0 : COUNTED));
    wait_until(counted_all);
    for (unsigned i = 0; i < 8; i++)
        yield(); // for one too many
    unsigned got = who_counted();
    for (unsigned i = 0; i < cpus; i++)
        if (cpu[i].counted + cpu[i].nmis > 1)
            got |= 0x100u << i;
    check_equal(name, expected, got);
}

static void set_logical(unsigned id)
{
    if (!apic_x2) {
        apic_write(APIC_DFR, 0xffffffff);
        apic_write(APIC_LDR, 1u << id << 24);
    }
}

static void check_destinations(void)
{
    unsigned all = (1u << cpus) - 1, last = 1u << (cpus - 1);
    everybody(set_logical);
    check_reaches("ipi-others", 0, ICR_OTHERS, all & ~1u);
    check_reaches("ipi-all", 0, ICR_ALL, all);
    check_reaches("ipi-broadcast-id", apic_x2 ? ~0u : 0xff, 0, all);
    check_reaches("ipi-logical", all & ~1u, ICR_LOGICAL, all & ~1u);
    check_reaches("ipi-logical-one", last, ICR_LOGICAL, last);
    check_reaches("ipi-lowest-priority", last, ICR_LOGICAL | 1 << 8, last);
    check_reaches("ipi-absent", ABSENT, 0, 0);
    check_reaches("ipi-absent-logical", 1 << ABSENT, ICR_LOGICAL, 0);
    check_reaches("nmi-one", cpus - 1, ICR_NMI, last);
    check_reaches("nmi-others", 0, ICR_OTHERS | ICR_NMI, all & ~1u);
    check_reaches("nmi-absent", ABSENT, ICR_NMI, 0);
    check_reaches("sipi-to-running", cpus - 1, ICR_SIPI | 0x99, 0);
}

static void count_turns(unsigned id)
{
    for (;;) {
        cpu[id].turns++;
        pause();
    }
}

static bool turns_grow(unsigned id)
{
    unsigned before = cpu[id].turns;
    for (unsigned i = 0; i < 1000 && cpu[id].turns == before; i++)
        yield();
    return cpu[id].turns != before;
}

// One that runs in a loop with interrupts off is stopped by INIT and starts anew.
static void check_init(void)
{
    unsigned last = cpus - 1;
    cpu[last].job = count_turns;
    apic_send(last, WAKE);
    check(turns_grow(last), "init-runs-before", "expected a count that grows\ngot one that stands");
    cpu_stop(last);
    for (uint64_t end = rdtsc() + WAIT_TICKS; turns_grow(last) && rdtsc() < end;)
        ; // it takes effect when that processor looks
    check(!turns_grow(last), "init-stops", "expected a count that stands\ngot one that grows");
    cpu[last].job = NULL;
    check(cpu_start(last, work, stacks[last] + CPU_STACK_BYTES), "init-starts-again",
          "expected it to run\ngot it not");
    everybody(set_logical);
    check_reaches("init-reached-again", 0, ICR_OTHERS, ((1u << cpus) - 1) & ~1u);
}

// ---- What INIT leaves alone ----

enum { MSR_TSC = 0x10, MSR_SYSENTER_CS = 0x174, MSR_PAT = 0x277, SOON = 20000, LATE = 50000000 };
#define TSC_AHEAD (1ull << 44)
#define OWN_PAT   0x0607040600070406ull

static struct {
    uint64_t tsc, pat, sysenter_cs;
    volatile bool early, fired;
} kept;

static void set_own(unsigned id)
{
    (void)id;
    wrmsr(MSR_PAT, OWN_PAT);
    wrmsr(MSR_SYSENTER_CS, 0x123);
    wrmsr(MSR_TSC, rdtsc() + TSC_AHEAD);
}

static void look_at_own(unsigned id)
{
    kept.tsc = rdtsc();
    kept.pat = rdmsr(MSR_PAT);
    kept.sysenter_cs = rdmsr(MSR_SYSENTER_CS);
    uint64_t deadline = rdtsc() + SOON;
    apic_write(APIC_LVT_TIMER, TIMER_DEADLINE | COUNTED);
    cpu[id].counted = 0;
    wrmsr(MSR_TSC_DEADLINE, deadline);
    interrupts_on();
    while (!cpu[id].counted && rdtsc() - deadline + SOON < SOON + LATE)
        pause();
    interrupts_off();
    kept.early = rdtsc() < deadline;
    kept.fired = cpu[id].counted;
}

static bool last_does(void (*job)(unsigned id))
{
    cpu[cpus - 1].job = job;
    apic_send(cpus - 1, WAKE);
    return wait_until(all_idle);
}

static void check_kept(void)
{
    unsigned last = cpus - 1;
    bool back =
        last_does(set_own) && cpu_start(last, work, stacks[last] + CPU_STACK_BYTES) && last_does(look_at_own);
    check(back, "init-of-own-registers", "expected it to work and come back\ngot not so");
    check(kept.tsc >= TSC_AHEAD, "init-keeps-tsc", "expected more than %llx\ngot %llx",
          (unsigned long long)TSC_AHEAD, (unsigned long long)kept.tsc);
    check_equal("init-keeps-pat", OWN_PAT, kept.pat);
    check_equal("init-keeps-sysenter", 0x123, kept.sysenter_cs);
    check(kept.fired && !kept.early, "init-keeps-deadlines", "expected an interrupt in time\ngot %s",
          kept.fired ? "one too early" : "none");
}

// One with interrupts on, and nothing that interrupts; the others without; the last one waits for a SIPI.
static void halt_for_good(unsigned id)
{
    if (id == 1)
        interrupts_on();
    for (;;)
        __asm__ volatile("hlt" : : : "memory");
}

static void halt_all(void)
{
    for (unsigned i = 1; i + 1 < cpus; i++)
        cpu_start(i, halt_for_good, stacks[i] + CPU_STACK_BYTES);
    halt_for_good(0);
}

enum { POINTS = 1 + 1 + 3 + 2 + 2 + 12 + 4 + 5 };

int main(const struct start_info *start)
{
    const char *line = command_line(start);
    apic_map();
    apic_enable(!word_present(line, "xapic"));
    cpus = cpu_count();
    if (word_present(line, "nowhere")) {
        apic_send(1, ICR_INIT | ICR_ASSERT);
        apic_send(1, ICR_SIPI | ICR_ASSERT | 0xf0);
        for (;;)
            yield();
    }
    if (word_present(line, "halt"))
        halt_all();
    tap_plan(POINTS);
    exception_handle(VECTOR_NMI, on_nmi);
    exception_handle(WAKE, on_interrupt);
    exception_handle(PING, on_interrupt);
    exception_handle(PONG, on_interrupt);
    exception_handle(COUNTED, on_interrupt);
    check_equal("count", word_number(line, "cpus", 0), cpus);
    check_start();
    check_ids();
    check_memory();
    check_ping_pong();
    check_destinations();
    check_init();
    check_kept();
    return tap_end();
}
