#include "vmx/vmcs.h"
#include "arch/cpu.h"
#include "arch/descriptors.h"
#include "arch/panic.h"

static bool vmclear(hpa_t region)
{
    bool failed;
    __asm__ volatile("vmclear %1" : "=@ccbe"(failed) : "m"(region.v) : "memory");
    return !failed;
}

static uint64_t gs_base(const struct pcpu *p)
{
    return (uint64_t)(uintptr_t)p;
}

// What of the host's state differs between processors.
static void write_host_of(const struct pcpu *p)
{
    const struct arch_cpu *arch = p->arch;
    vmwrite_nat(HOST_GS_BASE, gs_base(p));
    vmwrite_nat(HOST_TR_BASE, (uint64_t)(uintptr_t)&arch->tss);
    vmwrite_nat(HOST_GDTR_BASE, (uint64_t)(uintptr_t)arch->gdt);
}

void vmcs_first_bind(struct vmcs *m)
{
    struct pcpu *here = this_pcpu();
    assert(!m->active_on);
    m->active_on = here;
    list_push_back(&this_vmx()->active, &m->link);
    write_host_of(here);
}

void vmcs_bind_failed(struct vmcs *m)
{
    panic("VMPTRLD of %lx failed", m->region.v);
}

void vmcs_clear(struct vmcs *m)
{
    assert(!m->active_on || m->active_on == this_pcpu());
    if (!vmclear(m->region))
        panic("VMCLEAR of %lx failed", m->region.v);
    if (m->active_on)
        list_remove(&m->link);
    m->active_on = NULL;
}

void vmcs_clear_active(void)
{
    struct list *active = &this_vmx()->active;
    while (!list_empty(active))
        vmcs_clear(list_entry(active->next, struct vmcs, link));
}
