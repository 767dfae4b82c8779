// Writes and reads registers of local APIC, I/O APIC, interrupt controllers, timers, clock and UART at random, on all
// its processors, and lives to say how often; cmdline=seed=N count=N. What may go wrong for this machine goes wrong:
// interrupts by any vector, NMIs, APICs that are switched off, processors stopped and started in the middle of it.
// Afterwards everything must still work, and no other machine may have noticed.
#include "guests/fuzz-devices/fuzz.h"

enum { STEPS_A_LOOK = 64, MSR_GS_BASE = (int)0xc0000101, STEPS_A_LIFE = 256, HALT_EVERY = 256 };

struct fuzzer fuzzers[CPUS_MAX];
unsigned cpus;
char fuzz_stacks[CPUS_MAX][CPU_STACK_BYTES] __attribute__((aligned(16)));
volatile bool over;

extern const char trampoline[], trampoline_end[], restart_code[], restart_code_end[];
extern char trampoline_cr3[], trampoline_stack[], trampoline_main[];
extern const char restart_entry[];
void fuzz_restarted(unsigned id);

static void *placed(const char *symbol)
{
    return (void *)(word_t)(TRAMPOLINE_PAGE * 4096u + (word_t)(symbol - trampoline));
}

static void make_restartable(void)
{
    memcpy(placed(trampoline), trampoline, (size_t)(trampoline_end - trampoline));
    *(uint32_t *)placed(trampoline_cr3) = (uint32_t)read_cr3();
    *(uint64_t *)placed(trampoline_stack) =
        (uint64_t)fuzz_stacks[1]; // the first processor does not use its own
    *(uint64_t *)placed(trampoline_main) = (uint64_t)restart_entry;
    for (word_t page = RESTART_PAGES; page < 0x100; page++)
        memcpy((void *)(page * 4096), restart_code, (size_t)(restart_code_end - restart_code));
}

static void one_step(struct fuzzer *f)
{
    uint32_t r = random_of(&f->random);
    f->beats++;
    f->unheeded = 0;
    if (r % STEPS_A_LIFE == 0)
        devices_liven();
    if (r >> 8 & 1)
        interrupts_on();
    else
        interrupts_off();
    fuzz_step(f);
}

// Behind each SIPI. Now and then it halts, until an interrupt or the first processor comes by.
void fuzz_restarted(unsigned id)
{
    struct fuzzer *f = &fuzzers[id];
    wrmsr((uint32_t)MSR_GS_BASE, id);
    exceptions_load();
    while (!over) {
        one_step(f);
        if (random_of(&f->random) % HALT_EVERY == 0)
            __asm__ volatile("sti; hlt" : : : "memory");
    }
}

// Who stands still was stopped, or waits for what does not come.
static void look_after_others(void)
{
    static unsigned beats[CPUS_MAX];
    apic_recover();
    for (unsigned i = 1; i < cpus; i++) {
        if (fuzzers[i].beats == beats[i] && !over) {
            local_send(apic_mode(), i, ICR_INIT | ICR_ASSERT);
            local_send(apic_mode(), i, ICR_SIPI | ICR_ASSERT | RESTART_PAGES);
        }
        beats[i] = fuzzers[i].beats;
    }
    yield();
}

static unsigned total(unsigned from)
{
    unsigned sum = 0;
    for (unsigned i = from; i < cpus; i++)
        sum += fuzzers[i].writes;
    return sum;
}

static void run(unsigned count)
{
    while (total(0) < count) {
        one_step(&fuzzers[0]);
        if (fuzzers[0].beats % STEPS_A_LOOK == 0)
            look_after_others();
    }
    interrupts_off();
    over = true;
    apic_recover();
    for (unsigned i = 1; i < cpus; i++)
        local_send(apic_mode(), i, ICR_INIT | ICR_ASSERT);
}

static void report(const char *name, uint64_t value, const char *unit)
{
    while (hypercall(HC_BENCH, value, (word_t)name, strlen(name), (word_t)unit, strlen(unit)) == -E_AGAIN)
        yield();
}

// By figures, because console=none keeps what the UART is made to say out of the log.
static void say(void)
{
    const struct fuzzer *f = fuzzers;
    unsigned reads = 0, refused = 0, interrupts = 0, storms = 0;
    for (unsigned i = 0; i < cpus; i++, f++) {
        reads += f->reads;
        refused += f->refused;
        interrupts += f->interrupts;
        storms += f->storms;
    }
    report("writes", total(0), "writes");
    report("writes-elsewhere", total(1), "writes");
    report("reads", reads, "reads");
    report("refused", refused, "exceptions");
    report("interrupts", interrupts, "interrupts");
    report("storms-broken", storms, "storms");
}

int main(const struct start_info *start)
{
    uint64_t seed = word_number(command_line(start), "seed", 1);
    unsigned count = (unsigned)word_number(command_line(start), "count", 10000);
    tap_plan(2 + ALIVE_POINTS);
    apic_map();
    cpus = cpu_count();
    for (unsigned i = 0; i < CPUS_MAX; i++) {
        fuzzers[i].random = (seed * CPUS_MAX + i + 1) * 0x9e3779b97f4a7c15;
        fuzzers[i].random_inside = ~fuzzers[i].random;
    }
    gates_set();
    make_restartable();
    devices_liven();
    run(count);
    check(total(0) >= count, "writes", "expected %u\ngot %u", count, total(0));
    check(cpus == 1 || total(1), "writes-elsewhere", "expected some\ngot none");
    check_alive();
    say();
    return tap_end();
}
