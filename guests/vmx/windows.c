// Windows for interrupts and NMIs, and external interrupts: what opens, blocks, wakes, and comes first.
#include "guests/vmx/lib/vmx.h"

CODE(code_nops, "nop; nop; nop");
CODE(code_sti, "sti; nop; nop");
CODE(code_sti_mov_ss, "mov %ss, %ecx; sti; mov %ecx, %ss; nop; nop");
CODE(code_sti_hlt, "sti; hlt; nop");
CODE(code_popf, "orq $0x200, (%rsp); popfq; nop");
CODE(code_iret, "iretq");
CODE(code_cli, "cli; nop; nop");

static bool has_nmi_window(void)
{
    return can(WORD_PRIMARY, PRIMARY_NMI_WINDOW_EXITING) && can(WORD_PIN, PIN_VIRTUAL_NMIS);
}

static const struct window {
    const char *name;
    uint64_t control;
    uint32_t reason;
} interrupt_window = {"interrupt-window", PRIMARY_INTERRUPT_WINDOW_EXITING, REASON_INTERRUPT_WINDOW},
  nmi_window = {"nmi-window", PRIMARY_NMI_WINDOW_EXITING, REASON_NMI_WINDOW};

static void describe(const struct window *w, const char *code, uint64_t flags, uint32_t blocking)
{
    vm_reset();
    vm_tables();
    vm_run(code);
    vm_control(WORD_PRIMARY, w->control, true);
    vm_set_bits(GUEST_RFLAGS, flags);
    vm_set(GUEST_INTERRUPTIBILITY_STATE, blocking);
}

// Exits by its window with RIP `bytes` behind the beginning of the code.
static void opens(const char *name, const struct window *w, const char *code, unsigned bytes)
{
    section = "Other Causes of VM Exits";
    expect_exit(name, w->reason, 0);
    section = "Saving RIP, RSP, RFLAGS, and SSP";
    expect_equal(name_of("%s-rip", name), "RIP", (word_t)code + bytes, result.rip);
}

static void stays_shut(const char *name)
{
    section = "Other Causes of VM Exits";
    expect_passed(name);
}

// ---- Interrupt window: every combination of IF and blocking ----

static const struct blocking {
    const char *name;
    uint32_t state;
    bool one_instruction; // for interrupts: ends with the first instruction
} blockings[] = {
    {"none",       0,                                    false},
    {"sti",        BLOCKING_BY_STI,                      true },
    {"mov-ss",     BLOCKING_BY_MOV_SS,                   true },
    {"nmi",        BLOCKING_BY_NMI,                      false},
    {"nmi-sti",    BLOCKING_BY_NMI | BLOCKING_BY_STI,    true },
    {"nmi-mov-ss", BLOCKING_BY_NMI | BLOCKING_BY_MOV_SS, true },
};

static void each_blocking(void)
{
    const struct window *w = &interrupt_window;
    for (unsigned n = 0; n < array_size(blockings); n++)
        for (unsigned on = 0; on < 2; on++) {
            const struct blocking *b = &blockings[n];
            if (!on && b->state & BLOCKING_BY_STI)
                continue; // refused: IF is 1 where STI blocks
            const char *name = name_of("%s-if-%u-blocking-%s", w->name, on, b->name);
            describe(w, code_nops, on ? RFLAGS_IF : 0, b->state);
            if (on)
                opens(name, w, code_nops, b->one_instruction);
            else
                stays_shut(name);
            describe(w, code_nops, on ? RFLAGS_IF : 0, b->state); // its neighbour without the control
            vm_control(WORD_PRIMARY, w->control, false);
            stays_shut(name_of("%s-without-control", name));
        }
}

// How the code itself opens it.
static void opened_by_code(void)
{
    const struct window *w = &interrupt_window;
    describe(w, code_sti, 0, 0);
    opens("interrupt-window-by-sti", w, code_sti, 2); // behind the instruction that follows STI
    describe(w, code_sti_mov_ss, 0, 0);
    opens("interrupt-window-by-sti-mov-ss", w, code_sti_mov_ss, 6);
    describe(w, code_popf, 0, 0);
    vm_set(GUEST_RSP, vm_get(GUEST_RSP) - 8);
    *(uint64_t *)vm_get(GUEST_RSP) = RFLAGS_FIXED1;
    opens("interrupt-window-by-popf", w, code_popf, 9);
    describe(w, code_cli, RFLAGS_IF, BLOCKING_BY_STI);
    stays_shut("interrupt-window-shut-by-cli");
    section = "Other Causes of VM Exits";
    describe(w, code_sti_hlt, 0, 0);
    expect_exit("sti-hlt-exits-by-hlt", REASON_HLT, 0);
    describe(w, code_sti_hlt, 0, 0);
    vm_control(WORD_PRIMARY, PRIMARY_HLT_EXITING, false);
    opens("interrupt-window-by-sti-hlt", w, code_sti_hlt, 2); // halted, then woken
}

