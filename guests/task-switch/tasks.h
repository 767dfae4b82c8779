// Tasks and ways between them. The main task runs the tests; whoever faults ends in a task of its own that
// tells which vector, error code and task it was and sends the main task on behind what it attempted.
#pragma once
#include "guests/lib/apic.h"
#include "guests/lib/guest.h"

struct tss { // SDM "Task-State Segment"
    uint32_t link, stacks[6], cr3, eip, eflags;
    uint32_t eax, ecx, edx, ebx, esp, ebp, esi, edi;
    uint32_t es, cs, ss, ds, fs, gs, ldt;
    uint16_t trap, io_map;
};
_Static_assert(sizeof(struct tss) == 104, "SDM: 32-bit TSS");

struct tss16 { // SDM "16-Bit Task-State Segment"
    uint16_t link, stacks[6], ip, flags;
    uint16_t ax, cx, dx, bx, sp, bp, si, di;
    uint16_t es, cs, ss, ds, ldt;
};
_Static_assert(sizeof(struct tss16) == 44, "SDM: 16-bit TSS");

enum { TASK_FAULTS = 5 };
enum selector {
    CODE = 0x10,
    DATA = 0x18,
    MAIN = 0x20,
    WORK = 0x28,
    SECOND = 0x30,
    NARROW = 0x38,
    V86 = 0x40,
    FAULT = 0x48, // TASK_FAULTS of them
    GATE = FAULT + 8 * TASK_FAULTS,
    LDT = 0x78,
    ABSENT_LDT = 0x80,
    NARROW_CODE = 0x88,
    ABSENT = 0x90,
    ABSENT_CODE = 0x98,
    READ_ONLY = 0xa0,
    EXECUTE_ONLY = 0xa8,
    SHORT_CODE = 0xb0,
    USER_CODE = 0xb8,
    USER_DATA = 0xc0,
    SHORT_DATA = 0xc8,
    GDT_BYTES = 0xd0,
    IN_LDT = 0x0c, // its only descriptor but the null one
};
enum { FLAG_NT = 1 << 14, FLAG_VM = 1 << 17, FLAG_IOPL3 = 3 << 12, VECTOR_TS = 10, VECTOR_TASK = 22 };

enum how { BY_CALL, BY_JMP, BY_INT, BY_IRET, BY_GP, BY_UD, BY_DE, BY_EVENT, BY_HALT };

struct worked { // what the worker saw, the first time since prepare()
    unsigned runs;
    uint16_t tr, link;
    bool main_busy, self_busy, ts;
    uint32_t flags, ebx, esi, esp, top, cr3, looked;
    uint16_t fs, ldt;
    unsigned runs_inside; // at its end
};
struct faulted { // vector 0xff: nobody
    uint8_t vector;
    uint16_t task;
    uint32_t error_code, ip;
};

extern struct tss tss_main, tss_work, tss_second, tss_v86;
extern struct tss16 tss_narrow;
extern uint64_t gdt[];
extern struct worked worked;
extern struct faulted faulted;
extern word_t resume;        // where the main task goes on
extern uint16_t call_inside; // selector that the worker calls
extern const volatile uint32_t *look_at;
extern bool leave_by_jump, leave_by_resume, send_nmi_inside;
extern char work_entry[], work_again[], narrow_entry[], narrow_end[], behind_halt[];

void prepare(void); // all tasks and descriptors as new
void go(enum how how, uint16_t selector);
void set_task_gate(uint8_t vector, uint16_t selector);
void set_rights(uint16_t selector, uint8_t rights); // bits 47:40 of its descriptor
bool is_busy(uint16_t selector);
uint64_t segment(uint32_t base, uint32_t limit, uint16_t rights); // rights: bits 55:40, limit in bytes - 1

unsigned paging_points(void), fault_points(void);
void paging_test(void), fault_test(void);
