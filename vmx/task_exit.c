// Exits by task switches: the guest's state to and from vmx/task_switch.h, and what comes behind the switch.
#include "arch/cpu.h"
#include "sdm/qualification.h"
#include "vmx/exit.h"
#include "vmx/state.h"
#include "vmx/task_switch.h"

enum { DR7_LOCAL = 0x155 }; // L0 to L3 and LE

struct switching {
    struct task task; // first
    struct vcpu *v;
};

static bool move(struct task *t, uint32_t linear, void *value, unsigned size, enum guest_move how)
{
    return guest_move_system(((struct switching *)t)->v, linear, value, size, how);
}

static bool load_cr3(struct task *t, uint32_t cr3)
{
    bool changed = cr3 != vmread_nat(GUEST_CR3);
    if (!(vmread_nat(GUEST_CR0) & CR0_PG))
        return true;
    vmwrite_nat(GUEST_CR3, cr3);
    flush_guest_tlb(((struct switching *)t)->v);
    return !changed || !(vmread_nat(GUEST_CR4) & CR4_PAE) || load_pdptes(((struct switching *)t)->v);
}

static void read_task(const struct vcpu *v, struct task *t)
{
    t->gdt_base = (uint32_t)vmread_nat(GUEST_GDTR_BASE);
    t->gdt_limit = vmread32(GUEST_GDTR_LIMIT);
    t->eip = (uint32_t)vmread_nat(GUEST_RIP);
    t->eflags = (uint32_t)vmread_nat(GUEST_RFLAGS);
    for (unsigned i = 0; i < 8; i++)
        t->gpr[i] = (uint32_t)v->gpr[i];
    t->gpr[RSP] = (uint32_t)vmread_nat(GUEST_RSP);
    for (unsigned i = 0; i < TASK_SEGMENTS; i++)
        t->segment[i] = (struct task_segment){
            .selector = vmread16((enum vmcs16)(GUEST_ES_SELECTOR + 2 * i)),
            .base = (uint32_t)vmread_nat((enum vmcsnat)(GUEST_ES_BASE + 2 * i)),
            .limit = vmread32((enum vmcs32)(GUEST_ES_LIMIT + 2 * i)),
            .rights = vmread32((enum vmcs32)(GUEST_ES_ACCESS_RIGHTS + 2 * i)),
        };
}

