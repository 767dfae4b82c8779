// struct pcpu: everything that belongs to one physical processor, found through GS. Upper rooms hang their
// per-processor objects on the pointers below (types opaque here), so that arrows keep pointing down.
// Each field is written by its own processor only, except where it says otherwise.
//
// A processor's slot of PCPU_SLOT bytes at STACKS_BASE + slot * PCPU_SLOT (unmapped pages are guards; slots
// count the processors called, ids those that came):
//
//   +0x0000 guard | +0x1000 stack, 16 KiB | +0x5000 guard | +0x6000 #DF, 8 KiB | +0x8000 guard
//   +0x9000 NMI, 8 KiB | +0xb000 guard    | +0xc000 #MC, 8 KiB                 | +0xe000 guard
#pragma once
#include "arch/types.h"

enum { PCPU_MAX = 64, PCPU_SLOT = 0x10000 };
enum { PCPU_STACK = 0x1000, PCPU_STACK_SIZE = 0x4000 };
enum { IST_STACK = 0x6000, IST_STACK_SIZE = 0x2000, IST_STRIDE = 0x3000 }; // panic() needs more than a page

struct runq;
struct vcpu;
struct timeouts;
struct log_ring;
struct frame_cache;
struct vmx_cpu;

struct pcpu {
    struct pcpu *self;          // gs:0
    uint64_t stack_top;         // gs:8, where every VM exit starts (vmx/entry.asm)
    struct vcpu *current;       // gs:16, the vCPU whose VMCS is current; NULL when idle
    uint32_t id;                // 0 is the boot processor; dense
    uint32_t apic_id;           // local APIC id
    struct runq *runq;          // sched/
    struct timeouts *timeouts;  // sched/timeout.h
    struct log_ring *log;       // kernel/
    struct frame_cache *frames; // mm/: frames zeroed in advance
    struct vmx_cpu *vmx;        // vmx/
    void *arch;                 // struct arch_cpu: GDT, TSS (arch/descriptors.h)
    volatile uint32_t state;    // enum pcpu_state; read by others
    volatile uint32_t kick; // chores are due; who sets another processor's sends an IPI after it, pcpu_kick()
};

enum pcpu_state { PCPU_ABSENT, PCPU_STARTING, PCPU_ONLINE, PCPU_REFUSED, PCPU_STOPPED };

extern struct pcpu pcpus[PCPU_MAX];
extern uint32_t pcpu_count; // processors that run the hypervisor: pcpus[0..pcpu_count)

#ifdef MICRONOVA_HOST
extern _Thread_local struct pcpu *host_pcpu; // the test lets each thread be a processor
static inline struct pcpu *this_pcpu(void)
{
    return host_pcpu;
}
static inline struct vcpu *this_vcpu(void)
{
    return host_pcpu->current;
}
#else
static inline struct pcpu *this_pcpu(void)
{
    struct pcpu *p;
    __asm__("movq %%gs:0, %0" : "=r"(p)); // no memory clobber: the value is constant on one processor
    return p;
}
// this_pcpu()->current in one instruction.
static inline struct vcpu *this_vcpu(void)
{
    struct vcpu *v;
    __asm__ volatile("movq %%gs:%c1, %0" : "=r"(v) : "i"(offsetof(struct pcpu, current)) : "memory");
    return v;
}
#endif

// Makes `p` do its chores soon; another processor by an IPI, which ends a guest's turn or an idle halt. Any context.
void pcpu_kick(struct pcpu *p);
