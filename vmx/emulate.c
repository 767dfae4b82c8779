#include "vmx/emulate.h"
#include "sdm/bits.h"
#include "sdm/qualification.h"
#include "vmx/start.h"

// A table because nearly every step of an emulation cuts something.
const uint64_t byte_masks[] = {[1] = 0xff, [2] = 0xffff, [4] = 0xffffffff, [8] = ~0ull};

static inline uint64_t mask(unsigned bytes)
{
    return byte_masks[bytes];
}

static uint64_t sign_extended(uint64_t value, unsigned size)
{
    return (uint64_t)((int64_t)(value << (64 - 8 * size)) >> (64 - 8 * size));
}

void set_operand_register(const struct instruction *i, uint64_t *gpr, uint64_t value)
{
    uint64_t *reg = &gpr[i->reg];
    if (i->high_byte)
        *reg = (*reg & ~0xff00ull) | (value & 0xff) << 8;
    else
        set_register(reg, i->reg_size, value);
}

static bool probe(const struct instruction *i, struct emulation *m, unsigned segment, uint64_t offset)
{
    uint64_t nothing = 0;
    return m->access(m, EMULATE_PROBE, segment, offset, i->size, &nothing);
}

static bool load(const struct instruction *i, struct emulation *m, unsigned segment, uint64_t offset,
                 uint64_t *value)
{
    bool done = m->access(m, EMULATE_READ, segment, offset, i->size, value);
    *value &= mask(i->size);
    return done;
}

