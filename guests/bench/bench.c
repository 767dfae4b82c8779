// Measures what the hypervisor costs: time-stamp counter around one exiting instruction, median of RUNS, less
// the same without the instruction, less the one tick that the instruction itself takes on a bare machine
// that counts instructions. Figures go to the log as "# bench NAME VALUE UNIT"; tools/ compare them.
#include "guests/bench/bench.h"
#include "guests/lib/smp.h"

enum { TOUCHED = 128, SWITCHES = 64, PEER_YIELDS = 600, WARM_UP = 120, PAGE_BYTES = 4096 };
enum { PORT_NOBODYS = 0x2222, PORT_PIC_MASK = 0x21, PORT_UART_LSR = 0x3fd };
enum { PEER_LOOP = 3 }; // instructions between two VMCALLs of bench-peer

// Ticks around one instruction; EAX, ECX and EDX are its operands. All copies have the same shape.
#define MEASURED(name, instruction)                                                                        \
    static uint32_t ticks_##name(uint32_t a, uint32_t c, uint32_t d)                                       \
    {                                                                                                      \
        uint32_t ticks;                                                                                    \
        __asm__ volatile("rdtsc\n\tmov %%eax, %%r8d\n\tmov %[a], %%eax\n\tmov %[d], %%edx\n\t" instruction \
                         "\n\trdtsc\n\tsub %%r8d, %%eax"                                                   \
                         : "=&a"(ticks), "+c"(c)                                                           \
                         : [a] "r"(a), [d] "r"(d)                                                          \
                         : "rdx", "rbx", "rsi", "rdi", "r8", "memory", "cc");                              \
        return ticks;                                                                                      \
    }
MEASURED(nothing, "")
MEASURED(cpuid, "cpuid")
MEASURED(vmcall, "vmcall")
MEASURED(rdmsr, "rdmsr")
MEASURED(xsetbv, "xsetbv")
MEASURED(in, "in %%dx, %%al")
MEASURED(out, "out %%al, %%dx")
MEASURED(touch, "mov (%%rax), %%bl")
MEASURED(cr0, "mov %%rax, %%cr0")
MEASURED(invd, "invd")
MEASURED(wrmsr, "wrmsr")
#undef MEASURED

static const struct {
    const char *name;
    uint32_t (*ticks)(uint32_t a, uint32_t c, uint32_t d);
    uint32_t a, c, d;
    bool xsave;
} rows[] = {
    {"cpuid",          ticks_cpuid,  0,                        0,             0,             false},
    {"vmcall",         ticks_vmcall, 0x7fff,                   0,             0,             false},
    {"rdmsr",          ticks_rdmsr,  0,                        MSR_APIC_BASE, 0,             false},
    {"xsetbv",         ticks_xsetbv, XCR0_X87,                 0,             0,             true },
    {"out-unclaimed",  ticks_out,    0,                        0,             PORT_NOBODYS,  false},
    {"in-unclaimed",   ticks_in,     0,                        0,             PORT_NOBODYS,  false},
    {"pic-in",         ticks_in,     0,                        0,             PORT_PIC_MASK, false},
    {"apic-mmio-read", ticks_touch,  APIC_PAGE + APIC_ID * 16, 0,             0,             false},
    {"in-uart",        ticks_in,     0,                        0,             PORT_UART_LSR, false},
    {"cr0-ne",         ticks_cr0,    0x80000031,               0,             0,             false}, // PG NE ET PE: NE differs from what was loaded before
    {"invd",           ticks_invd,   0,                        0,             0,             false},
};

static uint32_t samples[TOUCHED];
static uint32_t empty; // ticks around nothing

static void sort(uint32_t *v, unsigned n)
{
    for (unsigned i = 1; i < n; i++) {
        uint32_t x = v[i];
        unsigned at = i;
        for (; at > 0 && v[at - 1] > x; at--)
            v[at] = v[at - 1];
        v[at] = x;
    }
}

void report(const char *name, uint64_t value, const char *unit)
{
    sword_t got;
    while ((got = hypercall(HC_BENCH, value, (word_t)name, strlen(name), (word_t)unit, strlen(unit))) ==
           -E_AGAIN)
        yield();
    if (got < 0)
        print("bench %s refused: %s\n", name, error_text((enum error) - got));
}

static uint64_t net(uint64_t ticks, uint64_t own)
{
    return ticks > empty + own ? ticks - empty - own : 0;
}

static void measure_empty(void)
{
    for (unsigned i = 0; i < RUNS; i++)
        samples[i] = ticks_nothing(0, 0, 0);
    sort(samples, RUNS);
    empty = samples[RUNS / 2];
}

static void measure_rows(bool xsave)
{
    for (unsigned row = 0; row < array_size(rows); row++) {
        if (rows[row].xsave && !xsave)
            continue;
        for (unsigned i = 0; i < RUNS; i++) {
            samples[i] = rows[row].ticks(rows[row].a, rows[row].c, rows[row].d);
            write_cr0(read_cr0() & ~(word_t)CR0_NE);
        }
        sort(samples, RUNS);
        report(rows[row].name, net(samples[RUNS / 2], INSTRUCTION), "ticks");
    }
}

