#include "vmx/decode.h"
#include "sdm/qualification.h"
#include "vmx/start.h"

// What an opcode byte is and how it names its operands; 0: unknown.
enum row {
    NUMBER = 0x1f, // enum operation; of the group; of the prefix
    PREFIX = 1 << 5,
    REX = 1 << 6, // in 64-bit mode
    MODRM = 1 << 7,
    OFFSET = 1 << 8, // the accumulator and [offset]
    STRING = 1 << 9,
    KNOWN = MODRM | OFFSET | STRING,
    BYTE = 1 << 10,        // else the operand is 2, 4 or 8 bytes
    TO_REGISTER = 1 << 11, // else to memory
    IMMEDIATE = 1 << 12,   // of the operand's size, at most 4 bytes
    IMMEDIATE8 = 1 << 13,
    GROUP = 1 << 14, // the operation is in the ModRM byte
    SPECIAL = 1 << 15,
    TO_MEMORY = 0,
};

// Those below 6 are segment registers.
enum prefix { PREFIX_66 = SEG_GS + 1, PREFIX_67, PREFIX_LOCK, PREFIX_REP };
enum { REX_W = 8 };

enum group { GROUP_1, GROUP_1A, GROUP_3, GROUP_4, GROUP_5, GROUP_8, GROUP_11 };

// Of the two-byte opcodes, behind the one-byte ones.
enum { TWO_BYTE_FIRST = 0xa3, TWO_BYTE_LAST = 0xc3, TWO_BYTE = 0x100 - TWO_BYTE_FIRST };

// SDM, "Opcode Map".
// clang-format off
#define PAIR(opcode, row) [opcode] = (row) | BYTE, [(opcode) + 1] = (row)
#define ARITHMETIC(opcode, op) PAIR(opcode, MODRM | TO_MEMORY | (op)), PAIR((opcode) + 2, MODRM | TO_REGISTER | (op))
static const uint16_t opcodes[TWO_BYTE + TWO_BYTE_LAST + 1] = {
    ARITHMETIC(0x00, OP_ADD), ARITHMETIC(0x08, OP_OR), ARITHMETIC(0x10, OP_ADC), ARITHMETIC(0x18, OP_SBB),
    ARITHMETIC(0x20, OP_AND), ARITHMETIC(0x28, OP_SUB), ARITHMETIC(0x30, OP_XOR), ARITHMETIC(0x38, OP_CMP),
    [0x26] = PREFIX | SEG_ES, [0x2e] = PREFIX | SEG_CS, [0x36] = PREFIX | SEG_SS, [0x3e] = PREFIX | SEG_DS,
    [0x40 ... 0x4f] = REX,
    [0x63] = MODRM | TO_REGISTER | SPECIAL | OP_MOVSX,
    [0x64] = PREFIX | SEG_FS, [0x65] = PREFIX | SEG_GS, [0x66] = PREFIX | PREFIX_66, [0x67] = PREFIX | PREFIX_67,
    PAIR(0x80, MODRM | IMMEDIATE | GROUP | GROUP_1),
    [0x82] = MODRM | IMMEDIATE | GROUP | SPECIAL | BYTE | GROUP_1,
    [0x83] = MODRM | IMMEDIATE8 | GROUP | GROUP_1,
    PAIR(0x84, MODRM | TO_MEMORY | OP_TEST),
    PAIR(0x86, MODRM | TO_MEMORY | OP_XCHG),
    PAIR(0x88, MODRM | TO_MEMORY | OP_MOV),
    PAIR(0x8a, MODRM | TO_REGISTER | OP_MOV),
    [0x8f] = MODRM | GROUP | SPECIAL | GROUP_1A,
    PAIR(0xa0, OFFSET | TO_REGISTER | OP_MOV),
    PAIR(0xa2, OFFSET | TO_MEMORY | OP_MOV),
    PAIR(0xa4, STRING | OP_MOVS),
    PAIR(0xaa, STRING | OP_STOS),
    PAIR(0xac, STRING | TO_REGISTER | OP_LODS),
    PAIR(0xc6, MODRM | IMMEDIATE | GROUP | GROUP_11),
    [0xf0] = PREFIX | PREFIX_LOCK, [0xf2 ... 0xf3] = PREFIX | PREFIX_REP,
    PAIR(0xf6, MODRM | IMMEDIATE | GROUP | GROUP_3),
    [0xfe] = MODRM | GROUP | BYTE | GROUP_4,
    [0xff] = MODRM | GROUP | SPECIAL | GROUP_5,
    [TWO_BYTE + 0xa3] = MODRM | TO_MEMORY | OP_BT,
    [TWO_BYTE + 0xab] = MODRM | TO_MEMORY | OP_BTS,
    PAIR(TWO_BYTE + 0xb0, MODRM | TO_MEMORY | OP_CMPXCHG),
    [TWO_BYTE + 0xb3] = MODRM | TO_MEMORY | OP_BTR,
    [TWO_BYTE + 0xb6 ... TWO_BYTE + 0xb7] = MODRM | TO_REGISTER | SPECIAL | OP_MOVZX,
    [TWO_BYTE + 0xba] = MODRM | IMMEDIATE8 | GROUP | GROUP_8,
    [TWO_BYTE + 0xbb] = MODRM | TO_MEMORY | OP_BTC,
    [TWO_BYTE + 0xbe ... TWO_BYTE + 0xbf] = MODRM | TO_REGISTER | SPECIAL | OP_MOVSX,
    PAIR(TWO_BYTE + 0xc0, MODRM | TO_MEMORY | OP_XADD),
    [TWO_BYTE + 0xc3] = MODRM | TO_MEMORY | SPECIAL | OP_MOV, // MOVNTI
};

