// NMI, INIT and SIPI, sent by another processor while the entered code runs or waits, and the activity state that
// only a SIPI ends.
#include "guests/vmx/lib/vmx.h"
#include "sdm/msr.h"

CODE(code_spin, "1: pause; jmp 1b");
CODE(code_handler, "nop");

// In `state`, with `signal` on its way.
static void describe(uint32_t signal, uint32_t state)
{
    vm_reset();
    vm_tables();
    vm_run(code_spin);
    vm_set(GUEST_ACTIVITY_STATE, state);
    vm_watch(GUEST_ACTIVITY_STATE);
    vm_flags = signal;
}

// A level below may be so slow that the signal comes before the entry, which then takes no notice of it.
static const char *enter(void)
{
    enum { TRIES = 16 };
    const char *why = NULL;
    for (unsigned n = 0; n < TRIES; n++) {
        why = vm_enter();
        if (why || result.reason != REASON_PREEMPTION_TIMER)
            break;
    }
    return why;
}

static bool exits(const char *name, uint32_t reason, uint64_t qualification)
{
    const char *why = enter();
    return expect_true(name,
                       !why && result.outcome == PROBE_ENTERED && result.reason == reason &&
                           result.qualification == qualification,
                       "expected exit reason %u (%s), qualification %#llx\ngot %s", reason,
                       exit_reason_words(reason), (unsigned long long)qualification,
                       why ? why : result_words());
}

// A row that asks for an activity state.
static bool state_there(const char *name, uint32_t state)
{
    static const uint64_t capabilities[] = {[ACTIVITY_HLT] = VMX_MISC_ACTIVITY_HLT,
                                            [ACTIVITY_SHUTDOWN] = VMX_MISC_ACTIVITY_SHUTDOWN,
                                            [ACTIVITY_WAIT_FOR_SIPI] = VMX_MISC_ACTIVITY_SIPI};
    bool there = state == ACTIVITY_ACTIVE || processor.caps.misc & capabilities[state];
    if (!there)
        skipped(name, "the processor does not have the activity state");
    return there;
}

// RIP is in the loop, or where the code that did not begin was entered.
static void rip_is_kept(const char *name, uint32_t state)
{
    uint64_t room = state == ACTIVITY_ACTIVE ? (word_t)code_spin_end - (word_t)code_spin : 1;
    section = "Saving RIP, RSP, RFLAGS, and SSP";
    expect_true(name_of("%s-rip", name), result.rip - (word_t)code_spin < room,
                "expected RIP %#llx, or in the loop that begins there\ngot %#llx",
                (unsigned long long)(word_t)code_spin, (unsigned long long)result.rip);
}

static void state_is_saved(const char *name, uint32_t state, uint32_t interruptibility)
{
    section = "Saving Non-Register State";
    expect_equal(name_of("%s-state", name), "activity state", state, vm_saw(GUEST_ACTIVITY_STATE));
    expect_equal(name_of("%s-blocking", name), "interruptibility", interruptibility, result.interruptibility);
}

// ---- NMI ----

static const struct nmi_row {
    const char *name;
    uint32_t state, blocking;
} nmi_rows[] = {
    {"nmi-exits",                      ACTIVITY_ACTIVE,   0              },
    {"nmi-exits-virtual-nmis-blocked", ACTIVITY_ACTIVE,   BLOCKING_BY_NMI},
    {"nmi-wakes-hlt",                  ACTIVITY_HLT,      0              },
    {"nmi-wakes-shutdown",             ACTIVITY_SHUTDOWN, 0              },
};

static void describe_nmi(uint32_t state, bool nmi_exits)
{
    describe(PROBE_SEND_NMI, state);
    vm_control(WORD_PIN, PIN_NMI_EXITING | PIN_VIRTUAL_NMIS, nmi_exits);
}

static void nmi_exits(const struct nmi_row *r)
{
    if (!state_there(r->name, r->state))
        return;
    section = "Other Causes of VM Exits";
    describe_nmi(r->state, true);
    vm_set(GUEST_INTERRUPTIBILITY_STATE, r->blocking);
    exits(r->name, REASON_EXCEPTION_OR_NMI, 0);
    section = "Information for VM Exits Due to Vectored Events";
    expect_equal(name_of("%s-information", r->name), "interruption information",
                 event_info(EVENT_NMI, EXC_NMI, false), result.interruption);
    state_is_saved(r->name, r->state, r->blocking); // virtual-NMI blocking is another thing
    if (r->blocking)
        vm_unblock_nmis();
}