// ---- Interrupts: from the TSC before what raises one to the TSC at the handler's first instruction ----

// RAX: the TSC at the first instruction of the handler that comes next, R8: at what was measured.
#define TO_HANDLER(name, instructions)                                                                       \
    static uint32_t ticks_##name(uint32_t a, uint32_t c)                                                     \
    {                                                                                                        \
        uint32_t ticks;                                                                                      \
        __asm__ volatile("rdtsc\n\tmov %%eax, %%r8d\n\tmov %[a], %%eax\n\txor %%edx, %%edx\n\t" instructions \
                         "\n\tmov %%r9d, %%eax\n\tsub %%r8d, %%eax"                                          \
                         : "=&a"(ticks), "+c"(c)                                                             \
                         : [a] "r"(a)                                                                        \
                         : "rdx", "r8", "r9", "memory", "cc");                                               \
        return ticks;                                                                                        \
    }
TO_HANDLER(self_ipi, "wrmsr\n\tnop")
TO_HANDLER(hlt_wake, "sti\n\thlt\n\tcli")
TO_HANDLER(none, "rdtsc\n\tmov %%eax, %%r9d")
#undef TO_HANDLER

enum { TIMER_TICKS = 3000 };

__asm__(".globl bench_handler\nbench_handler:\n\trdtsc\n\tmov %eax, %r9d\n\tiretq");

static uint32_t ticks_eoi(void)
{
    return ticks_wrmsr(0, MSR_X2APIC + APIC_EOI, 0);
}

// How late the handler of a TSC deadline comes while the guest computes.
static uint32_t ticks_timer(void)
{
    uint64_t deadline = rdtsc() + TIMER_TICKS;
    wrmsr(MSR_TSC_DEADLINE, deadline);
    return wait_for_handler() - (uint32_t)deadline;
}

void report_median(const char *name, uint32_t *ticks, uint32_t own)
{
    sort(ticks, RUNS);
    report(name, ticks[RUNS / 2] > own ? ticks[RUNS / 2] - own : 0, "ticks");
}

// Each self-IPI with interrupts on, its EOI, and one that has to wait until interrupts are on.
static void measure_self_ipis(uint32_t none)
{
    uint32_t eoi[RUNS], held[RUNS];
    for (unsigned i = 0; i < RUNS; i++) {
        interrupts_on();
        samples[i] = ticks_self_ipi(VECTOR, MSR_X2APIC + APIC_SELF_IPI);
        interrupts_off();
        eoi[i] = ticks_eoi();
        held[i] = ticks_wrmsr(VECTOR, MSR_X2APIC + APIC_SELF_IPI, 0);
        wait_for_handler();
        end_interrupt();
    }
    report_median("x2apic-self-ipi", samples, none + INSTRUCTION);
    report_median("x2apic-self-ipi-held", held, empty + INSTRUCTION);
    report_median("x2apic-eoi", eoi, empty + INSTRUCTION);
}

// VM exits of a self-IPI and its EOI together.
static void count_exits(void)
{
    sword_t before = hypercall1(HC_QUERY, QUERY_EXITS);
    interrupts_on();
    for (unsigned i = 0; i < RUNS; i++) {
        ticks_self_ipi(VECTOR, MSR_X2APIC + APIC_SELF_IPI);
        end_interrupt();
    }
    interrupts_off();
    sword_t after = hypercall1(HC_QUERY, QUERY_EXITS);
    report("x2apic-exits", (uint64_t)(after - before - 1) / RUNS, "exits");
}

static void measure_interrupts(void)
{
    uint32_t none = ticks_none(0, 0);
    apic_enable(true);
    measure_self_ipis(none);
    count_exits();
    for (unsigned i = 0; i < RUNS; i++) {
        wrmsr(MSR_X2APIC + APIC_SELF_IPI, VECTOR);
        samples[i] = ticks_hlt_wake(0, 0);
        end_interrupt();
    }
    report_median("hlt-wake", samples, none + 2 * INSTRUCTION);
    apic_write(APIC_LVT_TIMER, TIMER_DEADLINE | VECTOR);
    for (unsigned i = 0; i < RUNS; i++) {
        samples[i] = ticks_timer();
        end_interrupt();
    }
    report_median("timer", samples, INSTRUCTION);
}

// The lines so far leave the box, so that their way out is not in what comes next.
static void let_the_log_drain(void)
{
    enum { DRAIN_TICKS = 3000000 };
    for (uint64_t end = rdtsc() + DRAIN_TICKS; rdtsc() < end;)
        ;
}

