// IN and OUT, INS and OUTS.
#include "sdm/qualification.h"
#include "vmx/emulate.h"
#include "vmx/exit.h"
#include "vmx/guest_memory.h"

// INS has ES:rDI for its destination, OUTS has a source that a prefix may move to another segment than DS.
static bool operand(struct vcpu *v, const struct io_access *a, const struct instruction_info *i,
                    uint64_t *linear)
{
    unsigned segment = a->in ? SEG_ES : i->segment;
    uint64_t offset = v->gpr[a->in ? RDI : RSI] & byte_masks[i->address_size];
    return guest_operand(v, segment, offset, a->size, a->in ? ACCESS_WRITE : ACCESS_READ, linear);
}

static bool one_element(struct vcpu *v, const struct io_access *a, const struct instruction_info *i)
{
    uint64_t linear;
    uint64_t *index = &v->gpr[a->in ? RDI : RSI];
    uint64_t value = 0;
    if (!operand(v, a, i, &linear))
        return false;
    if (!a->in) {
        if (!guest_move(v, linear, &value, a->size, GUEST_LOAD))
            return false;
        io_out(v->io, a->port, a->size, (uint32_t)value);
    } else {
        // Translated and touched first: a fault must not lose what the device gave.
        if (!guest_move(v, linear, &value, a->size, GUEST_PROBE))
            return false;
        value = io_in(v->io, a->port, a->size);
        if (!guest_move(v, linear, &value, a->size, GUEST_STORE))
            return false;
    }
    bool down = vmread_nat(GUEST_RFLAGS) & RFLAGS_DF;
    set_register(index, i->address_size, *index + (down ? -(uint64_t)a->size : a->size));
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
static noinline_cold void string_io(struct vcpu *v, uint64_t qualification)
{
    const struct io_access access = decode_io_access(qualification), *a = &access;
    const struct instruction_info i = decode_instruction_info(vmread32(VM_EXIT_INSTRUCTION_INFO));
    uint64_t count = a->rep ? v->gpr[RCX] & byte_masks[i.address_size] : 1;
    if (count && !one_element(v, a, &i))
        return;
    if (a->rep && count)
        set_register(&v->gpr[RCX], i.address_size, count - 1);
    if (count > 1)
        between_elements();
    else
        skip_instruction();
}

// set_register(), but that branches cost less here than a table.
static inline void set_result(struct vcpu *v, unsigned width, uint32_t value)
{
    if (width == 4)
        v->gpr[RAX] = value;
    else if (width == 2)
        v->gpr[RAX] = (v->gpr[RAX] & ~0xffffull) | (uint16_t)value;
    else
        v->gpr[RAX] = (v->gpr[RAX] & ~0xffull) | (uint8_t)value;
}

static noinline_cold void io_wide(struct vcpu *v, struct device *d, struct io_access a)
{
    if (a.in)
        set_result(v, a.size, device_in_wide(d, a.port, a.size));
    else
        device_out_wide(d, a.port, a.size, (uint32_t)v->gpr[RAX]);
}

void exit_io(struct vcpu *v, uint64_t qualification)
{
    struct io_access a = decode_io_access(qualification);
    if (unlikely(a.string)) {
        string_io(v, qualification);
        return;
    }
    struct device *d = io_find(v->io, a.port);
    if (unlikely(a.size != 1))
        io_wide(v, d, a);
    else if (a.in)
        set_result(v, 1, d->ops->in(d, a.port));
    else
        d->ops->out(d, a.port, (uint8_t)v->gpr[RAX]);
    skip_instruction();
}
