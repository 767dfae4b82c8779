// From the write to the ICR on one processor to the handler on another that computes meanwhile. All processors have
// one TSC.
#include "guests/bench/bench.h"
#include "guests/lib/smp.h"

enum {
    RECEIVER = 1,
    PAUSE = 2000,
    BEFORE_WRITE = 4
}; // instructions from RDTSC to the write, which is one of them

static volatile unsigned ready; // interrupts that the receiver waits for or had
static volatile uint32_t came;

static void receive(unsigned id)
{
    (void)id;
    for (unsigned i = 1; i <= RUNS; i++) {
        ready = i;
        came = wait_for_handler();
        end_interrupt();
    }
    ready++;
}

// Returns the TSC's low half before the write.
static uint32_t send(void)
{
    uint32_t at;
    __asm__ volatile("rdtsc\n\tmov %%eax, %0\n\tmov %[vector], %%eax\n\tmov %[to], %%edx\n\twrmsr"
                     : "=&r"(at)
                     : [vector] "i"(VECTOR), [to] "i"(RECEIVER), "c"(MSR_X2APIC + APIC_ICR)
                     : "rax", "rdx", "memory", "cc");
    return at;
}

void measure_ipi(void)
{
    static char stack[CPU_STACK_BYTES] __attribute__((aligned(16)));
    uint32_t ticks[RUNS];
    apic_enable(true);
    if (!cpu_start(RECEIVER, receive, stack + sizeof stack)) {
        print("ipi: the other processor does not start\n");
        return;
    }
    for (unsigned i = 0; i < RUNS; i++) {
        while (ready != i + 1)
            ;
        for (uint64_t end = rdtsc() + PAUSE; rdtsc() < end;)
            ;
        uint32_t sent = send();
        while (ready != i + 2)
            ;
        ticks[i] = came - sent;
    }
    report_median("ipi", ticks, BEFORE_WRITE);
}
