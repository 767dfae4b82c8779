#include "vmx/string_io.h"
#include "arch/cpu.h"
#include "arch/features.h"
#include "sdm/qualification.h"
#include "vmx/diagnose.h"
#include "vmx/exit.h"
#include "vmx/guest_paging.h"
#include "vmx/guest_segment.h"

static struct guest_paging read_paging(const struct vcpu *v)
{
    struct guest_paging p = {
        .cr0 = vmread_nat(GUEST_CR0),
        .cr3 = vmread_nat(GUEST_CR3),
        .cr4 = vmread_nat(GUEST_CR4),
        .efer = vmread64(GUEST_EFER),
        .rflags = vmread_nat(GUEST_RFLAGS),
        .cpl = vcpu_cpl(v),
        .physical_bits = features.physical_bits,
    };
    for (unsigned i = 0; i < 4; i++)
        p.pdpte[i] = vmread64((enum vmcs64)(GUEST_PDPTE0 + 2 * i));
    return p;
}

enum move { LOAD, STORE, PROBE }; // PROBE: all that a store needs, without storing

// Moves `size` bytes between `value` and the guest's linear address, a page at a time; outside 64-bit mode
// that wraps at 4 GiB. False: an event was injected or the machine ended.
static bool move(struct vcpu *v, uint64_t linear, uint8_t *value, unsigned size, enum move how)
{
    enum access access = how == LOAD ? ACCESS_READ : ACCESS_WRITE;
    struct guest_paging p = read_paging(v);
    uint64_t wrap = vcpu_in_64bit_mode(v) ? ~0ull : UINT32_MAX;
    for (unsigned done = 0; done < size;) {
        uint64_t from = (linear + done) & wrap;
        unsigned chunk = (unsigned)min_u64(size - done, PAGE_SIZE - (from & (PAGE_SIZE - 1)));
        gpa_t at;
        uint32_t pf_error;
        enum error e = guest_translate(&p, v->space, from, access, &at, &pf_error);
        if (e == E_DENIED) {
            write_cr2(from);
            vcpu_inject_fault(v, EXC_PF, pf_error);
            return false;
        }
        if (!e)
            e = how == STORE ? guest_write(v->space, at, value + done, chunk)
                             : guest_read(v->space, at, value + done, chunk);
        if (e) {
            diagnose_end(v, e == E_NO_MEMORY ? END_NO_MEMORY : END_OUTSIDE);
            return false;
        }
        done += chunk;
    }
    return true;
}

// Writes a register as an instruction of that address size does: 32 bits clear the upper half.
static void set_sized(uint64_t *reg, unsigned bytes, uint64_t value)
{
    if (bytes == 8)
        *reg = value;
    else if (bytes == 4)
        *reg = (uint32_t)value;
    else
        *reg = (*reg & ~0xffffull) | (uint16_t)value;
}

static uint64_t sized(uint64_t reg, unsigned bytes)
{
    return bytes == 8 ? reg : bytes == 4 ? (uint32_t)reg : (uint16_t)reg;
}

// INS has ES:rDI for its destination, OUTS has a source that a prefix may move to another segment than DS.
static bool operand(struct vcpu *v, const struct io_access *a, const struct instruction_info *i,
                    uint64_t *linear)
{
    unsigned segment = a->in ? SEG_ES : i->segment;
    struct guest_segment s = {
        .base = vmread_nat((enum vmcsnat)(GUEST_ES_BASE + 2 * segment)),
        .limit = vmread32((enum vmcs32)(GUEST_ES_LIMIT + 2 * segment)),
        .rights = vmread32((enum vmcs32)(GUEST_ES_ACCESS_RIGHTS + 2 * segment)),
        .keeps_base = segment == SEG_FS || segment == SEG_GS,
    };
    uint64_t offset = sized(v->gpr[a->in ? RDI : RSI], i->address_size);
    if (guest_linear(&s, vcpu_in_64bit_mode(v), offset, a->size, a->in ? ACCESS_WRITE : ACCESS_READ, linear))
        return true;
    vcpu_inject_fault(v, segment == SEG_SS ? EXC_SS : EXC_GP, 0);
    return false;
}

static bool one_element(struct vcpu *v, const struct io_access *a, const struct instruction_info *i)
{
    uint64_t linear;
    uint64_t *index = &v->gpr[a->in ? RDI : RSI];
    uint32_t value = 0;
    if (!operand(v, a, i, &linear))
        return false;
    if (!a->in) {
        if (!move(v, linear, (uint8_t *)&value, a->size, LOAD))
            return false;
        io_out(v->io, a->port, a->size, value);
    } else {
        // Translated and touched first: a fault must not lose what the device gave.
        if (!move(v, linear, (uint8_t *)&value, a->size, PROBE))
            return false;
        value = io_in(v->io, a->port, a->size);
        if (!move(v, linear, (uint8_t *)&value, a->size, STORE))
            return false;
    }
    bool down = vmread_nat(GUEST_RFLAGS) & RFLAGS_DF;
    set_sized(index, i->address_size, *index + (down ? -(uint64_t)a->size : a->size));
    return true;
}

// An instruction breakpoint fired before the first element and must not do so before the others: the exit
// cleared RF (SDM, "Saving RIP, RSP, RFLAGS, and SSP").
static void between_elements(void)
{
    skip_slow();
    vmwrite_nat(GUEST_RFLAGS, vmread_nat(GUEST_RFLAGS) | RFLAGS_RF);
}

// After each element interrupts, single steps and the end of the turn get their chance, as on a processor
// (SDM, "REP/REPE/REPZ/REPNE/REPNZ").
void string_io(struct vcpu *v, uint64_t qualification)
{
    const struct io_access access = decode_io_access(qualification), *a = &access;
    const struct instruction_info i = decode_instruction_info(vmread32(VM_EXIT_INSTRUCTION_INFO));
    uint64_t count = a->rep ? sized(v->gpr[RCX], i.address_size) : 1;
    if (count && !one_element(v, a, &i))
        return;
    if (a->rep && count)
        set_sized(&v->gpr[RCX], i.address_size, count - 1);
    if (count > 1)
        between_elements();
    else
        skip_instruction();
}
