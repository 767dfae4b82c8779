// VMCS access and the life of a VMCS region. Fields come from the manual's list (sdm/vmcs_fields.h), one enum
// a width: reading GUEST_RIP as 16 bits does not compile (-Wenum-conversion; tests/compile-fail).
//
// Accesses are to the current VMCS of this processor and are not checked for VMfail: every field used here
// exists on every processor that passed vmx_init_cpu(), or its use hangs on the control that brings it.
#pragma once
#include "arch/types.h"
#include "sdm/vmcs_fields.h"
#include "vmx/vcpu.h"
#include "vmx/vmx.h"

#ifdef CHECKING
extern uint64_t vmcs_reads[PCPU_MAX], vmcs_writes[PCPU_MAX];
#define COUNT_ACCESS(what) (what[this_pcpu()->id]++)
#else
#define COUNT_ACCESS(what) ((void)0)
#endif

static inline uint64_t vmread_uncounted(uint32_t encoding)
{
    uint64_t value;
    __asm__ volatile("vmread %1, %0" : "=r"(value) : "r"((uint64_t)encoding) : "cc");
    return value;
}
static inline uint64_t vmread_raw(uint32_t encoding)
{
    COUNT_ACCESS(vmcs_reads);
    return vmread_uncounted(encoding);
}
static inline void vmwrite_raw(uint32_t encoding, uint64_t value)
{
    COUNT_ACCESS(vmcs_writes);
    __asm__ volatile("vmwrite %0, %1" ::"r"(value), "r"((uint64_t)encoding) : "cc");
}

#define DEFINE_ACCESS(suffix, field_type, value_type)                  \
    static inline value_type vmread##suffix(field_type f)              \
    {                                                                  \
        return (value_type)vmread_raw(f);                              \
    }                                                                  \
    static inline void vmwrite##suffix(field_type f, value_type value) \
    {                                                                  \
        vmwrite_raw(f, value);                                         \
    }
DEFINE_ACCESS(16, enum vmcs16, uint16_t)
DEFINE_ACCESS(32, enum vmcs32, uint32_t)
DEFINE_ACCESS(64, enum vmcs64, uint64_t)
DEFINE_ACCESS(_nat, enum vmcsnat, uint64_t)
#undef DEFINE_ACCESS

// Makes `m` current on this processor. One that is active elsewhere is a bug: its own processor clears it
// first (SDM, "Software Use of Virtual-Machine Control Structures"). Host fields that differ between
// processors are written when it was clear.
noinline_cold void vmcs_first_bind(struct vmcs *m);
_Noreturn noinline_cold void vmcs_bind_failed(struct vmcs *m);
// VMPTRLD of one that is active here.
static inline void vmcs_load(struct vmcs *m)
{
    bool failed;
    __asm__ volatile("vmptrld %1" : "=@ccbe"(failed) : "m"(m->region.v) : "memory");
    if (unlikely(failed))
        vmcs_bind_failed(m);
}
static inline void vmcs_bind(struct vmcs *m)
{
    vmcs_load(m);
    if (unlikely(m->active_on != this_pcpu()))
        vmcs_first_bind(m);
}
// VMCLEAR, on the processor where it is active (or anywhere when it is active nowhere).
void vmcs_clear(struct vmcs *m);
// Clears every VMCS that is active on this processor.
void vmcs_clear_active(void);
// A segment register of the guest, from ES CS SS DS FS GS LDTR TR, in whose order their fields follow one another.
void vmcs_write_segment(unsigned i, uint16_t selector, uint64_t base, uint32_t limit, uint32_t rights);
// Fills every field of the current VMCS for `v`, whose guest starts in state `start`.
void vmcs_setup(struct vcpu *v, const struct guest_start *start);
// The same for a guest that starts anew by INIT: what that leaves alone stays.
void vmcs_restart(struct vcpu *v, const struct guest_start *start);