// Without NMI exiting it goes through the IDT, and NMIs are blocked behind it.
static void nmi_delivered(void)
{
    section = "Other Causes of VM Exits";
    describe_nmi(ACTIVITY_ACTIVE, false);
    vm_gate(EXC_NMI, code_handler);
    const char *why = enter();
    expect_true("nmi-delivered",
                !why && result.reason == REASON_VMCALL && result.rip == (word_t)code_handler_end,
                "expected the handler of NMIs to reach its VMCALL\ngot %s", why ? why : result_words());
    section = "Saving Non-Register State"; // without virtual NMIs the field says whether NMIs are blocked
    expect_equal("nmi-delivered-blocks", "blocking by NMI", BLOCKING_BY_NMI,
                 result.interruptibility & BLOCKING_BY_NMI);
    section = "Saving RIP, RSP, RFLAGS, and SSP"; // the handler's first instruction exits
    describe_nmi(ACTIVITY_ACTIVE, false);
    enter();
    expect_equal("nmi-delivered-rip", "RIP", (word_t)vector_stub(EXC_NMI), result.rip);
}

static void nmis(void)
{
    if (must(WORD_PIN, PIN_NMI_EXITING) || !can(WORD_PIN, PIN_VIRTUAL_NMIS)) {
        skipped("nmi-exits", "the processor has no virtual NMIs, or NMI exiting cannot be 0");
        return;
    }
    for (unsigned n = 0; n < array_size(nmi_rows); n++)
        nmi_exits(&nmi_rows[n]);
    nmi_delivered();
}

// ---- INIT: exits whatever blocks other events, and does nothing of what it does outside VMX operation ----

static const struct init_row {
    const char *name;
    uint32_t state, blocking;
    uint64_t flags;
} init_rows[] = {
    {"init-exits",          ACTIVITY_ACTIVE,   0,               0        },
    {"init-exits-if-1",     ACTIVITY_ACTIVE,   0,               RFLAGS_IF},
    {"init-exits-nmi",      ACTIVITY_ACTIVE,   BLOCKING_BY_NMI, 0        },
    {"init-wakes-hlt",      ACTIVITY_HLT,      0,               RFLAGS_IF},
    {"init-wakes-hlt-if-0", ACTIVITY_HLT,      0,               0        },
    {"init-wakes-shutdown", ACTIVITY_SHUTDOWN, 0,               0        },
};

static void init_exits(const struct init_row *r)
{
    if (!state_there(r->name, r->state))
        return;
    section = "Other Causes of VM Exits";
    describe(PROBE_SEND_INIT, r->state);
    vm_set(GUEST_INTERRUPTIBILITY_STATE, r->blocking);
    vm_set_bits(GUEST_RFLAGS, r->flags);
    exits(r->name, REASON_INIT_SIGNAL, 0);
    section = "Information for VM Exits Due to Vectored Events";
    expect_equal(name_of("%s-information", r->name), "valid", 0, result.interruption & EVENT_INFO_VALID);
    rip_is_kept(r->name, r->state);
    state_is_saved(r->name, r->state, r->blocking);
}

static void init_in_modes(void)
{
    for (unsigned mode = 0; mode < SUBJECT_MODES; mode++) {
        const char *name = name_of("init-in-%s", subject_modes[mode].name);
        vm_reset();
        const char *why = subject_modes[mode].enter();
        if (why) {
            skipped(name, why);
            continue;
        }
        section = "Other Causes of VM Exits";
        vm_run(code_spin);
        vm_flags = PROBE_SEND_INIT;
        exits(name, REASON_INIT_SIGNAL, 0);
    }
}

static void init_leaves_registers(void)
{
    static const uint32_t fields[] = {GUEST_CR0,         GUEST_CR3,         GUEST_CR4,      GUEST_EFER,
                                      GUEST_CS_SELECTOR, GUEST_DS_SELECTOR, GUEST_CS_BASE,  GUEST_RSP,
                                      GUEST_GDTR_LIMIT,  GUEST_IDTR_BASE,   GUEST_TR_LIMIT, GUEST_DR7};
    section = "Other Causes of VM Exits";
    describe(PROBE_SEND_INIT, ACTIVITY_ACTIVE);
    for (unsigned n = 0; n < array_size(fields); n++)
        vm_watch(fields[n]);
    vm_gpr[2] = 0x1234; // RDX: another one has it behind INIT
    enter();
    for (unsigned n = 0; n < array_size(fields); n++)
        expect_equal(name_of("init-leaves-%s", image_name(fields[n])), "value", vm_get(fields[n]),
                     vm_saw(fields[n]));
    expect_equal("init-leaves-rdx", "RDX", 0x1234, vm_gpr[2]);
    vm_flags = 0; // taken once: it goes on until the timer ends it
    const char *why = vm_continue();
    expect_true("init-goes-on", !why && result.reason == REASON_PREEMPTION_TIMER,
                "expected the code to go on until the timer expires\ngot %s", why ? why : result_words());
}

