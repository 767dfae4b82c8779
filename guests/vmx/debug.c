// Debug exceptions: single steps, breakpoints, what is pending at an entry and at an exit, and the monitor trap flag.
#include "guests/vmx/lib/vmx.h"

CODE(code_nops, "nop; nop; nop");
CODE(code_cpuid, "cpuid");
CODE(code_jump, "nop; jmp 1f; nop; 1: nop");
CODE(code_mov_ss, "mov %ecx, %ss; nop; nop");
CODE(code_mov_ss_load, "mov (%rsi), %ss; nop; nop");
CODE(code_mov_ss_load_cpuid, "mov (%rsi), %ss; cpuid");
CODE(code_sti, "sti; nop; nop");
CODE(code_store, "mov %al, (%rsi); nop");
CODE(code_load, "mov (%rsi), %al; nop");
CODE(code_rep, "rep stosb; nop");
CODE(code_out, "outb %al, %dx; nop");
CODE(code_read_dr7, "mov %dr7, %rax");
CODE(code_write_dr0, "mov %rax, %dr0");
CODE(code_popf, "popfq; nop; nop");
CODE(code_hlt, "hlt");

enum { QUIET_PORT = 0x220, EXECUTE = 0, WRITE = 1, IO = 2, ACCESS = 3 };

static uint64_t data[8] __attribute__((aligned(64)));
static uint16_t stack_selector = SUBJECT_DATA;

// DR6 in the qualification's format: what happened, without the bits that are 1 by default.
static uint64_t dr6_conditions(void)
{
    return read_dr6() & (DR6_B0 | DR6_B1 | DR6_B2 | DR6_B3 | DR6_BD | DR6_BS | DR6_BT);
}

static void describe(const char *code, uint64_t flags, bool exits)
{
    vm_reset();
    vm_tables();
    vm_run(code);
    vm_gpr[1] = SUBJECT_DATA; // RCX
    vm_gpr[2] = QUIET_PORT;
    vm_gpr[6] = vm_gpr[7] = (word_t)data;
    vm_set_bits(GUEST_RFLAGS, flags);
    vm_set(EXCEPTION_BITMAP, exits ? 1u << EXC_DB : 0);
    vm_watch(GUEST_DR7);
    write_dr6((uint32_t)DR6_INIT);
}

static bool debug_exit(void)
{
    return result.outcome == PROBE_ENTERED && result.reason == REASON_EXCEPTION_OR_NMI &&
           result.interruption == event_info(EVENT_HARDWARE_EXCEPTION, EXC_DB, false);
}

// Exits by #DB with this qualification, behind `bytes` of the code.
static void expect_debug(const char *name, const char *code, uint64_t qualification, unsigned bytes)
{
    section = "Exit Qualification";
    const char *why = vm_enter();
    expect_true(name, !why && debug_exit() && result.qualification == qualification,
                "expected an exit by #DB, qualification %#llx\ngot %s", (unsigned long long)qualification,
                result_words());
    section = "Saving RIP, RSP, RFLAGS, and SSP";
    expect_equal(name_of("%s-rip", name), "RIP", (word_t)code + bytes, result.rip);
}

// The same event delivered: DR6 has it then, and the return address.
static void expect_debug_delivered(const char *name, const char *code, uint64_t conditions, unsigned bytes)
{
    section = "Other Causes of VM Exits";
    vm_set(EXCEPTION_BITMAP, 0);
    vm_watch(GUEST_RSP);
    write_dr6((uint32_t)DR6_INIT);
    expect_delivered(name_of("%s-delivered", name), EXC_DB);
    if (vector_reached() != EXC_DB)
        return;
    expect_equal(name_of("%s-dr6", name), "DR6", conditions, dr6_conditions());
    expect_equal(name_of("%s-return-address", name), "return address", (word_t)code + bytes,
                 *(uint64_t *)vm_saw(GUEST_RSP));
}

