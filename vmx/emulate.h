// Carries out a decoded instruction for a guest. Devices, segmentation and paging are the caller's: it gets
// each access to memory as segment and offset. Pure.
#pragma once
#include "vmx/decode.h"

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
