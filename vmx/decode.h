// Instructions with a memory operand, as guests use them on device memory, from bytes to a typed struct: an
// EPT violation tells addresses, not what the instruction wants (SDM, "Exit Qualification for EPT
// Violations"). Forms: MOV, MOVZX, MOVSX, MOVSXD, MOVNTI, the eight arithmetic operations, TEST, INC, DEC,
// NOT, NEG, XCHG, XADD, CMPXCHG, BT, BTS, BTR, BTC, MOVS, STOS, LODS, PUSH and POP of memory. All else is
// unknown: vector, x87, far and control-flow forms, register operands only, and what raises #UD. Pure.
#pragma once
#include "arch/types.h"

enum { INSTRUCTION_MAX = 15, INSTRUCTION_BUFFER = 32 };

enum operand_use {
    USE_READ = 1,
    USE_WRITE = 2,
    USE_LOCKABLE = 4,
    USE_CHANGE = USE_READ | USE_WRITE | USE_LOCKABLE
};

// What each does to its memory operand as destination; MOVS, PUSH and POP also have one that is implied.
// clang-format off
#define OPERATIONS(X) \
    X(NONE, 0) \
    X(ADD, USE_CHANGE) X(OR, USE_CHANGE) X(ADC, USE_CHANGE) X(SBB, USE_CHANGE) \
    X(AND, USE_CHANGE) X(SUB, USE_CHANGE) X(XOR, USE_CHANGE) X(CMP, USE_READ) \
    X(TEST, USE_READ) X(NOT, USE_CHANGE) X(NEG, USE_CHANGE) X(INC, USE_CHANGE) X(DEC, USE_CHANGE) \
    X(BT, USE_READ) X(BTS, USE_CHANGE) X(BTR, USE_CHANGE) X(BTC, USE_CHANGE) \
    X(XADD, USE_CHANGE) X(CMPXCHG, USE_CHANGE) X(XCHG, USE_CHANGE) \
    X(MOV, USE_WRITE) X(MOVZX, USE_READ) X(MOVSX, USE_READ) \
    X(MOVS, USE_READ) X(STOS, USE_WRITE) X(LODS, USE_READ) X(PUSH, USE_READ) X(POP, USE_WRITE)
// clang-format on
#define OPERATION_ENUM(name, use) OP_##name,
enum operation { OPERATIONS(OPERATION_ENUM) OP_COUNT };

enum { BASE_RIP = 16, REGISTER_NONE = 0xff }; // beside enum gpr

struct instruction {
    uint8_t operation;
    uint8_t length;   // bytes
    uint8_t size;     // of the memory operand: 1, 2, 4, 8 bytes
    uint8_t use;      // enum operand_use, of that operand
    bool to_register; // the register is the destination, memory the source
    bool immediate;   // the source is `value`, not a register
    bool lock, rep;
    uint8_t reg;      // enum gpr: the register operand
    uint8_t reg_size; // 1, 2, 4, 8 bytes; with MOVZX and MOVSX more than `size`
    bool high_byte;   // AH, CH, DH or BH: bits 15:8 of `reg`
    // The memory operand: segment:[base + (index << shift) + displacement], cut to address_size bytes. With
    // MOVS and LODS the source, with STOS the destination.
    uint8_t address_size; // 2, 4, 8 bytes
    uint8_t segment;      // enum segment_register
    uint8_t base, index;  // enum gpr or REGISTER_NONE; BASE_RIP: the next instruction
    uint8_t shift;
    int64_t displacement;
    int32_t value; // the immediate, sign-extended
};

// Decodes the instruction at the start of `code`, of which the first `available` bytes (up to 15 are used)
// are the guest's and the others may be anything. `width`: the code segment's, 2, 4 or 8 bytes (8: 64-bit
// mode). False: unknown, or longer than `available` or 15 bytes; *i then means nothing.
bool decode_instruction(struct instruction *i, const uint8_t code[static INSTRUCTION_BUFFER],
                        unsigned available, unsigned width);