static void debug_both(const char *name, const char *code, uint64_t qualification, unsigned bytes)
{
    expect_debug(name, code, qualification, bytes);
    section =
        "Architectural State Before a VM Exit"; // an exception that exits directly leaves the registers alone
    expect_equal(name_of("%s-leaves-dr6", name), "DR6", 0, dr6_conditions());
    expect_equal(name_of("%s-no-pending", name), "pending debug exceptions", 0, result.pending_debug);
    expect_debug_delivered(name, code, qualification, bytes);
}

// ---- Single steps ----

static void single_steps(void)
{
    describe(code_nops, RFLAGS_TF, true);
    debug_both("step", code_nops, DR6_BS, 1);
    expect_equal("step-clears-tf", "RFLAGS.TF behind delivery", 0, result.rflags & RFLAGS_TF);
    describe(code_mov_ss, RFLAGS_TF, true); // not behind MOV SS
    debug_both("step-mov-ss", code_mov_ss, DR6_BS, 3);
    describe(code_sti, RFLAGS_TF, true); // but behind STI
    debug_both("step-sti", code_sti, DR6_BS, 1);
    describe(code_rep, RFLAGS_TF, true); // behind each round
    vm_gpr[1] = 4;
    debug_both("step-rep", code_rep, DR6_BS, 0);
    describe(code_popf, 0, true); // TF counts from the instruction behind the one that sets it
    vm_set(GUEST_RSP, vm_get(GUEST_RSP) - 8);
    *(uint64_t *)vm_get(GUEST_RSP) = RFLAGS_FIXED1 | RFLAGS_TF;
    debug_both("step-popf", code_popf, DR6_BS, 2);
    describe(code_nops, 0, true);
    section = "Other Causes of VM Exits";
    expect_passed("no-step-without-tf");
    describe(code_nops, RFLAGS_TF, false);
    vm_set(EXCEPTION_BITMAP, ~(1u << EXC_DB));
    expect_delivered("step-other-bits", EXC_DB);
}

static void steps_in_modes(void)
{
    for (unsigned mode = 0; mode < SUBJECT_MODES; mode++) {
        const char *name = name_of("step-%s", subject_modes[mode].name);
        vm_reset();
        const char *why = subject_modes[mode].enter();
        if (why) {
            skipped(name, why);
            continue;
        }
        vm_tables();
        vm_run(code_nops);
        vm_set_bits(GUEST_RFLAGS, RFLAGS_TF);
        vm_set(EXCEPTION_BITMAP, 1u << EXC_DB);
        why = vm_enter();
        section = "Exit Qualification";
        expect_true(name, !why && debug_exit() && result.qualification == DR6_BS,
                    "expected an exit by #DB, qualification %#x\ngot %s", (unsigned)DR6_BS, result_words());
        section = "Saving RIP, RSP, RFLAGS, and SSP";
        expect_equal(name_of("%s-rip", name), "RIP", vm_get(GUEST_RIP) + 1, result.rip);
        expect_equal(name_of("%s-tf", name), "RFLAGS.TF", RFLAGS_TF, result.rflags & RFLAGS_TF);
    }
}

// An exit by the instruction itself comes before the step behind it; nothing is pending.
static void steps_and_exits(void)
{
    section = "Saving Non-Register State";
    describe(code_cpuid, RFLAGS_TF, true);
    expect_reason("step-cpuid-exits", REASON_CPUID);
    expect_equal("step-cpuid-no-pending", "pending debug exceptions", 0, result.pending_debug);
    expect_equal("step-cpuid-tf", "RFLAGS.TF", RFLAGS_TF, result.rflags & RFLAGS_TF);
    describe(code_hlt, RFLAGS_TF, true);
    vm_control(WORD_PRIMARY, PRIMARY_HLT_EXITING, false);
    expect_debug("step-hlt", code_hlt, DR6_BS, 1); // the trap wakes it
}

// ---- Branch steps ----