// SDM, "Opcode Extensions for One-byte and Two-byte Opcodes by Group Number".
static const uint8_t groups[][8] = {
    [GROUP_1] = {OP_ADD, OP_OR, OP_ADC, OP_SBB, OP_AND, OP_SUB, OP_XOR, OP_CMP},
    [GROUP_1A] = {OP_POP},
    [GROUP_3] = {OP_TEST, OP_TEST, OP_NOT, OP_NEG},
    [GROUP_4] = {OP_INC, OP_DEC},
    [GROUP_5] = {OP_INC, OP_DEC, [6] = OP_PUSH},
    [GROUP_8] = {[4] = OP_BT, OP_BTS, OP_BTR, OP_BTC},
    [GROUP_11] = {OP_MOV},
};

#define OPERATION_USE(name, use) [OP_##name] = use,
static const uint8_t uses[] = {OPERATIONS(OPERATION_USE)};
// clang-format on

struct decoder {
    struct instruction *i;
    const uint8_t *at;
    unsigned width; // of the mode, bytes
    unsigned rex, prefixes, opcode, row;
};

static bool seen(const struct decoder *d, enum prefix p)
{
    return d->prefixes & 1u << p;
}

static int32_t take_signed(struct decoder *d, unsigned bytes)
{
    int32_t value;
    __builtin_memcpy(&value, d->at, sizeof(value));
    d->at += bytes;
    return bytes == 1 ? (int8_t)value : bytes == 2 ? (int16_t)value : value;
}

// A REX that does not stand right before the opcode is ignored, and so are ES, CS, SS and DS in 64-bit mode
// (SDM, "REX Prefixes"; "Segmentation in IA-32e Mode"). Of several segments the last one counts.
static bool take_prefix(struct decoder *d)
{
    unsigned number = d->row & NUMBER;
    if (d->row & REX) {
        d->rex = *d->at++;
        return d->width == 8;
    }
    d->at++;
    d->rex = 0;
    if (number > SEG_GS)
        d->prefixes |= 1u << number;
    else if (d->width != 8 || number >= SEG_FS)
        d->prefixes = (d->prefixes & ~((1u << PREFIX_66) - 1)) | 1u << number;
    return true;
}

static bool take_opcode(struct decoder *d)
{
    const uint8_t *end = d->at + INSTRUCTION_MAX;
    while ((d->row = opcodes[*d->at]) & (PREFIX | REX))
        if (!take_prefix(d) || d->at == end)
            return false;
    d->opcode = *d->at++;
    if (d->opcode == 0x0f) {
        d->opcode = *d->at++;
        if (d->opcode >= TWO_BYTE_FIRST && d->opcode <= TWO_BYTE_LAST)
            d->row = opcodes[TWO_BYTE + d->opcode];
    }
    return d->row & KNOWN;
}

static void set_sizes(struct decoder *d)
{
    struct instruction *i = d->i;
    unsigned wide = d->width == 2 ? 2 : 4;
    if (seen(d, PREFIX_66))
        wide = 6 - wide; // the other of 2 and 4
    if (d->rex & REX_W)
        wide = 8;
    i->reg_size = (uint8_t)(d->row & BYTE ? 1 : wide);
    i->size = i->reg_size;
    i->address_size = (uint8_t)d->width;
    if (seen(d, PREFIX_67))
        i->address_size = d->width == 4 ? 2 : 4;
}

// SDM, "16-Bit Addressing Forms with the ModR/M Byte".
static void take_address16(struct decoder *d, unsigned mod, unsigned rm)
{
    static const uint8_t bases[] = {RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX};
    struct instruction *i = d->i;
    if (mod == 0 && rm == 6) {
        mod = 2;
    } else {
        i->base = bases[rm];
        if (rm < 4)
            i->index = RSI + (rm & 1);
    }
    if (mod)
        i->displacement = take_signed(d, mod);
}

// SDM, "32-Bit Addressing Forms with the ModR/M Byte" and "... with the SIB Byte".
static void take_address(struct decoder *d, unsigned mod, unsigned rm)
{
    struct instruction *i = d->i;
    unsigned base = rm;
    if (rm == 4) {
        base = *d->at++;
        unsigned index = (base >> 3 & 7) | (d->rex << 2 & 8);
        if (index != RSP) {
            i->index = (uint8_t)index;
            i->shift = (uint8_t)(base >> 6);
        }
    }
    if (mod == 0 && (base & 7) == 5) {
        if (rm == 5 && d->width == 8)
            i->base = BASE_RIP;
        mod = 2;
    } else {
        i->base = (uint8_t)((base & 7) | (d->rex << 3 & 8));
    }
    if (mod)
        i->displacement = take_signed(d, mod == 1 ? 1 : 4);
}

