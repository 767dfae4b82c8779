// Task switches by hardware (SDM volume 3, "Task Switching"): a processor in VMX non-root operation checks
// the target and exits; the switch itself is made here. Pure: guest memory is behind a callback.
#pragma once
#include "sdm/qualification.h"
#include "vmx/guest_memory.h"

enum { TASK_LDTR = 6, TASK_TR = 7, TASK_SEGMENTS = 8, TASK_STOPPED = 0xff }; // behind enum segment_register

struct task_segment {
    uint16_t selector;
    uint32_t base, limit, rights; // as in the VMCS
};

struct task {
    // Moves at most 128 bytes at a linear address as the processor itself does, with supervisor rights.
    // False: it dealt with the reason.
    bool (*move)(struct task *t, uint32_t linear, void *value, unsigned size, enum guest_move how);
    // Loads CR3, if paging is on; false: a PDPTE has reserved bits set.
    bool (*load_cr3)(struct task *t, uint32_t cr3);
    uint32_t gdt_base, gdt_limit;
    // Of the old task, `eip` where it is to go on; of the new one once `committed`.
    uint32_t eip, eflags, gpr[8];
    struct task_segment segment[TASK_SEGMENTS];
    bool committed; // faults belong to the new task
    bool wide;      // the new task has a 32-bit TSS
    bool trap;      // its T flag is set
    uint8_t vector; // why the switch failed: the fault, or TASK_STOPPED where a callback dealt with it
    uint16_t error_code;
};

// False: it failed, see `vector`. Before `committed` the old task is as it was.
bool task_switch(struct task *t, struct task_switch to);
