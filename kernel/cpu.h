// struct cpu: one virtual processor of a machine, as kernel/ sees it: the vCPU of vmx/, its local APIC, what it
// waits for. It belongs to the processor that it calls home; others reach it through lapic_post*() alone.
#pragma once
#include "dev/lapic.h"
#include "sched/timeout.h"
#include "vmx/vcpu.h"

enum { LEAST_PERIOD_US = 20 };  // local APIC timers of guests interrupt no more often
enum { APIC_PAGE_WORDS = 256 }; // the part of the APIC page that has registers

enum cpu_state { CPU_RUNS, CPU_HALTED, CPU_WAITS_FOR_SIPI, CPU_RECEIVES };

struct end;
struct waiter;

// How a vCPU receives. 0: in 64-bit mode, without a limit of time.
enum receive_how {
    RECEIVE_NARROW = 1,    // it called in another mode
    RECEIVE_IMPATIENT = 2, // it has waited for as long as it wanted to
    RECEIVE_TIMED = 4,     // its patience is set, or was
};

// What makes offering events more than a look at the local APIC's requests.
enum cpu_rare {
    CPU_NMI = 1,    // one waits
    CPU_HELPED = 2, // the processor helps with the local APIC: IRR, ISR and PPR change behind our back
};

struct cpu {
    struct vcpu vcpu; // first
    struct list link; // in a list of its home (kernel/home.c)
    bool left;        // it runs no more and its VMCS is clear; its machine may have others that do
    struct lapic lapic;
    struct timeout timer; // the local APIC's
    enum cpu_state state;
    struct end *end;               // its machine's ports (ipc/port.h), never NULL
    struct waiter *waiter;         // its own place there; NULL: there are no ports
    bool asleep, takes_interrupts; // kernel/sleep.h
    uint8_t rare;                  // enum cpu_rare
    bool apic_elsewhere;           // it is not in xAPIC mode at the usual place, and counted so (struct vm)
    struct {
        uint8_t how; // enum receive_how
        struct timeout patience;
    } receive; // the message that it receives, or received last (kernel/ipc.c)
    uint32_t apic_page[APIC_PAGE_WORDS] __attribute__((aligned(16)));
};

static inline struct cpu *cpu_of(struct vcpu *v)
{
    return container_of(v, struct cpu, vcpu);
}

// The local APIC and all that hangs on it; `bus` has a place for it. After vcpu_create(). The registers' page is the
// virtual-APIC page where the processor helps, else `apic_page`.
void cpu_init_interrupts(struct cpu *c, struct lapic_bus *bus, uint32_t id);
// Has the vCPU look at its events before it enters its guest, whatever it does now. Any processor.
void cpu_look(struct cpu *c);
// Whether an interrupt or NMI waits that the guest would take. Its VMCS is current.
bool cpu_is_interrupted(struct cpu *c);
// False: none does. What waits and is not taken at once has a window open, or is a request that the processor knows of.
static inline bool cpu_may_be_interrupted(const struct cpu *c)
{
    uint32_t what = c->rare | c->vcpu.windows;
    return unlikely(what) && (what != CPU_HELPED || vcpu_apic_requested(&c->vcpu));
}

// Two of the upcalls (vmx/vcpu.h): the highest interrupt that waits goes into the guest, if that takes it; a self-IPI.
void cpu_offer(struct vcpu *v);
void cpu_self_ipi(struct vcpu *v, uint8_t vector, bool interrupts_on);

// What a machine's local APICs ask for (dev/lapic.h).
extern const struct lapic_ops cpu_lapic_ops;