static void branch_steps(void)
{
    section = "Exit Qualification";
    describe(code_jump, RFLAGS_TF, true);
    vm_set(GUEST_DEBUGCTL, DEBUGCTL_BTF);
    expect_debug("branch-step", code_jump, DR6_BS, 4);
    describe(code_jump, 0, true);
    vm_set(GUEST_DEBUGCTL, DEBUGCTL_BTF);
    section = "Other Causes of VM Exits";
    expect_passed("branch-step-without-tf");
}

// ---- Breakpoints ----

static uint64_t enable(unsigned n, unsigned kind, unsigned length)
{
    return DR7_INIT | DR7_L0 << 2 * n | (uint64_t)(kind | (length - 1) << 2) << (16 + 4 * n);
}

static void set_breakpoint(unsigned n, uint64_t at)
{
    switch (n) {
    case 0:
        write_dr0(at);
        break;
    case 1:
        write_dr1(at);
        break;
    case 2:
        write_dr2(at);
        break;
    default:
        write_dr3(at);
        break;
    }
}

static void clear_breakpoints(void)
{
    for (unsigned n = 0; n < 4; n++)
        set_breakpoint(n, 0);
}

static const struct breakpoint {
    const char *name, *code;
    uint8_t kind, length, behind; // bytes of the code before RIP
    bool hits;
} breakpoints[] = {
    {"execute",        code_nops,  EXECUTE, 1, 0, true },
    {"write-1",        code_store, WRITE,   1, 2, true },
    {"write-4",        code_store, WRITE,   4, 2, true },
    {"write-not-read", code_load,  WRITE,   1, 0, false},
    {"access-write",   code_store, ACCESS,  1, 2, true },
    {"access-read",    code_load,  ACCESS,  1, 2, true },
    {"io",             code_out,   IO,      1, 1, true },
};

static uint64_t place_of(const struct breakpoint *b)
{
    return b->kind == EXECUTE ? (word_t)b->code : b->kind == IO ? QUIET_PORT : (word_t)data;
}

static void describe_breakpoint(const struct breakpoint *b, unsigned n)
{
    describe(b->code, 0, true);
    clear_breakpoints();
    set_breakpoint(n, place_of(b));
    vm_set(GUEST_DR7, enable(n, b->kind, b->length));
    vm_set_bits(GUEST_CR4, CR4_DE);
    vm_control(WORD_PRIMARY, PRIMARY_UNCONDITIONAL_IO_EXITING, false);
}

static void each_breakpoint(void)
{
    for (unsigned i = 0; i < array_size(breakpoints); i++)
        for (unsigned n = 0; n < 4; n++) {
            const struct breakpoint *b = &breakpoints[i];
            const char *name = name_of("breakpoint-%s-dr%u", b->name, n);
            describe_breakpoint(b, n);
            if (b->hits) {
                debug_both(name, b->code, DR6_B0 << n, b->behind);
            } else {
                section = "Other Causes of VM Exits";
                expect_passed(name);
            }
        }
    section = "Other Causes of VM Exits";
    describe_breakpoint(&breakpoints[0], 0);
    vm_set(GUEST_DR7, DR7_INIT); // not enabled
    expect_passed("breakpoint-not-enabled");
    describe_breakpoint(&breakpoints[0], 0);
    vm_set_bits(GUEST_RFLAGS, RFLAGS_RF);
    expect_passed("breakpoint-execute-rf");
    describe_breakpoint(&breakpoints[1], 0);
    vm_control(WORD_ENTRY, ENTRY_LOAD_DEBUG_CONTROLS, false);
    if (must(WORD_ENTRY, ENTRY_LOAD_DEBUG_CONTROLS))
        skipped("breakpoint-dr7-not-loaded", "load debug controls cannot be 0 here");
    else
        expect_passed("breakpoint-dr7-not-loaded");
    clear_breakpoints();
}

// ---- General detect ----

