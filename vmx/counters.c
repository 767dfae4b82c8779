#include "vmx/counters.h"
#include "arch/cpu.h"
#include "vmx/vcpu.h"
#include "vmx/vmx.h"

struct vcpu *vmx_exit(struct vcpu *v);
struct vcpu *vmx_exit_timed(struct vcpu *v);

static uint64_t longest[PCPU_MAX];

#ifdef COUNT_VMCS
uint64_t vmcs_reads[PCPU_MAX], vmcs_writes[PCPU_MAX];
#endif

// Between the stub's call and its return; what comes before and behind is the same for every exit. A turn
// check, which may idle, is not a handler: an exit that leads there is not timed.
struct vcpu *vmx_exit_timed(struct vcpu *v)
{
    uint64_t begun = rdtsc().v;
    bool turn_due = v->fuel <= 0;
    struct vcpu *next = vmx_exit(v);
    uint64_t took = rdtsc().v - begun;
    uint64_t *max = &longest[this_pcpu()->id];
    if (!turn_due && next == v && took > *max)
        *max = took;
    return next;
}

int64_t counters_max_handler(void)
{
    uint64_t *max = &longest[this_pcpu()->id];
    int64_t value = (int64_t)*max;
    *max = 0;
    return vmx_time_handlers ? value : -E_UNSUPPORTED;
}

int64_t counters_vmreads(void)
{
#ifdef COUNT_VMCS
    return (int64_t)vmcs_reads[this_pcpu()->id];
#else
    return -E_UNSUPPORTED;
#endif
}

int64_t counters_vmwrites(void)
{
#ifdef COUNT_VMCS
    return (int64_t)vmcs_writes[this_pcpu()->id];
#else
    return -E_UNSUPPORTED;
#endif
}
