#include "kernel/run.h"
#include "arch/cpu.h"
#include "arch/exception.h"
#include "arch/lapic.h"
#include "arch/log.h"
#include "arch/memory.h"
#include "arch/panic.h"
#include "arch/pcpu.h"
#include "arch/power.h"
#include "arch/string.h"
#include "arch/tsc.h"
#include "kernel/bench.h"
#include "kernel/consoles.h"
#include "kernel/fail_alloc.h"
#include "kernel/input.h"
#include "kernel/machines.h"
#include "kernel/options.h"
#include "kernel/peers.h"
#include "kernel/report.h"
#include "kernel/vm.h"
#include "mm/mm.h"
#include "mm/quarantine.h"
#include "sched/sched.h"
#include "sdm/text.h"
#include "vmx/tags_check.h"
#include "vmx/vmx.h"

enum { START_MS = 100, STOP_MS = 100 };

static volatile bool stopping; // every processor is to leave VMX operation and stand still

// ---- Test hooks ----

static void panic_now(struct timeout *t)
{
    (void)t;
    panic("asked for by panic=%luus", options.panic_us);
}

static void machine_check_now(struct timeout *t)
{
    (void)t;
    __asm__ volatile("int $18" ::: "memory");
}

static void stray_now(struct timeout *t)
{
    enum { UNCLAIMED = 0x99 };
    (void)t;
    lapic_send(this_pcpu()->apic_id, IPI_FIXED, UNCLAIMED);
    lapic_send(this_pcpu()->apic_id, IPI_NMI, 0);
}

static void hang_now(struct timeout *t)
{
    (void)t;
    for (;;)
        cpu_pause();
}

// Those of this processor.
static void start_hooks(void)
{
    static struct {
        struct timeout timeout;
        void (*now)(struct timeout *t);
        const uint64_t *us;
        uint32_t cpu;
    } hooks[] = {
        {.now = panic_now,         .us = &options.panic_us,         .cpu = 0},
        {.now = machine_check_now, .us = &options.machine_check_us, .cpu = 0},
        {.now = stray_now,         .us = &options.stray_us,         .cpu = 0},
        {.now = hang_now,          .us = &options.hang_us,          .cpu = 1},
    };
    for (size_t i = 0; i < array_size(hooks); i++) {
        if (!*hooks[i].us || hooks[i].cpu != this_pcpu()->id)
            continue;
        timeout_init(&hooks[i].timeout, hooks[i].now);
        timeout_set(this_pcpu()->timeouts, &hooks[i].timeout, tsc(rdtsc().v + tsc_from_us(*hooks[i].us).v));
    }
}

// ---- Processors ----

void run_processor(struct pcpu *p)
{
    struct reason why;
    if (vmx_init_cpu(&why)) {
        log_warn("processor %u left out: %s", p->id, why.text);
        p->state = PCPU_REFUSED;
        cpu_stop();
    }
    start_hooks();
    turn_forever();
}

void run_wait_for_processors(void)
{
    tsc_t limit = tsc(rdtsc().v + tsc_from_ms(START_MS).v);
    for (uint32_t i = 0; i < pcpu_count; i++)
        while (pcpus[i].state == PCPU_ONLINE && !vmx_is_on(&pcpus[i]) && rdtsc().v < limit.v)
            cpu_pause();
    log_info("%u processors run machines", vmx_processors());
}

void run_stop_if_asked(void)
{
    if (!stopping)
        return;
    vmx_off_cpu();
    this_pcpu()->state = PCPU_STOPPED;
    cpu_stop();
}

// Before power-off and reboot: every processor clears its VMCSs and leaves VMX operation.
static void stop_all(void)
{
    stopping = true;
    tsc_t limit = tsc(rdtsc().v + tsc_from_ms(STOP_MS).v);
    for (uint32_t i = 0; i < pcpu_count; i++)
        if (&pcpus[i] != this_pcpu() && pcpus[i].state == PCPU_ONLINE)
            pcpu_kick(&pcpus[i]);
    for (uint32_t i = 0; i < pcpu_count; i++)
        while (&pcpus[i] != this_pcpu() && pcpus[i].state == PCPU_ONLINE && rdtsc().v < limit.v)
            cpu_pause();
    vmx_off_cpu();
}

// ---- Memory before and after ----

static uint64_t frames_before;
static uint32_t blocks_before[BUDDY_ORDERS]; // free ones by order, had the caches held nothing

static uint64_t frames_of_machines(void)
{
    uint64_t n = 0;
    for (uint32_t owner = OWNER_VM; owner < OWNER_COUNT; owner++)
        n += buddy_owned(&frames, (uint16_t)owner);
    return n;
}

// As many pages in smaller blocks would be memory that large leaves cannot have any more.
static void report_blocks_returned(void)
{
    uint32_t blocks[BUDDY_ORDERS];
    char before[MM_BLOCKS_TEXT], now[MM_BLOCKS_TEXT], detail[2 * MM_BLOCKS_TEXT + 40];
    buddy_count_blocks(&frames, OWNER_NONE, blocks);
    mm_blocks_text(before, sizeof before, blocks_before);
    mm_blocks_text(now, sizeof now, blocks);
    format(detail, sizeof detail, "expected free blocks, order:count,%s\ngot%s", before, now);
    bool ok = !memcmp(blocks, blocks_before, sizeof blocks);
    report_point(ok ? POINT_OK : POINT_NOT_OK, "micronova", "memory-merged", ok ? NULL : detail);
}