// The ModRM byte and what hangs on it. False: no memory operand, or an absent row of a group.
static bool take_modrm(struct decoder *d)
{
    struct instruction *i = d->i;
    unsigned modrm = *d->at++, mod = modrm >> 6, reg = modrm >> 3 & 7, rm = modrm & 7;
    if (d->row & GROUP) {
        i->operation = groups[i->operation][reg];
    } else {
        i->reg = (uint8_t)(reg | (d->rex << 1 & 8));
        if (d->row & BYTE && !d->rex && reg >= 4) {
            i->high_byte = true;
            i->reg -= 4;
        }
    }
    if (mod == 3 || i->operation == OP_NONE)
        return false;
    if (i->address_size == 2)
        take_address16(d, mod, rm);
    else
        take_address(d, mod, rm);
    if ((i->base & ~1) == RSP) // or RBP
        i->segment = SEG_SS;
    return true;
}

// Where no ModRM byte names the operands.
static void take_implied(struct decoder *d)
{
    struct instruction *i = d->i;
    if (d->row & OFFSET) {
        __builtin_memcpy(&i->displacement, d->at, sizeof(i->displacement));
        d->at += i->address_size;
        return;
    }
    i->rep = seen(d, PREFIX_REP);
    i->base = RSI;
    if (i->operation == OP_STOS) { // its segment is not to be overridden
        i->base = RDI;
        i->segment = SEG_ES;
        d->prefixes &= ~((1u << PREFIX_66) - 1);
    }
}

// False: not an instruction in this mode or with these prefixes.
static bool special(struct decoder *d)
{
    struct instruction *i = d->i;
    switch (i->operation) {
    case OP_MOVZX:
    case OP_MOVSX: // without REX.W MOVSXD is no extension, and discouraged
        i->size = d->opcode == 0x63 ? 4 : 1 + (d->opcode & 1);
        return d->opcode != 0x63 || (d->width == 8 && d->rex & REX_W);
    case OP_MOV: // MOVNTI
        if (i->size == 2)
            i->size = i->reg_size = 4;
        return !seen(d, PREFIX_66) && !seen(d, PREFIX_REP);
    case OP_PUSH:
    case OP_POP: // SDM, "Default 64-Bit Operand Size"
        if (d->width == 8 && i->size == 4)
            i->size = 8;
        return true;
    default:
        return d->width != 8 || d->opcode != 0x82;
    }
}

static void take_immediate(struct decoder *d)
{
    struct instruction *i = d->i;
    if (i->operation == OP_NOT || i->operation == OP_NEG) // in one group with TEST
        return;
    i->immediate = true;
    i->value = take_signed(d, d->row & IMMEDIATE8 ? 1 : (unsigned)min_u64(i->size, 4));
}

// False: LOCK where it raises #UD.
static bool apply_prefixes(struct decoder *d)
{
    struct instruction *i = d->i;
    for (unsigned segment = SEG_ES; segment <= SEG_GS; segment++)
        if (d->prefixes & 1u << segment)
            i->segment = (uint8_t)segment;
    i->lock = seen(d, PREFIX_LOCK);
    return !i->lock || i->use & USE_LOCKABLE;
}

// Field by field: a few wide stores, where a compound literal would become a string instruction.
static void clear(struct instruction *i)
{
    i->operation = i->length = i->size = i->use = 0;
    i->to_register = i->immediate = i->lock = i->rep = false;
    i->reg = i->reg_size = 0;
    i->high_byte = false;
    i->address_size = 0;
    i->segment = SEG_DS;
    i->base = i->index = REGISTER_NONE;
    i->shift = 0;
    i->displacement = 0;
    i->value = 0;
}

bool decode_instruction(struct instruction *i, const uint8_t code[static INSTRUCTION_BUFFER],
                        unsigned available, unsigned width)
{
    struct decoder d = {i, code, width, 0, 0, 0, 0};
    clear(i);
    if (!take_opcode(&d))
        return false;
    i->operation = d.row & NUMBER;
    set_sizes(&d);
    if (!(d.row & MODRM))
        take_implied(&d);
    else if (!take_modrm(&d))
        return false;
    if (d.row & SPECIAL && !special(&d))
        return false;
    if (d.row & (IMMEDIATE | IMMEDIATE8))
        take_immediate(&d);
    i->to_register = d.row & TO_REGISTER;
    i->use = i->to_register ? USE_READ : uses[i->operation];
    if (d.prefixes && !apply_prefixes(&d))
        return false;
    i->length = (uint8_t)(d.at - code);
    return i->length <= available && i->length <= INSTRUCTION_MAX;
}
