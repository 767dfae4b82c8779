#include "vmx/emulate.h"
#include "sdm/bits.h"
#include "sdm/qualification.h"
#include "vmx/start.h"

static uint64_t mask(unsigned bytes)
{
    return ~0ull >> (64 - 8 * bytes);
}

static void set_register(uint64_t *reg, unsigned bytes, uint64_t value)
{
    uint64_t written = bytes >= 4 ? ~0ull : mask(bytes);
    *reg = (*reg & ~written) | (value & mask(bytes));
}

static uint64_t operand_register(const struct instruction *i, const struct emulation *m)
{
    return m->gpr[i->reg] >> (i->high_byte ? 8 : 0);
}

static void set_operand_register(const struct instruction *i, struct emulation *m, uint64_t value)
{
    uint64_t *reg = &m->gpr[i->reg];
    if (i->high_byte)
        *reg = (*reg & ~0xff00ull) | (value & 0xff) << 8;
    else
        set_register(reg, i->reg_size, value);
}

static uint64_t effective_address(const struct instruction *i, const struct emulation *m)
{
    uint64_t offset = (uint64_t)i->displacement;
    if (i->base == BASE_RIP)
        offset += m->rip + i->length;
    else if (i->base != REGISTER_NONE)
        offset += m->gpr[i->base];
    if (i->index != REGISTER_NONE)
        offset += m->gpr[i->index] << i->shift;
    return offset;
}

static bool access(const struct instruction *i, struct emulation *m, enum emulate_access how, uint64_t offset,
                   uint64_t *value)
{
    return m->access(m, how, i->segment, offset & mask(i->address_size), i->size, value);
}

// How a result and its flags come about; an operation without a row moves.
enum rule {
    RULE_SUM = 1,
    RULE_SUBTRACT = 2,   // a sum of the complement, carries inverted
    RULE_WITH_CARRY = 4, // CF counts
    RULE_ONE = 8,        // 1 is added or subtracted, CF stays
    RULE_LOGICAL = 16,
    RULE_BIT = 32,
};
static const uint8_t rules[OP_COUNT] = {
    [OP_ADD] = RULE_SUM,
    [OP_XADD] = RULE_SUM,
    [OP_ADC] = RULE_SUM | RULE_WITH_CARRY,
    [OP_SBB] = RULE_SUM | RULE_SUBTRACT | RULE_WITH_CARRY,
    [OP_SUB] = RULE_SUM | RULE_SUBTRACT,
    [OP_CMP] = RULE_SUM | RULE_SUBTRACT,
    [OP_CMPXCHG] = RULE_SUM | RULE_SUBTRACT,
    [OP_NEG] = RULE_SUM | RULE_SUBTRACT,
    [OP_INC] = RULE_SUM | RULE_ONE,
    [OP_DEC] = RULE_SUM | RULE_SUBTRACT | RULE_ONE,
    [OP_OR] = RULE_LOGICAL,
    [OP_AND] = RULE_LOGICAL,
    [OP_XOR] = RULE_LOGICAL,
    [OP_TEST] = RULE_LOGICAL,
    [OP_BT] = RULE_BIT,
    [OP_BTS] = RULE_BIT,
    [OP_BTR] = RULE_BIT,
    [OP_BTC] = RULE_BIT,
};

// SDM, "Status Flags", from a result, the carries out of its bits, and where two signs gave a third.
static uint64_t status_flags(uint64_t result, uint64_t carries, uint64_t overflow, unsigned size)
{
    const unsigned even_parity = 0x9669; // by a number of four bits
    unsigned top = 8 * size - 1;
    return (carries >> top & 1 ? RFLAGS_CF : 0) | (carries & 8 ? RFLAGS_AF : 0) |
           (overflow >> top & 1 ? RFLAGS_OF : 0) | (result >> top & 1 ? RFLAGS_SF : 0) |
           (result & mask(size) ? 0 : RFLAGS_ZF) |
           (even_parity >> ((result ^ result >> 4) & 15) & 1 ? RFLAGS_PF : 0);
}

static uint64_t bit_test(unsigned operation, uint64_t a, uint64_t number, unsigned size, uint64_t *flags)
{
    uint64_t bit = 1ull << (number & (8 * size - 1));
    *flags = (*flags & ~RFLAGS_CF) | (a & bit ? RFLAGS_CF : 0);
    return operation == OP_BTS ? a | bit : operation == OP_BTR ? a & ~bit : a ^ bit;
}

// From `a`, the destination, and `b`; bits above the size may hold anything, in all three.
static uint64_t compute(unsigned operation, uint64_t a, uint64_t b, unsigned size, uint64_t *flags)
{
    unsigned rule = rules[operation];
    uint64_t changed = RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF;
    uint64_t result, carries = 0, overflow = 0;
    if (rule & RULE_BIT)
        return bit_test(operation, a, b, size, flags);
    if (rule & RULE_SUM) {
        uint64_t invert = rule & RULE_SUBTRACT ? ~0ull : 0;
        uint64_t carry = rule & RULE_WITH_CARRY ? *flags & RFLAGS_CF : 0;
        if (rule & RULE_ONE) {
            b = 1;
            changed &= ~RFLAGS_CF;
        }
        if (operation == OP_NEG) {
            b = a;
            a = 0;
        }
        b ^= invert;
        result = a + b + (carry ^ (invert & 1));
        carries = ((a & b) | ((a | b) & ~result)) ^ invert;
        overflow = (a ^ result) & (b ^ result);
    } else if (rule & RULE_LOGICAL) {
        result = operation == OP_OR ? a | b : operation == OP_XOR ? a ^ b : a & b;
    } else {
        return operation == OP_NOT ? ~a : b;
    }
    *flags = (*flags & ~changed) | (status_flags(result, carries, overflow, size) & changed);
    return result;
}