static void report_memory_returned(void)
{
    char detail[120];
    while (quarantine_poll())
        cpu_pause();
    mm_drain();
    uint64_t now = mm_at_rest(), kept = frames_of_machines();
    format(detail, sizeof detail, "expected %lu pages at rest, 0 with machines\ngot %lu and %lu",
           frames_before, now, kept);
    bool ok = now == frames_before && !kept;
    report_point(ok ? POINT_OK : POINT_NOT_OK, "micronova", "memory-returned", ok ? NULL : detail);
    report_blocks_returned();
    if (options.report & REPORT_MEMORY)
        mm_report();
}

// In the build that checks every VM entry.
static void report_tags(void)
{
#ifdef CHECKING
    char detail[240];
    bool ok = tags_check_verdict(detail, sizeof detail);
    report_point(ok ? POINT_OK : POINT_NOT_OK, "micronova", "tags", ok ? NULL : detail);
#endif
}

static void report_strays(void)
{
    for (unsigned vector = 0; vector < VECTOR_COUNT; vector++) {
        uint32_t count = interrupt_strays((uint8_t)vector);
        if (count)
            log_warn("%u interrupts of vector %xh that nobody had asked for%s", count, vector,
                     vector == VECTOR_SPURIOUS ? ": spurious ones of local APICs" : "");
    }
}

// With report=stats, for each processor.
static void report_waits(void)
{
    for (uint32_t i = 0; options.report & REPORT_STATS && i < pcpu_count; i++) {
        const struct runq *q = pcpus[i].runq;
        char text[300];
        struct text t = text_in(text, sizeof text);
        text_add(&t, "processor %u: %u vCPUs came, from wake to turn log2 of ticks:", i, q->came);
        for (unsigned b = 0; b < SCHED_BUCKETS; b++)
            if (q->waits[b])
                text_add(&t, " %u:%u", b, q->waits[b]);
        log_info("%s", text);
    }
}

// ---- The run ----

static void all_ended(void)
{
    stop_all(); // or their caches of frames would change while we count
    report_memory_returned();
    report_tags();
    report_strays();
    if (input_lost())
        log_warn("%u bytes of input were lost: no machine had room", input_lost());
    report_waits();
    uint32_t failures = report_end();
    power_end(options.exit, failures ? 1 : 0);
}

// The modules of a run and what was made of them: one allocation for its whole time.
static struct verdict *judge(const struct boot_info *boot, struct module *modules)
{
    uint64_t bytes = boot->module_count * sizeof(struct verdict);
    unsigned order = 0;
    while ((uint64_t)PAGE_SIZE << order < bytes)
        order++;
    pfn_t f = buddy_alloc(&frames, order, OWNER_KERNEL);
    if (pfn_is_none(f))
        return NULL;
    for (uint32_t i = 0; i < boot->module_count; i++)
        modules[i] = (struct module){
            boot->modules[i].line, {hpa_to_virt(boot->modules[i].base), boot->modules[i].bytes}
        };
    machines_judge(modules, boot->module_count, VM_MAX, pfn_to_virt(f));
    peers_connect(pfn_to_virt(f), boot->module_count, &frames);
    return pfn_to_virt(f);
}

void run_init(void)
{
    vm_init(all_ended);
    power_prepare = stop_all;
}

static bool wants_input(const struct verdict *verdicts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (verdicts[i].role == MODULE_MACHINE && verdicts[i].machine.input)
            return true;
    return false;
}

_Noreturn void run_modules(const struct boot_info *boot, bool (*route)(uint8_t irq, uint8_t vector))
{
    static struct module modules[BOOT_MODULES_MAX];
    struct verdict *verdicts = judge(boot, modules);
    if (!verdicts) {
        report_bail_out("no memory to read the module lines");
        power_end(options.exit, 1);
    }
    if (options.report & REPORT_MEMORY)
        mm_report();
    if (options.report & REPORT_BENCH)
        bench_report();
    frames_before = frames.total - buddy_owned(&frames, OWNER_KERNEL); // others fill their caches meanwhile
    buddy_count_at_rest(&frames, OWNER_KERNEL, blocks_before);
    if (wants_input(verdicts, boot->module_count))
        consoles_listen(route);
    if (!boot->module_count)
        log_warn("no modules: nothing to run");
    if (boot->modules_dropped)
        log_warn("%u modules are more than %u, or malformed, and were left out", boot->modules_dropped,
                 BOOT_MODULES_MAX);
    fail_alloc_start(verdicts, boot->module_count);
    for (uint32_t i = 0; i < boot->module_count; i++)
        if (verdicts[i].role != MODULE_DATA)
            vm_create(&verdicts[i], modules[i].file, i);
    start_hooks();
    vm_all_built();
    turn_forever();
}