// First touches in one region, whose page table the very first has made. The quick ones came from the
// processor's cache of zeroed frames; the mean carries all zeroing.
static void measure_touch(const struct start_info *start)
{
    uint32_t at = (uint32_t)(start->mem_bytes / 2);
    uint64_t sum = 0;
    let_the_log_drain();
    ticks_touch(at, 0, 0);
    for (unsigned i = 0; i < TOUCHED; i++) {
        samples[i] = ticks_touch(at + (i + 1) * PAGE_BYTES, 0, 0);
        sum += net(samples[i], INSTRUCTION);
    }
    sort(samples, TOUCHED);
    report("touch-4k", net(samples[TOUCHED / 8], INSTRUCTION), "ticks");
    report("touch-4k-median", net(samples[TOUCHED / 2], INSTRUCTION), "ticks");
    report("touch-4k-zeroing", sum / TOUCHED, "ticks");
    report("touch-4k-max", net(samples[TOUCHED - 1], INSTRUCTION), "ticks");
}

// A yield comes back through bench-peer, which yields at once: two switches. Then the peer is let go.
static void measure_switch(void)
{
    for (unsigned i = 0; i < SWITCHES; i++)
        samples[i] = ticks_vmcall(HC_YIELD, 0, 0);
    for (unsigned i = 0; i < PEER_YIELDS; i++)
        yield();
    sort(samples, SWITCHES);
    report("vcpu-switch", net(samples[SWITCHES / 2], PEER_LOOP + 2 * INSTRUCTION) / 2, "ticks");
}

static void report_query(const char *name, enum query query, const char *unit)
{
    sword_t value = hypercall1(HC_QUERY, query);
    if (value < 0)
        print("%s: %s\n", name, error_text((enum error) - value));
    else
        report(name, (uint64_t)value, unit);
}

// VMREADs or VMWRITEs of one CPUID exit; the queries' own are taken off.
static void measure_vmcs_accesses(const char *name, enum query query)
{
    sword_t first = hypercall1(HC_QUERY, query), second = hypercall1(HC_QUERY, query);
    for (unsigned i = 0; i < RUNS; i++)
        cpuid(0, 0);
    sword_t third = hypercall1(HC_QUERY, query);
    if (first < 0)
        print("%s: %s\n", name, error_text((enum error) - first));
    else
        report(name, (uint64_t)((third - second) - (second - first)) / RUNS, "per-exit");
}

// The longest of all exits up to here, and of the slow calls at their worst.
static void measure_max_handler(void)
{
    static char text[CONSOLE_WRITE_MAX];
    sword_t before = hypercall1(HC_QUERY, QUERY_MAX_HANDLER);
    if (before >= 0) {
        memset(text, '\x7f', sizeof text - 1); // four characters each in the log
        text[sizeof text - 1] = '\n';
        console_write(text, sizeof text);
    }
    tap_plan(1);
    check(true, "measured", "expected and got nothing");
    yield();
    sword_t after = hypercall1(HC_QUERY, QUERY_MAX_HANDLER);
    if (before < 0)
        print("max-handler: %s\n", error_text((enum error) - before));
    else
        report("max-handler", (uint64_t)(after > before ? after : before), "ticks");
}

// What a machine measures that is not all of it: by a word of its line, or as it has several vCPUs.
static bool measure_part(const struct start_info *start)
{
    const char *line = command_line(start);
    bool known = true;
    measure_empty();
    if (cpu_count() > 1) {
        measure_ipi();
    } else if (word_present(line, "memory")) {
        measure_memory(start);
    } else if (word_present(line, "messages")) {
        apic_enable(true);
        for (unsigned i = 0; i < WARM_UP; i++) // until others have arrived, and measured theirs
            yield();
        measure_ipc(empty);
    } else if (word_present(line, "far")) {
        measure_far(empty);
        measure_large_grant(empty);
    } else if (word_present(line, "take")) {
        take_events();
    } else {
        known = false;
    }
    return known;
}

static void measure_all(const struct start_info *start, uint64_t first)
{
    bool xsave = cpuid(1, 0).ecx >> 26 & 1;
    measure_switch();
    if (xsave)
        write_cr4(read_cr4() | CR4_OSXSAVE);
    measure_rows(xsave);
    measure_touch(start);
    measure_interrupts();
    measure_ipc(empty);
    measure_vmcs_accesses("vmreads-cpuid", QUERY_VMREADS);
    measure_vmcs_accesses("vmwrites-cpuid", QUERY_VMWRITES);
    report_query("vm-bytes", QUERY_VM_BYTES, "bytes");
    report_query("vm-create", QUERY_VM_CREATE, "ticks");
    report("first-guest", first - (uint64_t)hypercall1(HC_TIME, TIME_TSC_BOOT), "ticks");
    measure_grants(empty);
    measure_max_handler();
}

int main(const struct start_info *start)
{
    uint64_t first = (uint64_t)entry_state.tsc_high << 32 | entry_state.tsc_low;
    apic_map();
    exception_handle(VECTOR, NULL);
    gate_set(VECTOR, bench_handler);
    if (measure_part(start)) {
        tap_plan(1);
        check(true, "measured", "expected and got nothing");
    } else {
        measure_all(start, first);
    }
    return tap_end();
}
