// Processors for tests: each thread says which one it is; a kick of another one is only counted.
#include "arch/pcpu.h"

struct pcpu pcpus[PCPU_MAX];
uint32_t pcpu_count = 1;
_Thread_local struct pcpu *host_pcpu;
unsigned host_kicks;

void pcpu_kick(struct pcpu *p)
{
    __atomic_store_n(&p->kick, 1, __ATOMIC_RELEASE);
    if (p != host_pcpu)
        __atomic_fetch_add(&host_kicks, 1, __ATOMIC_RELAXED);
}
