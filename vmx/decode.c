#include "vmx/decode.h"
#include "sdm/qualification.h"
#include "vmx/start.h"

// How an opcode names its operands; from FORM_MR on a ModRM byte follows.
enum form {
    FORM_NONE, // unknown
    FORM_PREFIX,
    FORM_REX,
    FORM_STRING,
    FORM_FROM_OFFSET, // accumulator and [offset]
    FORM_TO_OFFSET,
    FORM_MR, // memory, register
    FORM_RM,
    FORM_M,
    FORM_MI,  // memory, immediate of the operand's size, at most 4 bytes
    FORM_MI8, // memory of more than one byte, immediate byte
};
enum condition { ALWAYS, NOT_LONG, LONG_WIDE, UNPREFIXED };

// PREFIX_66 and those after it; below stand the segment registers' numbers.
enum prefix { PREFIX_66 = SEG_GS + 1, PREFIX_67, PREFIX_LOCK, PREFIX_REP };
enum { REX_B = 1, REX_X = 2, REX_R = 4, REX_W = 8 };

enum group { GROUP_1, GROUP_1A, GROUP_3, GROUP_4, GROUP_5, GROUP_8, GROUP_11 };

struct row {
    uint8_t form : 4, condition : 3, grouped : 1;
    uint8_t operation; // or group, or prefix
};

enum { TWO_BYTE_FIRST = 0xa0, TWO_BYTE_LAST = 0xc3, TWO_BYTE = 0x100 - TWO_BYTE_FIRST };

// Bit 0 of an opcode tells bytes from wider operands, but for MI8. SDM, "Opcode Map".
// clang-format off
#define ARITHMETIC(opcode, op) \
    [opcode ... opcode + 1] = {FORM_MR, ALWAYS, 0, op}, [opcode + 2 ... opcode + 3] = {FORM_RM, ALWAYS, 0, op}
static const struct row opcodes[TWO_BYTE + TWO_BYTE_LAST + 1] = {
    ARITHMETIC(0x00, OP_ADD), ARITHMETIC(0x08, OP_OR), ARITHMETIC(0x10, OP_ADC), ARITHMETIC(0x18, OP_SBB),
    ARITHMETIC(0x20, OP_AND), ARITHMETIC(0x28, OP_SUB), ARITHMETIC(0x30, OP_XOR), ARITHMETIC(0x38, OP_CMP),
    [0x26] = {FORM_PREFIX, ALWAYS, 0, SEG_ES},
    [0x2e] = {FORM_PREFIX, ALWAYS, 0, SEG_CS},
    [0x36] = {FORM_PREFIX, ALWAYS, 0, SEG_SS},
    [0x3e] = {FORM_PREFIX, ALWAYS, 0, SEG_DS},
    [0x40 ... 0x4f] = {FORM_REX, ALWAYS, 0, 0},
    [0x63] = {FORM_RM, LONG_WIDE, 0, OP_MOVSX},
    [0x64] = {FORM_PREFIX, ALWAYS, 0, SEG_FS},
    [0x65] = {FORM_PREFIX, ALWAYS, 0, SEG_GS},
    [0x66] = {FORM_PREFIX, ALWAYS, 0, PREFIX_66},
    [0x67] = {FORM_PREFIX, ALWAYS, 0, PREFIX_67},
    [0x80 ... 0x81] = {FORM_MI, ALWAYS, 1, GROUP_1},
    [0x82] = {FORM_MI, NOT_LONG, 1, GROUP_1},
    [0x83] = {FORM_MI8, ALWAYS, 1, GROUP_1},
    [0x84 ... 0x85] = {FORM_MR, ALWAYS, 0, OP_TEST},
    [0x86 ... 0x87] = {FORM_MR, ALWAYS, 0, OP_XCHG},
    [0x88 ... 0x89] = {FORM_MR, ALWAYS, 0, OP_MOV},
    [0x8a ... 0x8b] = {FORM_RM, ALWAYS, 0, OP_MOV},
    [0x8f] = {FORM_M, ALWAYS, 1, GROUP_1A},
    [0xa0 ... 0xa1] = {FORM_FROM_OFFSET, ALWAYS, 0, OP_MOV},
    [0xa2 ... 0xa3] = {FORM_TO_OFFSET, ALWAYS, 0, OP_MOV},
    [0xa4 ... 0xa5] = {FORM_STRING, ALWAYS, 0, OP_MOVS},
    [0xaa ... 0xab] = {FORM_STRING, ALWAYS, 0, OP_STOS},
    [0xac ... 0xad] = {FORM_STRING, ALWAYS, 0, OP_LODS},
    [0xc6 ... 0xc7] = {FORM_MI, ALWAYS, 1, GROUP_11},
    [0xf0] = {FORM_PREFIX, ALWAYS, 0, PREFIX_LOCK},
    [0xf2 ... 0xf3] = {FORM_PREFIX, ALWAYS, 0, PREFIX_REP},
    [0xf6 ... 0xf7] = {FORM_MI, ALWAYS, 1, GROUP_3},
    [0xfe] = {FORM_M, ALWAYS, 1, GROUP_4},
    [0xff] = {FORM_M, ALWAYS, 1, GROUP_5},
    [TWO_BYTE + 0xa3] = {FORM_MR, ALWAYS, 0, OP_BT},
    [TWO_BYTE + 0xab] = {FORM_MR, ALWAYS, 0, OP_BTS},
    [TWO_BYTE + 0xb0 ... TWO_BYTE + 0xb1] = {FORM_MR, ALWAYS, 0, OP_CMPXCHG},
    [TWO_BYTE + 0xb3] = {FORM_MR, ALWAYS, 0, OP_BTR},
    [TWO_BYTE + 0xb6 ... TWO_BYTE + 0xb7] = {FORM_RM, ALWAYS, 0, OP_MOVZX},
    [TWO_BYTE + 0xba] = {FORM_MI8, ALWAYS, 1, GROUP_8},
    [TWO_BYTE + 0xbb] = {FORM_MR, ALWAYS, 0, OP_BTC},
    [TWO_BYTE + 0xbe ... TWO_BYTE + 0xbf] = {FORM_RM, ALWAYS, 0, OP_MOVSX},
    [TWO_BYTE + 0xc0 ... TWO_BYTE + 0xc1] = {FORM_MR, ALWAYS, 0, OP_XADD},
    [TWO_BYTE + 0xc3] = {FORM_MR, UNPREFIXED, 0, OP_MOV}, // MOVNTI
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
    uint8_t width, wide; // bytes: of the mode; of operands that are not bytes
    uint8_t rex, opcode;
    uint8_t segment;   // REGISTER_NONE without a prefix that counts
    uint16_t prefixes; // by enum prefix
    struct row row;
};

