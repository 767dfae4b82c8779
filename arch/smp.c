#include "arch/smp.h"
#include "arch/cpu.h"
#include "arch/descriptors.h"
#include "arch/features.h"
#include "arch/lapic.h"
#include "arch/log.h"
#include "arch/mtrr.h"
#include "arch/paging.h"
#include "arch/string.h"
#include "arch/tsc.h"
#include "sdm/msr.h"

struct pcpu pcpus[PCPU_MAX];
uint32_t pcpu_count;

// Read by boot/entry.asm on a processor that has no stack yet: it looks its APIC id up from slot 1 on.
uint32_t smp_apic_ids[PCPU_MAX];
volatile uint32_t smp_slots; // one behind the last; 0: nobody is expected
uint64_t smp_efer;

// A processor's way in. It moves itself from CALLED to ARRIVED, the boot processor decides the rest.
enum stage { ABSENT, CALLED, ARRIVED, RELEASED, LEFT_OUT };

static struct {
    enum stage stage;
    const char *differs;
    struct pcpu *pcpu;
} newcomers[PCPU_MAX]; // by slot

static const struct smp_plan *plan;

enum { INIT_US = 10000, SIPI_US = 200, ARRIVAL_US = 100000 }; // SDM, "MP Initialization Example"; ours

static void fill_pcpu(uint32_t id, uint32_t slot)
{
    pcpus[id] = (struct pcpu){
        .self = &pcpus[id],
        .stack_top = slot_stack_top(slot),
        .id = id,
        .apic_id = smp_apic_ids[slot],
        .arch = &arch_cpus[slot],
        .state = PCPU_STARTING,
    };
}

void smp_init_boot(void)
{
    fill_pcpu(0, 0);
    pcpus[0].state = PCPU_ONLINE;
    pcpu_count = 1;
    descriptors_load(&arch_cpus[0], 0);
    pcpu_bind(&pcpus[0]);
}

static enum stage stage_of(uint32_t slot)
{
    return __atomic_load_n(&newcomers[slot].stage, __ATOMIC_ACQUIRE);
}

// The one function that changes a stage. False: it was not `from` any more.
static bool move(uint32_t slot, enum stage from, enum stage to)
{
    return __atomic_compare_exchange_n(&newcomers[slot].stage, &from, to, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

static const char *compare(void)
{
    struct features f;
    struct mtrr_state m;
    features_read(&f);
    const char *differs = features_differ(&f);
    if (differs)
        return differs;
    mtrr_read(&m);
    if (!mtrr_equal(&m, &mtrrs))
        return "MTRRs";
    return plan->differs ? plan->differs() : NULL;
}

// First C on an application processor, from boot/entry.asm. No log before pcpu_bind: it has no ring.
_Noreturn void smp_main(uint32_t slot);
_Noreturn void smp_main(uint32_t slot)
{
    descriptors_load(&arch_cpus[slot], slot);
    features_enable();
    paging_load(&host_paging);
    lapic_init_cpu();
    newcomers[slot].differs = compare();
    if (!move(slot, CALLED, ARRIVED))
        cpu_stop(); // too late
    while (stage_of(slot) == ARRIVED)
        cpu_pause();
    if (stage_of(slot) != RELEASED)
        cpu_stop();
    struct pcpu *p = newcomers[slot].pcpu;
    pcpu_bind(p);
    p->state = PCPU_ONLINE;
    plan->entry(p);
    cpu_stop();
}

// Slots for the processors that the plan wants, stacks mapped. Returns one behind the last slot.
static uint32_t call_the_roll(void)
{
    const uint32_t limit = plan->limit ? (uint32_t)min_u64(plan->limit, PCPU_MAX) : PCPU_MAX;
    uint32_t slots = 1, unused = 0;
    for (uint32_t i = 0; i < plan->count; i++) {
        if (plan->apic_ids[i] == smp_apic_ids[0])
            continue;
        if (slots >= limit || !paging_map_stacks(&host_paging, slots)) {
            unused++;
            continue;
        }
        smp_apic_ids[slots] = plan->apic_ids[i];
        newcomers[slots++].stage = CALLED;
    }
    if (unused)
        log_info("%u processors of the box are not used", unused);
    return slots;
}

static bool all_arrived(uint32_t slots)
{
    for (uint32_t slot = 1; slot < slots; slot++)
        if (stage_of(slot) == CALLED)
            return false;
    return true;
}

static void wait_for_arrival(uint32_t slots, uint64_t us)
{
    const tsc_t start = rdtsc(), span = tsc_from_us(us);
    while (!all_arrived(slots) && rdtsc().v - start.v < span.v)
        cpu_pause();
}

// SDM, "MP Initialization Protocol Algorithm": INIT, then SIPI, and a second one to whom the first missed.
static void wake_all(uint32_t slots)
{
    for (uint32_t slot = 1; slot < slots; slot++)
        lapic_send(smp_apic_ids[slot], IPI_INIT, 0);
    tsc_wait_us(INIT_US);
    for (unsigned attempt = 0; attempt < 2; attempt++) {
        for (uint32_t slot = 1; slot < slots; slot++)
            if (stage_of(slot) == CALLED)
                lapic_send(smp_apic_ids[slot], IPI_STARTUP, (uint8_t)plan->trampoline.v);
        wait_for_arrival(slots, attempt ? ARRIVAL_US : SIPI_US);
    }
}

static void release(uint32_t slot)
{
    struct pcpu *p = &pcpus[pcpu_count];
    fill_pcpu(pcpu_count, slot);
    newcomers[slot].pcpu = p;
    if (plan->prepare && !plan->prepare(p)) {
        log_warn("processor with APIC id %u left out: no memory for it", smp_apic_ids[slot]);
        move(slot, ARRIVED, LEFT_OUT);
        return;
    }
    pcpu_count++;
    move(slot, ARRIVED, RELEASED);
    while (p->state == PCPU_STARTING)
        cpu_pause();
}

static void decide(uint32_t slot)
{
    if (move(slot, CALLED, LEFT_OUT)) {
        log_warn("processor with APIC id %u left out: it did not start", smp_apic_ids[slot]);
    } else if (newcomers[slot].differs) {
        log_warn("processor with APIC id %u left out: it differs from the boot processor in %s",
                 smp_apic_ids[slot], newcomers[slot].differs);
        move(slot, ARRIVED, LEFT_OUT);
    } else {
        release(slot);
    }
}

void smp_start(const struct smp_plan *the_plan)
{
    extern const char trampoline[], trampoline_end[];
    plan = the_plan;
    smp_apic_ids[0] = pcpus[0].apic_id = lapic_id();
    if (pfn_is_none(plan->trampoline)) {
        log_warn("no memory below 1 MiB: other processors cannot be started");
        return;
    }
    const uint32_t slots = call_the_roll();
    if (slots == 1)
        return;
    memcpy(pfn_to_virt(plan->trampoline), trampoline, (uintptr_t)trampoline_end - (uintptr_t)trampoline);
    smp_efer = rdmsr(MSR_EFER);
    smp_slots = slots;
    wake_all(slots);
    smp_slots = 0;
    for (uint32_t slot = 1; slot < slots; slot++)
        decide(slot);
}
