#ifdef __x86_64__
#include "guests/lib/smp.h"
#include "guests/lib/exception.h"
#include "guests/lib/string.h"

#ifndef GUEST_WITH_SDM
#define MSR_GS_BASE 0xc0000101u
#endif
extern const char trampoline[], trampoline_end[];
extern char trampoline_cr3[], trampoline_stack[], trampoline_main[];

enum { TOPOLOGY = 0xb, START_TICKS = 40000000 };

static struct {
    unsigned id;
    void (*main)(unsigned id);
    volatile bool runs;
} starting;

unsigned cpu_count(void)
{
    return cpuid(TOPOLOGY, 1).ebx;
}

static void *placed(const char *symbol)
{
    return (void *)(word_t)(TRAMPOLINE_PAGE * 4096u + (word_t)(symbol - trampoline));
}

unsigned this_cpu(void)
{
    return (unsigned)rdmsr((uint32_t)MSR_GS_BASE);
}

static void run(void)
{
    void (*begin)(unsigned id) = starting.main;
    unsigned id = starting.id;
    wrmsr((uint32_t)MSR_GS_BASE, id);
    exceptions_load();
    apic_enable(apic_x2);
    starting.runs = true;
    begin(id);
}

// SDM, "MP Initialization Protocol Algorithm": the second SIPI finds it running.
bool cpu_start(unsigned id, void (*begin)(unsigned id), void *stack_top)
{
    memcpy(placed(trampoline), trampoline, (size_t)(trampoline_end - trampoline));
    *(uint32_t *)placed(trampoline_cr3) = (uint32_t)read_cr3();
    *(uint64_t *)placed(trampoline_stack) = (uint64_t)stack_top;
    *(uint64_t *)placed(trampoline_main) = (uint64_t)run;
    starting.id = id;
    starting.main = begin;
    starting.runs = false;
    apic_send(id, ICR_INIT | ICR_ASSERT);
    apic_send(id, ICR_SIPI | ICR_ASSERT | TRAMPOLINE_PAGE);
    apic_send(id, ICR_SIPI | ICR_ASSERT | TRAMPOLINE_PAGE);
    for (uint64_t end = rdtsc() + START_TICKS; !starting.runs && rdtsc() < end;)
        yield();
    return starting.runs;
}

void cpu_stop(unsigned id)
{
    apic_send(id, ICR_INIT | ICR_ASSERT);
}

// Who waits lets others have the processor: it may be the one that they need.
void barrier_wait(volatile struct barrier *b, unsigned n)
{
    unsigned round = b->round;
    if (__atomic_add_fetch(&b->count, 1, __ATOMIC_SEQ_CST) == n) {
        b->count = 0;
        __atomic_store_n(&b->round, round + 1, __ATOMIC_SEQ_CST);
        return;
    }
    while (b->round == round)
        yield();
}

void spin_lock(volatile struct spinlock *l)
{
    unsigned mine = __atomic_fetch_add(&l->next, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&l->owner, __ATOMIC_ACQUIRE) != mine)
        yield();
}

void spin_unlock(volatile struct spinlock *l)
{
    __atomic_store_n(&l->owner, l->owner + 1, __ATOMIC_RELEASE);
}
#endif