// A bit number in a register may point beyond the operand, both ways (SDM, "BT - Bit Test").
static uint64_t bit_string_offset(const struct instruction *i, const struct emulation *m)
{
    unsigned unused = 64 - 8 * i->size;
    int64_t number = (int64_t)(m->gpr[i->reg] << unused) >> unused;
    return (uint64_t)((number >> 3) & -(int64_t)i->size);
}

static enum emulate_outcome with_operand(const struct instruction *i, struct emulation *m)
{
    uint64_t offset = effective_address(i, m), memory = 0, flags = m->rflags;
    uint64_t other = i->immediate ? (uint64_t)i->value : operand_register(i, m);
    if (rules[i->operation] & RULE_BIT && !i->immediate)
        offset += bit_string_offset(i, m);
    if (i->reads && i->writes && !access(i, m, EMULATE_PROBE, offset, &memory))
        return EMULATE_STOPPED;
    if (i->reads && !access(i, m, EMULATE_READ, offset, &memory))
        return EMULATE_STOPPED;
    memory &= mask(i->size);
    if (i->operation == OP_MOVSX)
        memory = (uint64_t)((int64_t)(memory << (64 - 8 * i->size)) >> (64 - 8 * i->size));

    uint64_t result;
    bool same = true; // CMPXCHG: the accumulator
    if (i->operation == OP_CMPXCHG) {
        compute(OP_CMPXCHG, m->gpr[RAX], memory, i->size, &flags);
        same = flags & RFLAGS_ZF;
        result = same ? other : memory;
    } else {
        result = i->to_register ? compute(i->operation, other, memory, i->reg_size, &flags)
                                : compute(i->operation, memory, other, i->size, &flags);
    }
    uint64_t stored = result & mask(i->size);
    if (i->writes && !access(i, m, EMULATE_WRITE, offset, &stored))
        return EMULATE_STOPPED;

    m->rflags = flags;
    if (i->to_register ? i->operation != OP_CMP : i->operation == OP_XCHG || i->operation == OP_XADD)
        set_operand_register(i, m, i->to_register ? result : memory);
    if (!same)
        set_register(&m->gpr[RAX], i->size, memory);
    return EMULATE_RETIRE;
}

// PUSH and POP: the stack is the other operand. POP moves RSP before it computes the address of its
// destination.
static enum emulate_outcome with_stack(const struct instruction *i, struct emulation *m)
{
    bool push = i->operation == OP_PUSH;
    uint64_t before = m->gpr[RSP], after = before, value = 0;
    set_register(&after, m->stack_size, before + (push ? -(uint64_t)i->size : i->size));
    uint64_t stack = (push ? after : before) & mask(m->stack_size);
    if (!push)
        m->gpr[RSP] = after;
    uint64_t offset = effective_address(i, m);
    m->gpr[RSP] = before;
    bool done = push ? m->access(m, EMULATE_PROBE, SEG_SS, stack, i->size, &value) &&
                           access(i, m, EMULATE_READ, offset, &value) &&
                           m->access(m, EMULATE_WRITE, SEG_SS, stack, i->size, &value)
                     : access(i, m, EMULATE_PROBE, offset, &value) &&
                           m->access(m, EMULATE_READ, SEG_SS, stack, i->size, &value) &&
                           access(i, m, EMULATE_WRITE, offset, &value);
    if (!done)
        return EMULATE_STOPPED;
    m->gpr[RSP] = after;
    return EMULATE_RETIRE;
}

static void advance(const struct instruction *i, struct emulation *m, enum gpr reg)
{
    uint64_t step = m->rflags & RFLAGS_DF ? -(uint64_t)i->size : i->size;
    set_register(&m->gpr[reg], i->address_size, m->gpr[reg] + step);
}

// One element of MOVS, STOS or LODS.
static enum emulate_outcome string_element(const struct instruction *i, struct emulation *m)
{
    bool loads = i->operation != OP_STOS, stores = i->operation != OP_LODS;
    uint64_t value = m->gpr[RAX] & mask(i->size), to = m->gpr[RDI] & mask(i->address_size);
    uint64_t left = m->gpr[RCX] & mask(i->address_size);
    if (i->rep && !left)
        return EMULATE_RETIRE;
    if (loads && stores && !m->access(m, EMULATE_PROBE, SEG_ES, to, i->size, &value))
        return EMULATE_STOPPED;
    if (loads && !access(i, m, EMULATE_READ, m->gpr[RSI], &value))
        return EMULATE_STOPPED;
    value &= mask(i->size);
    if (stores && !m->access(m, EMULATE_WRITE, SEG_ES, to, i->size, &value))
        return EMULATE_STOPPED;
    if (loads)
        advance(i, m, RSI);
    if (stores)
        advance(i, m, RDI);
    else
        set_register(&m->gpr[RAX], i->size, value);
    if (!i->rep)
        return EMULATE_RETIRE;
    set_register(&m->gpr[RCX], i->address_size, left - 1);
    return left == 1 ? EMULATE_RETIRE : EMULATE_REPEAT;
}

enum emulate_outcome emulate(const struct instruction *i, struct emulation *m)
{
    if (i->operation < OP_MOVS)
        return with_operand(i, m);
    return i->operation < OP_PUSH ? string_element(i, m) : with_stack(i, m);
}