static bool store(const struct instruction *i, struct emulation *m, unsigned segment, uint64_t offset,
                  uint64_t value)
{
    value &= mask(i->size);
    return m->access(m, EMULATE_WRITE, segment, offset, i->size, &value);
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
// clang-format off
static const uint8_t rules[OP_COUNT] = {
    [OP_ADD] = RULE_SUM, [OP_XADD] = RULE_SUM, [OP_INC] = RULE_SUM | RULE_ONE,
    [OP_SUB] = RULE_SUM | RULE_SUBTRACT, [OP_CMP] = RULE_SUM | RULE_SUBTRACT, [OP_NEG] = RULE_SUM | RULE_SUBTRACT,
    [OP_DEC] = RULE_SUM | RULE_SUBTRACT | RULE_ONE,
    [OP_ADC] = RULE_SUM | RULE_WITH_CARRY, [OP_SBB] = RULE_SUM | RULE_SUBTRACT | RULE_WITH_CARRY,
    [OP_OR] = RULE_LOGICAL, [OP_AND] = RULE_LOGICAL, [OP_XOR] = RULE_LOGICAL, [OP_TEST] = RULE_LOGICAL,
    [OP_BT] = RULE_BIT, [OP_BTS] = RULE_BIT, [OP_BTR] = RULE_BIT, [OP_BTC] = RULE_BIT,
};
// clang-format on

#define STATUS_FLAGS (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

// SDM, "Status Flags", from a result, the carries out of its bits, and where two signs gave a third.
static uint64_t status_flags(uint64_t result, uint64_t carries, uint64_t overflow, unsigned size)
{
    const unsigned even_parity = 0x9669; // by a number of four bits
    unsigned top = 8 * size - 1;
    return (carries >> top & 1) * RFLAGS_CF | (carries >> 3 & 1) * RFLAGS_AF |
           (overflow >> top & 1) * RFLAGS_OF | (result >> top & 1) * RFLAGS_SF |
           !(result & mask(size)) * RFLAGS_ZF |
           (even_parity >> ((result ^ result >> 4) & 15) & 1) * RFLAGS_PF;
}

static uint64_t bit_test(unsigned operation, uint64_t a, uint64_t number, unsigned size, uint64_t *flags)
{
    uint64_t bit = 1ull << (number & (8 * size - 1));
    *flags = (*flags & ~RFLAGS_CF) | (a & bit ? RFLAGS_CF : 0);
    return operation == OP_BTS ? a | bit : operation == OP_BTR ? a & ~bit : a ^ bit;
}

static uint64_t sum(unsigned rule, uint64_t a, uint64_t b, unsigned size, uint64_t *flags)
{
    uint64_t changed = STATUS_FLAGS & ~(rule & RULE_ONE ? RFLAGS_CF : 0);
    uint64_t invert = rule & RULE_SUBTRACT ? ~0ull : 0;
    uint64_t carry = rule & RULE_WITH_CARRY ? *flags & RFLAGS_CF : 0;
    b = (rule & RULE_ONE ? 1 : b) ^ invert;
    uint64_t result = a + b + (carry ^ (invert & 1));
    uint64_t carries = ((a & b) | ((a | b) & ~result)) ^ invert;
    uint64_t overflow = (a ^ result) & (b ^ result);
    *flags = (*flags & ~changed) | (status_flags(result, carries, overflow, size) & changed);
    return result;
}

// From `a`, the destination, and `b`; bits above the size may hold anything, in all three.
static uint64_t compute(unsigned operation, uint64_t a, uint64_t b, unsigned size, uint64_t *flags)
{
    unsigned rule = rules[operation];
    if (rule & RULE_BIT)
        return bit_test(operation, a, b, size, flags);
    if (operation == OP_NEG)
        return sum(rule, 0, a, size, flags);
    if (rule & RULE_SUM)
        return sum(rule, a, b, size, flags);
    if (!(rule & RULE_LOGICAL))
        return operation == OP_NOT ? ~a : b;
    uint64_t result = operation == OP_OR ? a | b : operation == OP_XOR ? a ^ b : a & b;
    *flags = (*flags & ~STATUS_FLAGS) | status_flags(result, 0, 0, size);
    return result;
}

// A bit number in a register may point beyond the operand, both ways (SDM, "BT - Bit Test").
static uint64_t bit_string_offset(const struct instruction *i, const struct emulation *m)
{
    int64_t number = (int64_t)sign_extended(m->gpr[i->reg], i->size);
    return (uint64_t)((number >> 3) & -(int64_t)i->size);
}

static enum emulate_outcome move(const struct instruction *i, struct emulation *m)
{
    uint64_t value = 0, offset = effective_address(i, m->gpr, m->rip);
    if (!i->to_register)
        return store(i, m, i->segment, offset, other_operand(i, m->gpr)) ? EMULATE_RETIRE : EMULATE_STOPPED;
    if (!load(i, m, i->segment, offset, &value))
        return EMULATE_STOPPED;
    finish_load(i, m->gpr, value);
    return EMULATE_RETIRE;
}

// The accumulator against memory: the register goes to memory where they are equal, else memory's value to
// the accumulator; memory is written in both cases (SDM, "CMPXCHG - Compare and Exchange").
static uint64_t compare_exchange(const struct instruction *i, struct emulation *m, uint64_t memory,
                                 uint64_t *accumulator, uint64_t *flags)
{
    compute(OP_CMP, *accumulator, memory, i->size, flags);
    if (*flags & RFLAGS_ZF)
        return other_operand(i, m->gpr);
    set_register(accumulator, i->size, memory);
    return memory;
}

static noinline_cold enum emulate_outcome change(const struct instruction *i, struct emulation *m)
{
    uint64_t memory = 0, flags = m->rflags, accumulator = m->gpr[RAX], result;
    uint64_t offset = effective_address(i, m->gpr, m->rip);
    uint64_t other = other_operand(i, m->gpr);
    if (rules[i->operation] & RULE_BIT && !i->immediate)
        offset = (offset + bit_string_offset(i, m)) & mask(i->address_size);
    if (i->use & USE_WRITE && !probe(i, m, i->segment, offset))
        return EMULATE_STOPPED;
    if (!load(i, m, i->segment, offset, &memory))
        return EMULATE_STOPPED;
    if (i->operation == OP_CMPXCHG)
        result = compare_exchange(i, m, memory, &accumulator, &flags);
    else if (i->to_register)
        result = compute(i->operation, other, memory, i->size, &flags);
    else
        result = compute(i->operation, memory, other, i->size, &flags);
    if (i->use & USE_WRITE && !store(i, m, i->segment, offset, result))
        return EMULATE_STOPPED;
    m->rflags = flags;
    m->gpr[RAX] = accumulator;
    if (i->to_register && i->operation != OP_CMP)
        set_operand_register(i, m->gpr, result);
    if (i->operation == OP_XCHG || i->operation == OP_XADD)
        set_operand_register(i, m->gpr, memory);
    return EMULATE_RETIRE;
}

static bool copy(const struct instruction *i, struct emulation *m, unsigned from_segment, uint64_t from,
                 unsigned to_segment, uint64_t to)
{
    uint64_t value = 0;
    return probe(i, m, to_segment, to) && load(i, m, from_segment, from, &value) &&
           store(i, m, to_segment, to, value);
}

// PUSH and POP: the stack is the other operand. POP moves RSP before it computes the address of its
// destination (SDM, "POP - Pop a Value From the Stack").
static noinline_cold enum emulate_outcome with_stack(const struct instruction *i, struct emulation *m)
{
    uint64_t old = m->gpr[RSP], top = old, stack_mask = mask(m->stack_size);
    bool push = i->operation == OP_PUSH, done;
    set_register(&top, m->stack_size, push ? old - i->size : old + i->size);
    if (push) {
        done = copy(i, m, i->segment, effective_address(i, m->gpr, m->rip), SEG_SS, top & stack_mask);
    } else {
        m->gpr[RSP] = top;
        uint64_t to = effective_address(i, m->gpr, m->rip);
        m->gpr[RSP] = old;
        done = copy(i, m, SEG_SS, old & stack_mask, i->segment, to);
    }
    if (!done)
        return EMULATE_STOPPED;
    m->gpr[RSP] = top;
    return EMULATE_RETIRE;
}

static void advance(const struct instruction *i, struct emulation *m, enum gpr reg)
{
    uint64_t step = m->rflags & RFLAGS_DF ? -(uint64_t)i->size : i->size;
    set_register(&m->gpr[reg], i->address_size, m->gpr[reg] + step);
}

// One element of MOVS, STOS or LODS.
static noinline_cold enum emulate_outcome string_element(const struct instruction *i, struct emulation *m)
{
    uint64_t value = 0, address_mask = mask(i->address_size), left = m->gpr[RCX] & address_mask;
    uint64_t from = m->gpr[RSI] & address_mask, to = m->gpr[RDI] & address_mask;
    bool done;
    if (i->rep && !left)
        return EMULATE_RETIRE;
    if (i->operation == OP_MOVS)
        done = copy(i, m, i->segment, from, SEG_ES, to);
    else if (i->operation == OP_STOS)
        done = store(i, m, SEG_ES, to, m->gpr[RAX]);
    else
        done = load(i, m, i->segment, from, &value);
    if (!done)
        return EMULATE_STOPPED;
    if (i->operation != OP_LODS)
        advance(i, m, RDI);
    else
        set_register(&m->gpr[RAX], i->size, value);
    if (i->operation != OP_STOS)
        advance(i, m, RSI);
    if (!i->rep)
        return EMULATE_RETIRE;
    set_register(&m->gpr[RCX], i->address_size, left - 1);
    return left == 1 ? EMULATE_RETIRE : EMULATE_REPEAT;
}

enum emulate_outcome emulate(const struct instruction *i, struct emulation *m)
{
    if (i->operation >= OP_PUSH)
        return with_stack(i, m);
    if (i->operation >= OP_MOVS)
        return string_element(i, m);
    return is_move(i) ? move(i, m) : change(i, m);
}