static bool seen(const struct decoder *d, enum prefix p)
{
    return d->prefixes >> p & 1;
}

// A register number: three bits and a fourth from REX.
static uint8_t extended(const struct decoder *d, unsigned number, unsigned rex_bit)
{
    return (uint8_t)((number & 7) | (d->rex & rex_bit ? 8 : 0));
}

static int64_t take_signed(struct decoder *d, unsigned bytes)
{
    uint64_t value;
    if (!bytes)
        return 0;
    __builtin_memcpy(&value, d->at, sizeof(value));
    d->at += bytes;
    return (int64_t)(value << (64 - 8 * bytes)) >> (64 - 8 * bytes);
}

// A REX that does not stand right before the opcode is ignored, and so are ES, CS, SS and DS in 64-bit mode
// (SDM, "REX Prefixes"; "Segmentation in IA-32e Mode").
static void take_prefixes(struct decoder *d)
{
    for (const uint8_t *end = d->at + INSTRUCTION_MAX; d->at < end; d->at++) {
        d->row = opcodes[*d->at];
        unsigned prefix = d->row.operation;
        if (d->row.form == FORM_REX && d->width == 8) {
            d->rex = *d->at;
            continue;
        }
        if (d->row.form != FORM_PREFIX)
            return;
        d->rex = 0;
        d->prefixes |= (uint16_t)(1 << prefix);
        if (prefix <= SEG_GS && (d->width != 8 || prefix >= SEG_FS))
            d->segment = (uint8_t)prefix;
    }
}

// False: an opcode that is not ours, or not in this mode.
static bool take_opcode(struct decoder *d)
{
    d->opcode = *d->at++;
    if (d->opcode == 0x0f) {
        d->opcode = *d->at++;
        if (d->opcode >= TWO_BYTE_FIRST && d->opcode <= TWO_BYTE_LAST)
            d->row = opcodes[TWO_BYTE + d->opcode];
    }
    if (d->row.condition == NOT_LONG && d->width == 8)
        return false;
    if (d->row.condition == LONG_WIDE && (d->width != 8 || !(d->rex & REX_W)))
        return false; // MOVSXD without REX.W moves only, and compilers never write it
    if (d->row.condition == UNPREFIXED && (seen(d, PREFIX_66) || seen(d, PREFIX_REP)))
        return false;
    return d->row.form > FORM_REX;
}

static void take_sizes(struct decoder *d)
{
    struct instruction *i = d->i;
    d->wide = (d->width == 2) == seen(d, PREFIX_66) ? 4 : 2;
    if (d->rex & REX_W)
        d->wide = 8;
    i->size = d->opcode & 1 || d->row.form == FORM_MI8 ? d->wide : 1;
    i->reg_size = i->size;
    i->address_size = d->width;
    if (seen(d, PREFIX_67))
        i->address_size = d->width == 4 ? 2 : 4;
}