static void general_detect(void)
{
    describe(code_read_dr7, 0, true);
    vm_set(GUEST_DR7, DR7_INIT | DR7_GD);
    vm_control(WORD_PRIMARY, PRIMARY_MOV_DR_EXITING, false);
    expect_debug("gd", code_read_dr7, DR6_BD, 0);
    expect_equal("gd-exit-leaves-gd", "DR7", DR7_INIT | DR7_GD, vm_saw(GUEST_DR7));
    expect_debug_delivered("gd", code_read_dr7, DR6_BD, 0);
    expect_equal("gd-delivery-clears-gd", "DR7", DR7_INIT, vm_saw(GUEST_DR7));
    section = "Relative Priority of Faults and VM Exits"; // only what is named there comes before the exit
    describe(code_read_dr7, 0, true);
    vm_set(GUEST_DR7, DR7_INIT | DR7_GD);
    expect_reason("gd-behind-mov-dr-exit", REASON_MOV_DR);
}

// ---- Pending at the entry ----

static const struct pending {
    const char *name;
    uint64_t field, qualification;
    bool single_step, valid;
} pendings[] = {
    {"bs",             PENDING_DEBUG_BS,                                                       DR6_BS,          true,  true },
    {"b0-enabled",     PENDING_DEBUG_B0 | PENDING_DEBUG_ENABLED_BREAKPOINT,                    DR6_B0,          false, true },
    {"b1-enabled",     PENDING_DEBUG_B1 | PENDING_DEBUG_ENABLED_BREAKPOINT,                    DR6_B1,          false, true },
    {"b2-enabled",     PENDING_DEBUG_B2 | PENDING_DEBUG_ENABLED_BREAKPOINT,                    DR6_B2,          false, true },
    {"b3-enabled",     PENDING_DEBUG_B3 | PENDING_DEBUG_ENABLED_BREAKPOINT,                    DR6_B3,          false, true },
    {"b0-b3-enabled",  PENDING_DEBUG_B0 | PENDING_DEBUG_B3 | PENDING_DEBUG_ENABLED_BREAKPOINT, DR6_B0 | DR6_B3,
     false,                                                                                                            true },
    {"b0-bs",          PENDING_DEBUG_B0 | PENDING_DEBUG_ENABLED_BREAKPOINT | PENDING_DEBUG_BS, DR6_B0 | DR6_BS, true,
     true                                                                                                                   },
    {"b0-not-enabled", PENDING_DEBUG_B0,                                                       0,               false, false},
    {"nothing",        0,                                                                      0,               false, false},
};

static void describe_pending(const struct pending *p, const char *code, uint32_t blocking)
{
    describe(code, (p->single_step ? RFLAGS_TF : 0) | RFLAGS_IF, true);
    vm_set(GUEST_PENDING_DEBUG_EXCEPTIONS, p->field);
    vm_set(GUEST_INTERRUPTIBILITY_STATE, blocking);
}