// ---- NMI window ----

static void nmi_windows(void)
{
    const struct window *w = &nmi_window;
    if (!has_nmi_window()) {
        skipped("nmi-window", "the processor has no virtual NMIs or no NMI-window exiting");
        return;
    }
    for (unsigned on = 0; on < 2; on++) {
        describe(w, code_nops, on ? RFLAGS_IF : 0, 0);
        opens(name_of("nmi-window-if-%u-blocking-none", on), w, code_nops, 0);
        describe(w, code_nops, on ? RFLAGS_IF : 0, BLOCKING_BY_MOV_SS);
        opens(name_of("nmi-window-if-%u-blocking-mov-ss", on), w, code_nops, 1);
        describe(w, code_nops, on ? RFLAGS_IF : 0, BLOCKING_BY_NMI);
        stays_shut(name_of("nmi-window-if-%u-blocking-nmi", on));
        describe(w, code_nops, on ? RFLAGS_IF : 0, BLOCKING_BY_NMI | BLOCKING_BY_MOV_SS);
        stays_shut(name_of("nmi-window-if-%u-blocking-nmi-mov-ss", on));
    }
    describe(w, code_nops, RFLAGS_IF, BLOCKING_BY_STI); // "may also prevent"
    vm_enter();
    info("nmi-window-blocking-sti: %s, %u instructions behind the entry", result_words(),
         (unsigned)(result.rip - (word_t)code_nops));
    section = "Other Causes of VM Exits";
    static uint64_t frame[5]; // IRET ends virtual-NMI blocking
    frame[0] = (word_t)code_nops;
    frame[1] = SUBJECT_CODE;
    frame[2] = RFLAGS_FIXED1;
    frame[3] = (word_t)subject_stack + sizeof subject_stack - 16;
    frame[4] = SUBJECT_DATA;
    describe(w, code_iret, 0, BLOCKING_BY_NMI);
    vm_set(GUEST_RSP, (word_t)frame);
    opens("nmi-window-by-iret", w, code_nops, 0);
    describe(w, code_nops, 0, BLOCKING_BY_NMI);
    vm_control(WORD_PRIMARY, w->control, false);
    stays_shut("nmi-window-without-control");
}

// ---- Inactive states ----

static void woken(const struct window *w, uint32_t state, const char *state_name, uint64_t capability,
                  bool wakes)
{
    const char *name = name_of("%s-wakes-%s", w->name, state_name);
    if (!(processor.caps.misc & capability)) {
        skipped(name, "the processor does not have the activity state");
        return;
    }
    section = "Other Causes of VM Exits";
    describe(w, code_nops, RFLAGS_IF, 0);
    vm_set(GUEST_ACTIVITY_STATE, state);
    expect_reason(wakes ? name : name_of("%s-leaves-%s", w->name, state_name),
                  wakes ? w->reason : REASON_PREEMPTION_TIMER);
}

static void inactive(void)
{
    woken(&interrupt_window, ACTIVITY_HLT, "hlt", VMX_MISC_ACTIVITY_HLT, true);
    woken(&interrupt_window, ACTIVITY_SHUTDOWN, "shutdown", VMX_MISC_ACTIVITY_SHUTDOWN, false);
    if (!has_nmi_window())
        return;
    woken(&nmi_window, ACTIVITY_HLT, "hlt", VMX_MISC_ACTIVITY_HLT, true);
    woken(&nmi_window, ACTIVITY_SHUTDOWN, "shutdown", VMX_MISC_ACTIVITY_SHUTDOWN, true);
}

// ---- What comes first ----

static void first_of(const char *name, uint64_t controls, uint32_t flags, uint64_t pending, uint32_t reason)
{
    describe(&interrupt_window, code_nops, RFLAGS_IF, 0);
    vm_control(WORD_PRIMARY, PRIMARY_INTERRUPT_WINDOW_EXITING, false);
    vm_control(WORD_PRIMARY, controls, true);
    vm_flags = flags;
    vm_set(EXCEPTION_BITMAP, 1u << EXC_DB);
    vm_set(GUEST_PENDING_DEBUG_EXCEPTIONS, pending);
    vm_set_bits(GUEST_RFLAGS, pending ? RFLAGS_TF : 0);
    expect_reason(name, reason);
    expect_equal(name_of("%s-rip", name), "RIP", (word_t)code_nops, result.rip);
}