// SDM, "16-Bit Addressing Forms with the ModR/M Byte". Returns the displacement's bytes.
static unsigned take_address16(struct instruction *i, unsigned mod, unsigned rm)
{
    static const uint8_t bases[] = {RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX};
    if (mod == 0 && rm == 6)
        return 2;
    i->base = bases[rm];
    if (rm < 4)
        i->index = RSI + (rm & 1);
    return mod;
}

// SDM, "32-Bit Addressing Forms with the ModR/M Byte" and "... with the SIB Byte".
static unsigned take_address(struct decoder *d, unsigned mod, unsigned rm)
{
    struct instruction *i = d->i;
    unsigned base = rm;
    if (rm == 4) {
        base = *d->at++;
        i->index = extended(d, base >> 3, REX_X);
        i->shift = (uint8_t)(base >> 6);
        if (i->index == RSP)
            i->index = REGISTER_NONE;
    }
    if (mod == 0 && (base & 7) == 5) {
        if (rm == 5 && d->width == 8)
            i->base = BASE_RIP;
        return 4;
    }
    i->base = extended(d, base, REX_B);
    return mod == 2 ? 4 : mod;
}

// The ModRM byte and what hangs on it. False: no memory operand, or an absent row of a group.
static bool take_modrm(struct decoder *d)
{
    struct instruction *i = d->i;
    unsigned modrm = *d->at++, mod = modrm >> 6, rm = modrm & 7;
    if (d->row.grouped)
        i->operation = groups[d->row.operation][modrm >> 3 & 7];
    else
        i->reg = extended(d, modrm >> 3, REX_R);
    if (mod == 3 || i->operation == OP_NONE)
        return false;
    unsigned bytes = i->address_size == 2 ? take_address16(i, mod, rm) : take_address(d, mod, rm);
    i->displacement = take_signed(d, bytes);
    if (i->base == RSP || i->base == RBP)
        i->segment = SEG_SS;
    return true;
}

// Where no ModRM byte names the operands.
static void take_implied(struct decoder *d)
{
    struct instruction *i = d->i;
    if (d->row.form != FORM_STRING) {
        i->displacement = take_signed(d, i->address_size);
        return;
    }
    i->rep = seen(d, PREFIX_REP);
    i->base = i->operation == OP_STOS ? RDI : RSI;
    if (i->operation == OP_STOS) { // not to be overridden
        i->segment = SEG_ES;
        d->segment = REGISTER_NONE;
    }
}

static void adjust_sizes(struct decoder *d)
{
    struct instruction *i = d->i;
    if (i->operation == OP_MOVZX || i->operation == OP_MOVSX) {
        i->reg_size = d->wide;
        i->size = d->opcode == 0x63 ? 4 : 1 + (d->opcode & 1);
    } else if ((i->operation == OP_PUSH || i->operation == OP_POP) && d->width == 8 && i->size == 4) {
        i->size = 8; // SDM, "Instructions Referencing RSP ... default to 64-bit operand size"
    }
    if (i->reg_size == 1 && !d->rex && i->reg >= 4) {
        i->reg -= 4;
        i->high_byte = true;
    }
}

static void take_immediate(struct decoder *d)
{
    struct instruction *i = d->i;
    i->immediate = d->row.form >= FORM_MI && i->operation != OP_NOT && i->operation != OP_NEG;
    if (i->immediate)
        i->value = take_signed(d, d->row.form == FORM_MI8 ? 1 : (unsigned)min_u64(i->size, 4));
}

// What becomes of the memory operand. False: LOCK where it raises #UD.
static bool set_use(struct decoder *d)
{
    struct instruction *i = d->i;
    unsigned use = i->to_register ? (unsigned)USE_READ : uses[i->operation];
    i->reads = use & USE_READ;
    i->writes = use & USE_WRITE;
    i->lock = seen(d, PREFIX_LOCK);
    return !i->lock || use & USE_LOCKABLE;
}

bool decode_instruction(struct instruction *i, const uint8_t code[static INSTRUCTION_BUFFER],
                        unsigned available, unsigned width)
{
    struct decoder d = {.i = i, .at = code, .width = (uint8_t)width, .segment = REGISTER_NONE};
    *i = (struct instruction){.segment = SEG_DS, .base = REGISTER_NONE, .index = REGISTER_NONE};
    take_prefixes(&d);
    if (!take_opcode(&d))
        return false;
    take_sizes(&d);
    i->operation = d.row.operation;
    i->to_register = d.row.form == FORM_RM || d.row.form == FORM_FROM_OFFSET || i->operation == OP_LODS;
    if (d.row.form < FORM_MR)
        take_implied(&d);
    else if (!take_modrm(&d))
        return false;
    adjust_sizes(&d);
    take_immediate(&d);
    if (d.segment != REGISTER_NONE)
        i->segment = d.segment;
    i->length = (uint8_t)(d.at - code);
    return set_use(&d) && i->length <= min_u64(available, INSTRUCTION_MAX);
}
