// Carries out a decoded instruction for a guest. Devices, segmentation and paging are the caller's: it gets
// each access to memory as segment and offset. Pure.
#pragma once
#include "vmx/decode.h"
#include "vmx/start.h"

// PROBE comes before the read of an instruction that will write, with the place that it will write: a fault
// must be found before the read has told a device something.
enum emulate_access { EMULATE_PROBE, EMULATE_READ, EMULATE_WRITE };

struct emulation {
    uint64_t *gpr;      // by enum gpr, [RSP] valid
    uint64_t rip;       // of this instruction
    uint64_t rflags;    // in: the guest's; out: CF, PF, AF, ZF, SF, OF as the instruction leaves them
    uint8_t stack_size; // bytes of the stack pointer: 2, 4, 8; for PUSH and POP
    // One access of `size` bytes, 1, 2, 4 or 8, which may cross a page; `offset` is cut to the address size.
    // False: the caller has dealt with a fault or ended the machine.
    bool (*access)(struct emulation *m, enum emulate_access how, unsigned segment, uint64_t offset,
                   unsigned size, uint64_t *value);
};

enum emulate_outcome {
    EMULATE_RETIRE,  // done: RIP goes past the instruction
    EMULATE_REPEAT,  // one element of a REP is done and others are left: RIP stays
    EMULATE_STOPPED, // an access failed: no register and no flag has changed
};

// At most one PROBE, one READ and one WRITE, in this order. Registers that nothing writes keep their values;
// 32-bit results clear the upper half, 8- and 16-bit ones keep the rest (SDM, "General-Purpose Registers in
// 64-Bit Mode"). Flags that the SDM calls undefined are cleared (AF of logical operations) or kept (BT and
// its relatives).
enum emulate_outcome emulate(const struct instruction *i, struct emulation *m);

// ---- The parts of MOV, MOVZX and MOVSX, nearly all that guests do to devices ----

extern const uint64_t byte_masks[9]; // by number of bytes

// A register written as an operand of `bytes`: 32 bits clear the upper half, 8 and 16 leave the rest.
static inline void set_register(uint64_t *reg, unsigned bytes, uint64_t value)
{
    uint64_t written = bytes >= 4 ? ~0ull : byte_masks[bytes];
    *reg = (*reg & ~written) | (value & byte_masks[bytes]);
}

static inline bool is_move(const struct instruction *i)
{
    return i->operation >= OP_MOV && i->operation <= OP_MOVSX;
}

static inline __attribute__((always_inline)) uint64_t effective_address(const struct instruction *i,
                                                                        const uint64_t *gpr, uint64_t rip)
{
    uint64_t offset = (uint64_t)i->displacement;
    if (likely(i->base < GPR_COUNT))
        offset += gpr[i->base];
    else if (i->base == BASE_RIP)
        offset += rip + i->length;
    if (unlikely(i->index != REGISTER_NONE))
        offset += gpr[i->index] << i->shift;
    return offset & byte_masks[i->address_size];
}

// What the instruction has beside its memory operand; bits above the size may hold anything.
static inline uint64_t other_operand(const struct instruction *i, const uint64_t *gpr)
{
    return i->immediate ? (uint64_t)(int64_t)i->value : gpr[i->reg] >> (i->high_byte ? 8 : 0);
}

void set_operand_register(const struct instruction *i, uint64_t *gpr, uint64_t value);

// What was read reaches the register.
static inline void finish_load(const struct instruction *i, uint64_t *gpr, uint64_t value)
{
    unsigned unused = 64 - 8 * i->size;
    value = i->operation == OP_MOVSX ? (uint64_t)((int64_t)(value << unused) >> unused)
                                     : value & byte_masks[i->size];
    uint64_t written = byte_masks[i->reg_size], *reg = &gpr[i->reg];
    if (likely(i->reg_size >= 4))
        *reg = value & written;
    else if (likely(!i->high_byte))
        *reg = (*reg & ~written) | (value & written);
    else
        set_operand_register(i, gpr, value);
}
