// What an attempt may leave in the processor, and only VMX non-root operation takes away: virtual-NMI blocking, which
// on every processor ends with an IRET there, and a pending INIT. It is the hypervisor's own code, on its own page
// tables, that is entered for it.
#include "arch/cpu.h"
#include "arch/descriptors.h"
#include "arch/exception.h"
#include "arch/pcpu.h"
#include "sdm/exit_reason.h"
#include "sdm/qualification.h"
#include "vmx/probe.h"

extern const char probe_iret[], probe_iret_done[], probe_spin[]; // vmx/probe_entry.asm

enum {
    LONG_TICKS = 0x7fffffff,
    SHORT_TICKS = 100000, // an INIT that is on its way arrives within that
};

// The template as it was before PROBE_BASE, but for the address space, which is the host's.
static void fill(const struct probe *p, const char *code, const uint64_t *frame, uint32_t ticks)
{
    const struct arch_cpu *arch = this_pcpu()->arch;
    enum { CS = 1, SS = 2 };
    const struct {
        uint32_t field;
        uint64_t value;
    } own[] = {
        {SECONDARY_CONTROLS, vmx_caps_control(&vmx_caps, WORD_SECONDARY).must_be_1},
        {GUEST_CR0,                  p->opened[AT_HOST_CR0]                                   },
        {GUEST_CR3,                  p->opened[AT_HOST_CR3]},
        {GUEST_CR4,                  p->opened[AT_HOST_CR4]                                   },
        {GUEST_EFER,                  p->opened[AT_HOST_EFER]},
        {GUEST_GDTR_BASE,                  (uint64_t)(uintptr_t)arch->gdt                              },
        {GUEST_GDTR_LIMIT,                  GDT_LIMIT},
        {GUEST_RIP,                  (uint64_t)(uintptr_t)code                                     },
        {GUEST_RSP,                  (uint64_t)(uintptr_t)frame},
        {PREEMPTION_TIMER_VALUE,                  ticks >> vmx_misc_timer_rate(vmx_caps.misc)                        },
        {HOST_RIP,                  (uint64_t)(uintptr_t)probe_exit            },
    };
    for (unsigned i = 0; i < p->fields; i++)
        vmwrite_raw(p->field[i].encoding, p->opened[p->field[i].at]);
    for (unsigned i = 0; i < array_size(own); i++)
        if (p->exists[image_at(own[i].field)])
            vmwrite_raw(own[i].field, own[i].value);
    vmcs_write_segment(CS, SELECTOR_CODE, 0, 0xffffffff, AR_CODE | AR_FLAT64);
    vmcs_write_segment(SS, SELECTOR_DATA, 0, 0xffffffff, AR_DATA | AR_FLAT32);
}

// An interrupt of the box may come first.
static bool entered_for_nothing(void)
{
    struct event e = decode_event(vmread32(VM_EXIT_INTERRUPTION_INFO));
    bool interrupted = vmread32(EXIT_REASON) == REASON_EXTERNAL_INTERRUPT && e.valid;
    if (interrupted)
        interrupt_dispatch(e.vector);
    return interrupted;
}

// Behind it the VMCS that did it is cleared.
static void enter_own(struct probe *p, const char *code, const uint64_t *frame, uint32_t ticks,
                      uint64_t interruptibility)
{
    uint64_t failed;
    do {
        vmcs_clear(&p->unblocker);
        vmcs_bind(&p->unblocker);
        fill(p, code, frame, ticks);
        vmwrite_raw(GUEST_INTERRUPTIBILITY_STATE, interruptibility);
        failed = probe_enter(p, 0);
    } while (!failed && entered_for_nothing());
    vmcs_clear(&p->unblocker);
}

void probe_unblock_nmis(struct probe *p)
{
    const uint64_t frame[] = {(uint64_t)(uintptr_t)probe_iret_done, SELECTOR_CODE, RFLAGS_FIXED1,
                              (uint64_t)(uintptr_t)frame, SELECTOR_DATA};
    iret_here();
    enter_own(p, probe_iret, frame, LONG_TICKS, 0);
}

void probe_drain_init(struct probe *p)
{
    const uint64_t stack[1] = {0};
    enter_own(p, probe_spin, stack, SHORT_TICKS, 0);
}

void probe_block_nmis(struct probe *p)
{
    const uint64_t stack[1] = {0};
    enter_own(p, probe_iret_done, stack, LONG_TICKS, BLOCKING_BY_NMI);
}