static void each_pending(void)
{
    for (unsigned n = 0; n < array_size(pendings); n++) {
        const struct pending *p = &pendings[n];
        const char *name = name_of("pending-%s", p->name);
        describe_pending(p, code_nops, 0);
        section = "Delivery of Pending Debug Exceptions after VM Entry";
        if (!p->valid) {
            expect_passed(name);
            continue;
        }
        debug_both(name, code_nops, p->qualification, 0);
        if (p->single_step || p->field == PENDING_DEBUG_BS) { // STI does not block it
            describe_pending(p, code_nops, BLOCKING_BY_STI);
            expect_debug(name_of("%s-sti", name), code_nops, p->qualification, 0);
        }
        describe_pending(p, code_nops, BLOCKING_BY_NMI);
        expect_debug(name_of("%s-nmi", name), code_nops, p->qualification, 0);
        describe_pending(p, code_nops, BLOCKING_BY_MOV_SS); // held behind the next instruction
        section = "Delivery of Pending Debug Exceptions after VM Entry";
        const char *why = vm_enter();
        expect_true(name_of("%s-mov-ss", name),
                    !why && debug_exit() && (result.qualification & p->qualification) == p->qualification &&
                        result.rip == (word_t)code_nops + 1,
                    "expected an exit by #DB behind one instruction, qualification %#llx\ngot %s, RIP %#llx",
                    (unsigned long long)p->qualification, result_words(), (unsigned long long)result.rip);
        if (processor.caps.misc & VMX_MISC_ACTIVITY_HLT) {
            describe_pending(p, code_nops, 0);
            vm_set(GUEST_ACTIVITY_STATE, ACTIVITY_HLT);
            expect_debug(name_of("%s-hlt", name), code_nops, p->qualification, 0);
        }
        if (processor.caps.misc & VMX_MISC_ACTIVITY_SHUTDOWN) {
            section = "Delivery of Pending Debug Exceptions after VM Entry";
            describe_pending(p, code_nops, 0);
            vm_set(GUEST_ACTIVITY_STATE, ACTIVITY_SHUTDOWN);
            expect_reason(name_of("%s-shutdown", name), REASON_PREEMPTION_TIMER);
        }
    }
}

// An injected event drops what was pending.
static void pending_and_injection(void)
{
    static const struct {
        const char *name;
        uint8_t type, vector;
    } events[] = {
        {"interrupt", EVENT_EXTERNAL_INTERRUPT,            0x40   },
        {"nmi",       EVENT_NMI,                           EXC_NMI},
        {"exception", EVENT_HARDWARE_EXCEPTION,            EXC_UD },
        {"int1",      EVENT_PRIVILEGED_SOFTWARE_EXCEPTION, EXC_DB },
        {"int-n",     EVENT_SOFTWARE_INTERRUPT,            0x40   },
        {"int3",      EVENT_SOFTWARE_EXCEPTION,            EXC_BP },
    };
    section = "Delivery of Pending Debug Exceptions after VM Entry";
    for (unsigned n = 0; n < array_size(events); n++) {
        describe_pending(&pendings[0], code_nops, 0);
        vm_set(VM_ENTRY_INTERRUPTION_INFO,
               event_info((enum event_type)events[n].type, events[n].vector, false));
        vm_set(VM_ENTRY_INSTRUCTION_LENGTH, 1);
        expect_delivered(name_of("pending-dropped-by-%s", events[n].name), events[n].vector);
    }
}

// ---- Pending at the exit ----

// MOV SS whose operand is watched: the breakpoint is held back, and an exit meanwhile saves it.
static void pending_saved(void)
{
    describe(code_mov_ss_load_cpuid, 0, true);
    write_dr0((word_t)&stack_selector);
    vm_gpr[6] = (word_t)&stack_selector;
    vm_set(GUEST_DR7, enable(0, ACCESS, 2));
    section = "Saving Non-Register State";
    expect_reason("mov-ss-watched-then-cpuid", REASON_CPUID);
    expect_equal("mov-ss-watched-then-cpuid-blocking", "interruptibility", BLOCKING_BY_MOV_SS,
                 result.interruptibility);
    expect_equal("mov-ss-watched-then-cpuid-pending", "pending debug exceptions",
                 PENDING_DEBUG_B0 | PENDING_DEBUG_ENABLED_BREAKPOINT,
                 result.pending_debug & ~(uint64_t)PENDING_DEBUG_BS);
    // Skipped, with the blocking ended as the instruction would have: it comes at once.
    vm_set(GUEST_RIP, result.rip + result.length);
    vm_set(GUEST_INTERRUPTIBILITY_STATE, BLOCKING_BY_MOV_SS);
    vm_set(GUEST_INTERRUPTIBILITY_STATE, 0);
    vm_set(GUEST_PENDING_DEBUG_EXCEPTIONS, result.pending_debug);
    section = "Delivery of Pending Debug Exceptions after VM Entry";
    expect_debug("mov-ss-watched-then-skipped", code_mov_ss_load_cpuid_end, DR6_B0, 0);
    describe(code_mov_ss_load, 0, true);
    write_dr0((word_t)&stack_selector);
    vm_gpr[6] = (word_t)&stack_selector;
    vm_set(GUEST_DR7, enable(0, ACCESS, 2));
    debug_both("mov-ss-watched-then-nop", code_mov_ss_load, DR6_B0, 3);
    describe(code_mov_ss_load_cpuid, RFLAGS_TF, true);
    vm_gpr[6] = (word_t)&stack_selector;
    vm_enter();
    info("MOV SS with TF, then an exit: pending debug exceptions %#llx",
         (unsigned long long)result.pending_debug);
    clear_breakpoints();
}