static void priorities(void)
{
    enum { BOTH = PRIMARY_INTERRUPT_WINDOW_EXITING | PRIMARY_NMI_WINDOW_EXITING };
    section = "Other Causes of VM Exits";
    first_of("interrupt-window-before-interrupt", PRIMARY_INTERRUPT_WINDOW_EXITING, PROBE_INTERRUPT, 0,
             REASON_INTERRUPT_WINDOW);
    first_of("debug-before-interrupt-window", PRIMARY_INTERRUPT_WINDOW_EXITING, 0, PENDING_DEBUG_BS,
             REASON_EXCEPTION_OR_NMI);
    first_of("debug-before-interrupt", 0, PROBE_INTERRUPT, PENDING_DEBUG_BS, REASON_EXCEPTION_OR_NMI);
    if (!has_nmi_window())
        return;
    first_of("nmi-window-before-interrupt-window", BOTH, 0, 0, REASON_NMI_WINDOW);
    first_of("nmi-window-before-interrupt", PRIMARY_NMI_WINDOW_EXITING, PROBE_INTERRUPT, 0,
             REASON_NMI_WINDOW);
    first_of("debug-before-nmi-window", PRIMARY_NMI_WINDOW_EXITING, 0, PENDING_DEBUG_BS,
             REASON_EXCEPTION_OR_NMI);
}

// ---- Behind an injected event ----

enum { GATE_IS_TRAP = 1 };

static void behind(const char *name, const struct window *w, enum event_type type, uint8_t vector,
                   bool trap_gate, bool opens_there)
{
    section = "Special Features of VM Entry"; // window exits follow event injection
    describe(w, code_nops, RFLAGS_IF, 0);
    vm_set(VM_ENTRY_INTERRUPTION_INFO, event_info(type, vector, false));
    subject_idt[2 * vector] |= (uint64_t)(trap_gate ? GATE_IS_TRAP : 0) << 40;
    expect_reason(name, opens_there ? w->reason : REASON_VMCALL);
    expect_equal(name_of("%s-vector", name), "vector", vector, (uint64_t)vector_at(result.rip));
}

static void behind_injection(void)
{
    behind("interrupt-window-behind-interrupt-gate", &interrupt_window, EVENT_EXTERNAL_INTERRUPT, 0x40, false,
           false);
    behind("interrupt-window-behind-trap-gate", &interrupt_window, EVENT_EXTERNAL_INTERRUPT, 0x40, true,
           true);
    behind("interrupt-window-behind-exception", &interrupt_window, EVENT_HARDWARE_EXCEPTION, EXC_UD, true,
           true);
    if (!has_nmi_window())
        return;
    behind("nmi-window-behind-interrupt", &nmi_window, EVENT_EXTERNAL_INTERRUPT, 0x40, false, true);
    behind("nmi-window-behind-exception", &nmi_window, EVENT_HARDWARE_EXCEPTION, EXC_UD, false, true);
    behind("nmi-window-behind-nmi", &nmi_window, EVENT_NMI, EXC_NMI, false, false);
}

// ---- External interrupts ----

static void describe_interrupt(const char *code, uint64_t flags, uint32_t blocking)
{
    vm_reset();
    vm_tables();
    vm_run(code);
    vm_flags = PROBE_INTERRUPT;
    vm_set_bits(GUEST_RFLAGS, flags);
    vm_set(GUEST_INTERRUPTIBILITY_STATE, blocking);
}

// `late`: blocking by STI or MOV SS may hold it back for so many one-byte instructions, or not at all (SDM, "Event
// Blocking").
static void interrupt_exits(const char *name, uint64_t rip, unsigned late)
{
    section = "Other Causes of VM Exits";
    expect_exit(name, REASON_EXTERNAL_INTERRUPT, 0);
    section = "Information for VM Exits Due to Vectored Events";
    expect_equal(name_of("%s-information", name), "interruption information",
                 event_info(EVENT_EXTERNAL_INTERRUPT, PROBE_VECTOR, false), result.interruption);
    section = "Saving RIP, RSP, RFLAGS, and SSP";
    expect_true(name_of("%s-rip", name), result.rip - rip <= late,
                "expected RIP %#llx, or up to %u behind it\ngot %#llx", (unsigned long long)rip, late,
                (unsigned long long)result.rip);
    if (late)
        info("%s: it exits %u instructions behind the entry", name, (unsigned)(result.rip - rip));
}

