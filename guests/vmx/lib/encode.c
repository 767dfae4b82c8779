#include "guests/vmx/lib/encode.h"
#include "guests/vmx/lib/vmx.h"

uint8_t encoded[64] __attribute__((aligned(64)));

enum { SIB_FOLLOWS = 4, BY_DISPLACEMENT = 5, NO_INDEX = 4 };

static uint8_t *put(uint8_t *at, uint64_t value, unsigned bytes)
{
    memcpy(at, &value, bytes);
    return at + bytes;
}

static uint8_t *prefixes(uint8_t *at, const struct opcode *op, const struct operand *to, uint8_t reg)
{
    static const uint8_t segments[] = {
        [SEG_ES] = 0x26, [SEG_CS] = 0x2e, [SEG_SS] = 0x36, [SEG_DS] = 0, [SEG_FS] = 0x64, [SEG_GS] = 0x65};
    if (segments[to->segment])
        *at++ = segments[to->segment];
    if (to->address_32)
        *at++ = 0x67;
    if (op->prefix)
        *at++ = op->prefix;
    unsigned rex =
        (unsigned)op->wide << 3 | (unsigned)(reg >> 3) << 2 | (unsigned)(to->index >> 3) << 1 | to->base >> 3;
    if (rex)
        *at++ = (uint8_t)(0x40 | rex);
    return at;
}

// Always with 32 bits of displacement, so that no base has a form of its own; RSP and R12 need a SIB byte.
static uint8_t *memory(uint8_t *at, const struct operand *to, uint8_t reg)
{
    unsigned mod = to->has_base ? 2 : 0;
    bool sib = !to->rip_relative && (to->has_index || !to->has_base || (to->base & 7) == SIB_FOLLOWS);
    unsigned rm = to->rip_relative ? BY_DISPLACEMENT : sib ? SIB_FOLLOWS : to->base & 7;
    *at++ = (uint8_t)(mod << 6 | (reg & 7u) << 3 | rm);
    if (sib)
        *at++ = (uint8_t)(to->scale_shift << 6 | (to->has_index ? to->index & 7u : NO_INDEX) << 3 |
                          (to->has_base ? to->base & 7u : BY_DISPLACEMENT));
    return put(at, (uint32_t)to->displacement, 4);
}

unsigned encode(const struct opcode *op, const struct operand *to, uint8_t reg)
{
    uint8_t *at = prefixes(encoded, op, to, reg);
    memcpy(at, op->bytes, op->length);
    at += op->length;
    if (to->is_register)
        *at++ = (uint8_t)(0xc0 | (reg & 7u) << 3 | (to->base & 7u));
    else
        at = memory(at, to, reg);
    unsigned length = (unsigned)(at - encoded);
    put(at, 0xc1010f, 3); // VMCALL
    return length;
}

enum {
    SCALE = 3,
    REG1 = 0xf << 3,
    ADDRESS_SIZE = 7 << 7,
    IS_REGISTER = 1 << 10,
    SEGMENT = 7 << 15,
    INDEX = 0xf << 18,
    INDEX_INVALID = 1 << 22,
    BASE = 0xf << 23,
    BASE_INVALID = 1 << 27,
};

uint32_t operand_information(const struct operand *to)
{
    if (to->is_register)
        return IS_REGISTER | (uint32_t)to->base << 3;
    uint32_t info = (to->address_32 ? 1u : 2u) << 7 | (uint32_t)to->segment << 15;
    info |= to->has_index ? (uint32_t)to->index << 18 | to->scale_shift : INDEX_INVALID;
    return info | (to->has_base ? (uint32_t)to->base << 23 : BASE_INVALID);
}

uint32_t operand_information_defined(const struct operand *to)
{
    if (to->is_register)
        return IS_REGISTER | REG1;
    uint32_t defined = ADDRESS_SIZE | IS_REGISTER | SEGMENT | INDEX_INVALID | BASE_INVALID;
    return defined | (to->has_index ? INDEX | SCALE : 0) | (to->has_base ? BASE : 0);
}
