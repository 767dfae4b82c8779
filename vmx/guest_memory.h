// A guest's memory as its instructions name it, segment and offset, for the few that are emulated. What lies
// behind an address may be RAM or a device.
#pragma once
#include "vmx/decode.h"
#include "vmx/vcpu.h"

enum guest_move {
    GUEST_FETCH, // of instruction bytes
    GUEST_LOAD,
    GUEST_STORE,
    GUEST_PROBE, // all that a store needs, without storing
};

// The linear address of `size` bytes at segment:offset (enum segment_register). False: a fault was injected.
bool guest_operand(struct vcpu *v, unsigned segment, uint64_t offset, unsigned size, enum access access,
                   uint64_t *linear);
// Moves `size` bytes, less than a page, between `value` and the guest's linear address, a page at a time; outside
// 64-bit mode that wraps at 4 GiB. A device is reached whole, by one access of its own width, or not at all. False: a
// fault was injected or the machine ended.
bool guest_move(struct vcpu *v, uint64_t linear, void *value, unsigned size, enum guest_move how);
// Copies up to 15 bytes of the instruction that the processor executed at `linear`: as many as lie in its page. How
// many; 0: a fault was injected or the machine ended.
unsigned guest_fetch(struct vcpu *v, bool in_64bit_mode, uint64_t linear,
                     uint8_t code[static INSTRUCTION_BUFFER]);
// The same as the processor does it for itself, in a GDT or TSS: as a supervisor, whatever the CPL (SDM, "Access
// Rights": implicit supervisor-mode accesses).
bool guest_move_system(struct vcpu *v, uint64_t linear, void *value, unsigned size, enum guest_move how);