static void interrupts_exit(void)
{
    for (unsigned n = 0; n < array_size(blockings); n++)
        for (unsigned on = 0; on < 2; on++) {
            const struct blocking *b = &blockings[n];
            if (!on && b->state & BLOCKING_BY_STI)
                continue;
            describe_interrupt(code_nops, on ? RFLAGS_IF : 0, b->state);
            interrupt_exits(name_of("interrupt-if-%u-blocking-%s", on, b->name), (word_t)code_nops,
                            b->one_instruction);
        }
    for (unsigned mode = 0; mode < SUBJECT_MODES; mode++) {
        vm_reset();
        const char *why = subject_modes[mode].enter(),
                   *name = name_of("interrupt-in-%s", subject_modes[mode].name);
        if (why) {
            skipped(name, why);
            continue;
        }
        vm_tables();
        vm_run(code_nops);
        vm_flags = PROBE_INTERRUPT;
        vm_set_bits(GUEST_RFLAGS, RFLAGS_IF);
        interrupt_exits(name, vm_get(GUEST_RIP), 0);
    }
}

static void interrupts_wake(void)
{
    section = "Other Causes of VM Exits";
    for (unsigned on = 0; on < 2; on++) {
        const char *name = name_of("interrupt-wakes-hlt-if-%u", on);
        if (!(processor.caps.misc & VMX_MISC_ACTIVITY_HLT)) {
            skipped(name, "the processor does not have the activity state");
            continue;
        }
        describe_interrupt(code_nops, on ? RFLAGS_IF : 0, 0);
        vm_set(GUEST_ACTIVITY_STATE, ACTIVITY_HLT);
        expect_exit(name, REASON_EXTERNAL_INTERRUPT, 0);
    }
    if (processor.caps.misc & VMX_MISC_ACTIVITY_SHUTDOWN) {
        describe_interrupt(code_nops, RFLAGS_IF, 0);
        vm_set(GUEST_ACTIVITY_STATE, ACTIVITY_SHUTDOWN);
        expect_reason("interrupt-leaves-shutdown", REASON_PREEMPTION_TIMER);
    }
}

// Not acknowledged: it exits and stays pending, and the information is invalid.
static void not_acknowledged(void)
{
    section = "VM-Exit Controls";
    if (must(WORD_EXIT, EXIT_ACKNOWLEDGE_INTERRUPT)) {
        skipped("not-acknowledged", "acknowledge interrupt on exit cannot be 0 here");
        return;
    }
    describe_interrupt(code_nops, RFLAGS_IF, 0);
    vm_control(WORD_EXIT, EXIT_ACKNOWLEDGE_INTERRUPT, false);
    expect_exit("not-acknowledged", REASON_EXTERNAL_INTERRUPT, 0);
    expect_equal("not-acknowledged-information", "valid", 0, result.interruption & EVENT_INFO_VALID);
}

// Without external-interrupt exiting the guest takes it as a processor outside VMX does.
static void interrupts_are_delivered(void)
{
    section = "Other Causes of VM Exits";
    if (must(WORD_PIN, PIN_EXTERNAL_INTERRUPT_EXITING)) {
        skipped("delivered", "external-interrupt exiting cannot be 0 here");
        return;
    }
    for (unsigned n = 0; n < array_size(blockings); n++)
        for (unsigned on = 0; on < 2; on++) {
            const struct blocking *b = &blockings[n];
            if (!on && b->state & BLOCKING_BY_STI)
                continue;
            const char *name = name_of("delivered-if-%u-blocking-%s", on, b->name);
            describe_interrupt(code_nops, on ? RFLAGS_IF : 0, b->state);
            vm_control(WORD_PIN, PIN_EXTERNAL_INTERRUPT_EXITING, false);
            vm_watch(GUEST_RSP);
            if (!on) {
                expect_passed(name);
                continue;
            }
            expect_delivered(name, PROBE_VECTOR);
            if (vector_reached() == PROBE_VECTOR)
                expect_equal(name_of("%s-return-address", name), "return address",
                             (word_t)code_nops + b->one_instruction, *(uint64_t *)vm_saw(GUEST_RSP));
        }
    describe_interrupt(code_sti, 0, 0);
    vm_control(WORD_PIN, PIN_EXTERNAL_INTERRUPT_EXITING, false);
    expect_delivered("delivered-behind-sti", PROBE_VECTOR);
    describe_interrupt(code_nops, RFLAGS_IF, 0);
    vm_control(WORD_PIN, PIN_EXTERNAL_INTERRUPT_EXITING, false);
    vm_control(WORD_PRIMARY, PRIMARY_INTERRUPT_WINDOW_EXITING, true);
    expect_exit("delivered-behind-interrupt-window", REASON_INTERRUPT_WINDOW, 0);
}

BUCKET("windows and external interrupts")
{
    each_blocking();
    opened_by_code();
    nmi_windows();
    inactive();
    priorities();
    behind_injection();
    interrupts_exit();
    interrupts_wake();
    not_acknowledged();
    interrupts_are_delivered();
}