static void inits(void)
{
    describe(PROBE_SEND_INIT, ACTIVITY_ACTIVE);
    const char *why = vm_enter();
    if (why) {
        skipped("init-exits", why);
        return;
    }
    for (unsigned n = 0; n < array_size(init_rows); n++)
        init_exits(&init_rows[n]);
    init_in_modes();
    init_leaves_registers();
}

// ---- SIPI ----

static void by_timer_0(void)
{
    vm_set(PREEMPTION_TIMER_VALUE, 0);
}
static void by_interrupt_window(void)
{
    vm_control(WORD_PRIMARY, PRIMARY_INTERRUPT_WINDOW_EXITING, true);
    vm_set_bits(GUEST_RFLAGS, RFLAGS_IF);
}
static void by_nmi_window(void)
{
    if (can(WORD_PRIMARY, PRIMARY_NMI_WINDOW_EXITING))
        vm_control(WORD_PRIMARY, PRIMARY_NMI_WINDOW_EXITING, true);
}
static void by_interrupt(void)
{
    vm_flags |= PROBE_INTERRUPT;
    vm_set_bits(GUEST_RFLAGS, RFLAGS_IF);
}
static void by_pending_debug(void)
{
    vm_set(GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_BS);
    vm_set_bits(GUEST_RFLAGS, RFLAGS_TF);
    vm_set(EXCEPTION_BITMAP, 1u << EXC_DB);
}
static void by_nothing(void)
{
}

// In wait-for-SIPI nothing else exits, wakes or is delivered.
static const struct sipi_row {
    const char *name;
    void (*other)(void);
} sipi_rows[] = {
    {"sipi-exits",            by_nothing         },
    {"sipi-timer-0",          by_timer_0         },
    {"sipi-interrupt-window", by_interrupt_window},
    {"sipi-nmi-window",       by_nmi_window      },
    {"sipi-interrupt",        by_interrupt       },
    {"sipi-pending-debug",    by_pending_debug   },
};

static void sipi_exits(const struct sipi_row *r)
{
    section = "Other Causes of VM Exits";
    describe(PROBE_SEND_SIPI, ACTIVITY_WAIT_FOR_SIPI);
    r->other();
    exits(r->name, REASON_SIPI, PROBE_SIPI_VECTOR);
    rip_is_kept(r->name, ACTIVITY_WAIT_FOR_SIPI);
    state_is_saved(r->name, ACTIVITY_WAIT_FOR_SIPI, 0);
    expect_equal(name_of("%s-no-pending", r->name), "pending debug exceptions", 0, result.pending_debug);
}

static void waits_for_sipi(void)
{
    section = "Checks on Guest Non-Register State";
    describe(PROBE_SEND_SIPI, ACTIVITY_WAIT_FOR_SIPI);
    const char *why = vm_enter();
    if (why) {
        skipped("sipi-exits", why);
        return;
    }
    if (!(processor.caps.misc & VMX_MISC_ACTIVITY_SIPI)) {
        expect_failed_entry("wait-for-sipi-refused", REASON_INVALID_GUEST_STATE, 0);
        skipped("sipi-exits", "the processor does not have the activity state");
        return;
    }
    for (unsigned n = 0; n < array_size(sipi_rows); n++)
        sipi_exits(&sipi_rows[n]);
    section = "Activity State"; // of VM entry: what the exit saved can be entered in another one
    describe(PROBE_SEND_SIPI, ACTIVITY_WAIT_FOR_SIPI);
    enter();
    vm_flags = 0;
    vm_set(GUEST_ACTIVITY_STATE, ACTIVITY_ACTIVE);
    why = vm_continue();
    expect_true("sipi-then-active", !why && result.reason == REASON_PREEMPTION_TIMER,
                "expected the code to run until the timer expires\ngot %s", why ? why : result_words());
}

// Elsewhere a SIPI is dropped.
static void sipi_discarded(const char *name, uint32_t state)
{
    if (!state_there(name, state))
        return;
    section = "Other Causes of VM Exits";
    describe(PROBE_SEND_SIPI, state);
    expect_reason(name, REASON_PREEMPTION_TIMER);
    expect_equal(name_of("%s-sent", name), "SIPIs sent", 1, result.sent);
    state_is_saved(name, state, 0);
}

BUCKET("NMI, INIT and SIPI from another processor")
{
    describe(PROBE_SEND_NMI, ACTIVITY_ACTIVE);
    const char *why = vm_enter();
    if (why) {
        skipped("nmi-exits", why);
        skipped("init-exits", why);
        skipped("sipi-exits", why);
        return;
    }
    nmis();
    inits();
    waits_for_sipi();
    sipi_discarded("sipi-discarded", ACTIVITY_ACTIVE);
    sipi_discarded("sipi-discarded-in-hlt", ACTIVITY_HLT);
    sipi_discarded("sipi-discarded-in-shutdown", ACTIVITY_SHUTDOWN);
}