// ---- Monitor trap flag ----

static void describe_trap(const char *code)
{
    describe(code, 0, false);
    vm_control(WORD_PRIMARY, PRIMARY_MONITOR_TRAP_FLAG, true);
}

static void monitor_trap(void)
{
    section = "Monitor Trap Flag";
    if (!can(WORD_PRIMARY, PRIMARY_MONITOR_TRAP_FLAG)) {
        describe_trap(code_nops);
        expect_fail_valid("mtf-refused", VM_ERROR_ENTRY_CONTROLS);
        skipped("mtf", "the processor has no monitor trap flag");
        return;
    }
    describe_trap(code_nops);
    expect_exit("mtf", REASON_MONITOR_TRAP_FLAG, 0);
    expect_equal("mtf-rip", "RIP", (word_t)code_nops + 1, result.rip);
    describe_trap(code_jump);
    vm_set(GUEST_RIP, (word_t)code_jump + 1);
    expect_exit("mtf-jump", REASON_MONITOR_TRAP_FLAG, 0);
    expect_equal("mtf-jump-rip", "RIP", (word_t)code_jump + 4, result.rip);
    describe_trap(code_mov_ss);
    expect_exit("mtf-mov-ss", REASON_MONITOR_TRAP_FLAG, 0);
    expect_equal("mtf-mov-ss-rip", "RIP", (word_t)code_mov_ss + 2, result.rip);
    describe_trap(code_rep);
    vm_gpr[1] = 4;
    expect_exit("mtf-rep", REASON_MONITOR_TRAP_FLAG, 0);
    expect_equal("mtf-rep-rounds", "RCX", 3, vm_gpr[1]);
    describe_trap(code_nops);
    vm_set_bits(GUEST_RFLAGS, RFLAGS_TF); // before the debug trap, which stays pending
    expect_exit("mtf-before-step", REASON_MONITOR_TRAP_FLAG, 0);
    expect_equal("mtf-before-step-pending", "pending debug exceptions", PENDING_DEBUG_BS,
                 result.pending_debug);
    describe_trap(code_nops);
    vm_set(VM_ENTRY_INTERRUPTION_INFO, event_info(EVENT_HARDWARE_EXCEPTION, EXC_UD, false));
    expect_exit("mtf-behind-injection", REASON_MONITOR_TRAP_FLAG, 0);
    expect_equal("mtf-behind-injection-vector", "vector", EXC_UD, (uint64_t)vector_at(result.rip));
    describe_trap(code_cpuid);
    expect_reason("mtf-instruction-exits", REASON_CPUID);
    describe(code_nops, 0, false);
    vm_set(VM_ENTRY_INTERRUPTION_INFO, event_info(EVENT_OTHER, 0, false));
    expect_exit("mtf-injected", REASON_MONITOR_TRAP_FLAG, 0);
    expect_equal("mtf-injected-rip", "RIP", (word_t)code_nops, result.rip);
}

BUCKET("debug exceptions")
{
    clear_breakpoints();
    single_steps();
    steps_in_modes();
    steps_and_exits();
    branch_steps();
    each_breakpoint();
    general_detect();
    each_pending();
    pending_and_injection();
    pending_saved();
    monitor_trap();
}
