#include "vmx/string_io.h"
#include "sdm/qualification.h"
#include "vmx/exit.h"
#include "vmx/guest_memory.h"

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
    uint64_t offset = sized(v->gpr[a->in ? RDI : RSI], i->address_size);
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