// Traps and blocking of the old task are gone; the FPU's state is still that of whoever used it last.
static void write_task(struct vcpu *v, const struct task *t)
{
    vmwrite_nat(GUEST_RIP, t->eip);
    vmwrite_nat(GUEST_RFLAGS, t->eflags);
    for (unsigned i = 0; i < 8; i++)
        v->gpr[i] = t->gpr[i];
    vmwrite_nat(GUEST_RSP, t->gpr[RSP]);
    for (unsigned i = 0; i < TASK_SEGMENTS; i++) {
        const struct task_segment *s = &t->segment[i];
        vmcs_write_segment(i, s->selector, s->base, s->limit, s->rights);
    }
    vmwrite_nat(GUEST_CR0, vmread_nat(GUEST_CR0) | CR0_TS);
    vmwrite_nat(GUEST_DR7, vmread_nat(GUEST_DR7) & ~(uint64_t)DR7_LOCAL);
    vmwrite_nat(GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
    uint32_t blocking = BLOCKING_BY_STI | BLOCKING_BY_MOV_SS;
    vmwrite32(GUEST_INTERRUPTIBILITY_STATE, vmread32(GUEST_INTERRUPTIBILITY_STATE) & ~blocking);
}

// The error code of the exception that came through the task gate. False: the stack does not take it.
static bool push_error_code(struct vcpu *v, const struct task *t)
{
    unsigned size = t->wide ? 4 : 2;
    bool wide_stack = vmread32(GUEST_SS_ACCESS_RIGHTS) & AR_DB;
    uint32_t mask = wide_stack ? UINT32_MAX : UINT16_MAX;
    uint32_t top = t->gpr[RSP], pushed = (top & ~mask) | ((top - size) & mask);
    uint32_t code = vmread32(IDT_VECTORING_ERROR_CODE);
    uint64_t linear;
    if (!guest_operand(v, SEG_SS, pushed & mask, size, ACCESS_WRITE, &linear) ||
        !guest_move(v, linear, &code, size, GUEST_STORE))
        return false;
    vmwrite_nat(GUEST_RSP, pushed);
    return true;
}

// The trap of the new task's T flag (SDM, "Task-Switch Exception Condition"). VM entry knows no such pending
// one.
static void trap(struct vcpu *v)
{
    state_use_debug(v);
    write_dr6(read_dr6() | DR6_BT);
    inject_event(event_info(EVENT_HARDWARE_EXCEPTION, EXC_DB, false), 0, 0);
}

// What a processor makes of a fault on the way to the handler of `first`: its error code says EXT unless
// `first` was the program's own doing, and two faults may be one too many (SDM, "Double Fault Exception",
// "Error Code").
static void combine(struct vcpu *v, struct event first)
{
    enum { EXT = 1 };
    struct event second = decode_event(vmread32(VM_ENTRY_INTERRUPTION_INFO));
    if (!second.valid || !first.valid)
        return;
    bool external = first.type != EVENT_SOFTWARE_INTERRUPT && first.type != EVENT_SOFTWARE_EXCEPTION;
    if (external && second.vector >= EXC_TS && second.vector <= EXC_GP)
        vmwrite32(VM_ENTRY_EXCEPTION_ERROR_CODE, vmread32(VM_ENTRY_EXCEPTION_ERROR_CODE) | EXT);
    if (first.type != EVENT_HARDWARE_EXCEPTION)
        return;
    unsigned class = exceptions[first.vector % EXC_COUNT].class;
    if (class == EXC_DOUBLE_FAULT)
        diagnose_end(v, END_TRIPLE_FAULT);
    else if (class == EXC_PAGE_FAULT || (class == EXC_CONTRIBUTORY && second.vector != EXC_PF))
        vcpu_inject_fault(v, EXC_DF, 0);
}

static void note_nmi(const struct event *first, unsigned source)
{
    uint32_t state = vmread32(GUEST_INTERRUPTIBILITY_STATE);
    if (source == TASK_BY_IRET)
        state &= ~(uint32_t)BLOCKING_BY_NMI;
    else if (first->valid && first->type == EVENT_NMI)
        state |= BLOCKING_BY_NMI;
    vmwrite32(GUEST_INTERRUPTIBILITY_STATE, state);
}

// An event with a vectoring type of its own returns to where it came from; everything else is an instruction
// that the old task goes on behind.
static uint32_t instruction_bytes(const struct event *first)
{
    return first->valid && !event_has_length((enum event_type)first->type)
               ? 0
               : vmread32(VM_EXIT_INSTRUCTION_LENGTH);
}

static bool finish(struct vcpu *v, const struct task *t, bool switched, const struct event *first)
{
    if (t->committed)
        write_task(v, t);
    if (switched)
        return !first->error_code || push_error_code(v, t);
    if (t->vector != TASK_STOPPED)
        vcpu_inject_fault(v, t->vector, t->error_code);
    else if (t->committed) // what the callback has raised
        vmwrite_nat(GUEST_RFLAGS, t->eflags | RFLAGS_RF);
    return false;
}

void exit_task_switch(struct vcpu *v, uint64_t qualification)
{
    struct task_switch to = decode_task_switch(qualification);
    struct event first = decode_event(vmread32(IDT_VECTORING_INFO));
    struct switching s = {
        .task = {.move = move, .load_cr3 = load_cr3},
          .v = v
    };
    if (to.source != TASK_BY_GATE)
        first = (struct event){.valid = false};
    note_nmi(&first, to.source);
    read_task(v, &s.task);
    s.task.eip += instruction_bytes(&first);
    if (!finish(v, &s.task, task_switch(&s.task, to), &first))
        combine(v, first);
    else if (s.task.trap)
        trap(v);
}
