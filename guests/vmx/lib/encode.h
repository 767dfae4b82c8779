// Instructions put together at run time, for tests that go through every register and form of operand: SDM volume 2,
// "Instruction Format". For 64-bit mode.
#pragma once
#include <stdbool.h>
#include <stdint.h>

// An opcode that a ModR/M byte follows.
struct opcode {
    uint8_t prefix; // 66H, F2H, F3H or 0
    uint8_t bytes[3];
    uint8_t length;
    bool wide; // REX.W
};

// What ModR/M names: a register, or memory at base + index * scale + displacement.
struct operand {
    bool is_register, has_base, has_index, rip_relative, address_32;
    uint8_t base; // or the register
    uint8_t index, scale_shift;
    uint8_t segment; // enum segment_register; SEG_DS: no prefix
    int32_t displacement;
};

// Encodes it with `reg` in ModR/M, then VMCALL, into a page of code. The length of the instruction without VMCALL.
unsigned encode(const struct opcode *op, const struct operand *to, uint8_t reg);
extern uint8_t encoded[64]; // where it is: for vm_run()

// The fields of the VM-exit instruction information that describe `to` (SDM, "Information for VM Exits Due to
// Instruction Execution"), and those that are defined for it.
uint32_t operand_information(const struct operand *to);
uint32_t operand_information_defined(const struct operand *to);
