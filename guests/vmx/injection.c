// Events injected by VM entry: what is delivered, what is pushed, what blocks it, and what is refused.
#include "guests/vmx/lib/vmx.h"

CODE(code_nothing, "");

enum { RETURN_ADDRESS = 0x7000, INTERRUPT = 0x30, PAGE = 4096, BAD_ACTIVITY = ACTIVITY_WAIT_FOR_SIPI + 1 };

enum { INTO_HLT = 1 << ACTIVITY_HLT, INTO_SHUTDOWN = 1 << ACTIVITY_SHUTDOWN };

// Where the entered code was: never reached, for the event comes first.
static const struct event_row {
    const char *name;
    uint8_t type, vector;
    uint8_t length; // of software events
    uint8_t states; // other than active that it may be injected into: INTO_HLT, INTO_SHUTDOWN
} events[] = {
    {"interrupt",      EVENT_EXTERNAL_INTERRUPT,            INTERRUPT, 0, INTO_HLT                },
    {"interrupt-high", EVENT_EXTERNAL_INTERRUPT,            0xff,      0, INTO_HLT                },
    {"nmi",            EVENT_NMI,                           EXC_NMI,   0, INTO_HLT | INTO_SHUTDOWN},
    {"de",             EVENT_HARDWARE_EXCEPTION,            EXC_DE,    0, 0                       },
    {"db",             EVENT_HARDWARE_EXCEPTION,            EXC_DB,    0, INTO_HLT                },
    {"br",             EVENT_HARDWARE_EXCEPTION,            EXC_BR,    0, 0                       },
    {"ud",             EVENT_HARDWARE_EXCEPTION,            EXC_UD,    0, 0                       },
    {"nm",             EVENT_HARDWARE_EXCEPTION,            EXC_NM,    0, 0                       },
    {"df",             EVENT_HARDWARE_EXCEPTION,            EXC_DF,    0, 0                       },
    {"ts",             EVENT_HARDWARE_EXCEPTION,            EXC_TS,    0, 0                       },
    {"np",             EVENT_HARDWARE_EXCEPTION,            EXC_NP,    0, 0                       },
    {"ss",             EVENT_HARDWARE_EXCEPTION,            EXC_SS,    0, 0                       },
    {"gp",             EVENT_HARDWARE_EXCEPTION,            EXC_GP,    0, 0                       },
    {"pf",             EVENT_HARDWARE_EXCEPTION,            EXC_PF,    0, 0                       },
    {"mf",             EVENT_HARDWARE_EXCEPTION,            EXC_MF,    0, 0                       },
    {"ac",             EVENT_HARDWARE_EXCEPTION,            EXC_AC,    0, 0                       },
    {"mc",             EVENT_HARDWARE_EXCEPTION,            EXC_MC,    0, INTO_HLT | INTO_SHUTDOWN},
    {"xm",             EVENT_HARDWARE_EXCEPTION,            EXC_XM,    0, 0                       },
    {"int-n",          EVENT_SOFTWARE_INTERRUPT,            INTERRUPT, 2, 0                       },
    {"int1",           EVENT_PRIVILEGED_SOFTWARE_EXCEPTION, EXC_DB,    1, 0                       },
    {"int3",           EVENT_SOFTWARE_EXCEPTION,            EXC_BP,    1, 0                       },
    {"into",           EVENT_SOFTWARE_EXCEPTION,            EXC_OF,    1, 0                       },
};

static bool has_error_code(const struct event_row *e, unsigned mode)
{
    return e->type == EVENT_HARDWARE_EXCEPTION && exceptions[e->vector].error_code && mode != SUBJECT_REAL;
}

static uint16_t error_code_of(const struct event_row *e)
{
    return e->vector == EXC_DF ? 0 : 0x0a58;
}

static const char *describe(const struct event_row *e, unsigned mode)
{
    vm_reset();
    const char *why = subject_modes[mode].enter();
    if (why)
        return why;
    vm_tables();
    vm_run(code_nothing);
    vm_set(GUEST_RIP, RETURN_ADDRESS);
    if (e->type == EVENT_EXTERNAL_INTERRUPT)
        vm_set_bits(GUEST_RFLAGS, RFLAGS_IF);
    if (mode == SUBJECT_V86)
        vm_set_bits(GUEST_RFLAGS, RFLAGS_IOPL);
    vm_set(VM_ENTRY_INTERRUPTION_INFO, event_info(e->type, e->vector, has_error_code(e, mode)));
    vm_set(VM_ENTRY_EXCEPTION_ERROR_CODE, has_error_code(e, mode) ? error_code_of(e) : 0);
    vm_set(VM_ENTRY_INSTRUCTION_LENGTH, e->length);
    vm_watch(GUEST_RSP);
    vm_watch(GUEST_SS_BASE);
    return NULL;
}

// ---- What was pushed ----

// Bytes of a pushed word by the gates of vm_tables(): those of 64-bit code in IA-32e mode, 16 bits in real mode.
static unsigned word_bytes(unsigned mode)
{
    if (mode == SUBJECT_REAL)
        return 2;
    return mode == SUBJECT_LONG || mode == SUBJECT_CPL3 || mode == SUBJECT_COMPATIBILITY ? 8 : 4;
}

static uint64_t pushed(unsigned index, unsigned mode)
{
    unsigned bytes = word_bytes(mode);
    uint64_t base = bytes == 8 ? 0 : vm_saw(GUEST_SS_BASE), value = 0;
    memcpy(&value, (const uint8_t *)(base + vm_saw(GUEST_RSP)) + index * bytes, bytes);
    return value;
}

static void expect_frame(const char *name, const struct event_row *e, unsigned mode)
{
    bool error = has_error_code(e, mode);
    section = "Details of Vectored-Event Injection";
    if (vector_reached() != e->vector) {
        skipped(name_of("%s-return-address", name), "it was not delivered");
        return;
    }
    expect_equal(name_of("%s-return-address", name), "return address", RETURN_ADDRESS + e->length,
                 pushed(error, mode));
    if (error)
        expect_equal(name_of("%s-error-code", name), "error code", error_code_of(e), pushed(0, mode));
    uint64_t flags = vm_get(GUEST_RFLAGS) & (mode == SUBJECT_REAL ? 0xffff : ~0ull);
    expect_equal(name_of("%s-rflags", name), "RFLAGS pushed", flags, pushed(2u + error, mode));
}

static void each_event(void)
{
    for (unsigned n = 0; n < array_size(events); n++)
        for (unsigned mode = 0; mode < SUBJECT_MODES; mode++) {
            const char *name = name_of("%s-%s", events[n].name, subject_modes[mode].name);
            const char *why = describe(&events[n], mode);
            section = "Vectored-Event Injection";
            if (why) {
                skipped(name, why);
                continue;
            }
            expect_delivered(name, events[n].vector);
            expect_frame(name, &events[n], mode);
        }
}

// ---- State behind the delivery ----

static const struct event_row *event_named(const char *name)
{
    for (unsigned n = 0; n < array_size(events); n++)
        if (strcmp(events[n].name, name) == 0)
            return &events[n];
    return &events[0];
}

static void state_behind(void)
{
    section = "Details of Vectored-Event Injection";
    describe(event_named("ud"), SUBJECT_LONG);
    vm_set_bits(GUEST_RFLAGS, RFLAGS_IF | RFLAGS_TF | RFLAGS_NT | RFLAGS_RF);
    expect_delivered("flags-delivered", EXC_UD);
    expect_equal("flags-behind", "IF, TF, NT, RF", 0,
                 result.rflags & (RFLAGS_IF | RFLAGS_TF | RFLAGS_NT | RFLAGS_RF));
    expect_equal("flags-pushed-rf", "RFLAGS.RF pushed", RFLAGS_RF, pushed(2, SUBJECT_LONG) & RFLAGS_RF);
    describe(event_named("db"), SUBJECT_LONG);
    vm_set(GUEST_DR7, DR7_INIT | DR7_GD);
    vm_watch(GUEST_DR7);
    write_dr6((uint32_t)DR6_INIT);
    expect_delivered("db-with-gd", EXC_DB);
    expect_equal("db-leaves-dr7", "DR7", DR7_INIT | DR7_GD, vm_saw(GUEST_DR7));
    expect_equal("db-leaves-dr6", "DR6", (uint32_t)DR6_INIT, read_dr6());
    write_cr2(0x5555000);
    describe(event_named("pf"), SUBJECT_LONG);
    expect_delivered("pf-injected", EXC_PF);
    expect_equal("pf-leaves-cr2", "CR2", 0x5555000, read_cr2());
    section = "VM-Entry Controls for Event Injection"; // every exit clears bit 31
    describe(event_named("ud"), SUBJECT_LONG);
    vm_watch(VM_ENTRY_INTERRUPTION_INFO);
    vm_enter();
    expect_equal("valid-cleared-by-exit", "VM-entry interruption information, bit 31", 0,
                 vm_saw(VM_ENTRY_INTERRUPTION_INFO) & EVENT_INFO_VALID);
    section = "VM-Entry Failures During or After Loading Guest State";
    describe(event_named("ud"), SUBJECT_LONG);
    vm_set(GUEST_ACTIVITY_STATE, BAD_ACTIVITY);
    vm_watch(VM_ENTRY_INTERRUPTION_INFO);
    expect_failed_entry("failed-entry", REASON_INVALID_GUEST_STATE, 0);
    expect_equal("valid-kept-by-failed-entry", "VM-entry interruption information, bit 31", EVENT_INFO_VALID,
                 vm_saw(VM_ENTRY_INTERRUPTION_INFO) & EVENT_INFO_VALID);
    section = "VMX-Preemption Timer"; // expires behind the injection, before the first instruction
    describe(event_named("ud"), SUBJECT_LONG);
    vm_set(PREEMPTION_TIMER_VALUE, 0);
    expect_reason("timer-0-behind-delivery", REASON_PREEMPTION_TIMER);
    expect_equal("timer-0-rip", "vector", EXC_UD, (uint64_t)vector_at(result.rip));
    expect_equal("timer-0-no-vectoring", "valid", 0, result.vectoring & EVENT_INFO_VALID);
}

// An injected event does not exit by the controls that would make one exit that happens.
static void never_exits_itself(void)
{
    section = "VM Exits During Event Injection";
    for (unsigned n = 0; n < array_size(events); n++) {
        describe(&events[n], SUBJECT_LONG);
        vm_set(EXCEPTION_BITMAP, 0xffffffff);
        expect_delivered(name_of("%s-bitmap-set", events[n].name), events[n].vector);
    }
}

// ---- Vectors ----

static void each_vector(void)
{
    section = "Vectored-Event Injection";
    for (unsigned v = 0; v < 256; v += v < 32 ? 1 : 0x11) {
        struct event_row e = {.type = EVENT_EXTERNAL_INTERRUPT, .vector = (uint8_t)v};
        describe(&e, SUBJECT_LONG);
        expect_delivered(name_of("interrupt-vector-%u", v), e.vector);
        e = (struct event_row){.type = EVENT_SOFTWARE_INTERRUPT, .vector = (uint8_t)v, .length = 2};
        describe(&e, SUBJECT_LONG);
        expect_delivered(name_of("int-n-vector-%u", v), e.vector);
    }
}

// ---- Instruction lengths ----

static void lengths(void)
{
    static const char *const software[] = {"int-n", "int1", "int3"};
    enum { LONGEST = 15 };
    section = "VM-Entry Control Fields";
    for (unsigned n = 0; n < array_size(software); n++)
        for (unsigned length = 0; length <= LONGEST + 1; length++) {
            struct event_row e = *event_named(software[n]);
            e.length = (uint8_t)length;
            const char *name = name_of("%s-length-%u", e.name, length);
            bool valid = length <= LONGEST && (length || processor.caps.misc & VMX_MISC_LENGTH_0);
            describe(&e, SUBJECT_LONG);
            if (valid) {
                expect_delivered(name, e.vector);
                expect_equal(name_of("%s-return-address", name), "return address", RETURN_ADDRESS + length,
                             pushed(0, SUBJECT_LONG));
            } else {
                vm_set(GUEST_ACTIVITY_STATE, BAD_ACTIVITY);
                expect_fail_valid(name, VM_ERROR_ENTRY_CONTROLS);
            }
        }
}

// ---- What is refused: the activity state is bad, too, so that nothing of it can be delivered ----

static void refuse(const char *name, uint32_t information, uint32_t error_code)
{
    vm_reset();
    vm_tables();
    vm_run(code_nothing);
    vm_set_bits(GUEST_RFLAGS, RFLAGS_IF);
    vm_set(VM_ENTRY_INTERRUPTION_INFO, information);
    vm_set(VM_ENTRY_EXCEPTION_ERROR_CODE, error_code);
    vm_set(VM_ENTRY_INSTRUCTION_LENGTH, 1);
    vm_set(GUEST_ACTIVITY_STATE, BAD_ACTIVITY);
    expect_fail_valid(name, VM_ERROR_ENTRY_CONTROLS);
}

// Any hardware exception may have an error code or not where IA32_VMX_BASIC says so.
static void error_codes(void)
{
    section = "VM-Entry Control Fields";
    for (unsigned v = 0; v < EXC_COUNT; v++)
        for (unsigned code = 0; code < 2; code++) {
            const char *name = name_of("exception-%u-%s-error-code", v, code ? "with" : "without");
            bool known = v < EXC_CP && v != EXC_VE;
            if (processor.caps.basic & VMX_BASIC_ANY_ERROR_CODE || !known)
                continue; // refused or not: the model says
            if (exceptions[v].error_code != code) {
                refuse(name, event_info(EVENT_HARDWARE_EXCEPTION, (uint8_t)v, code), 0);
                continue;
            }
            struct event_row e = {.type = EVENT_HARDWARE_EXCEPTION, .vector = (uint8_t)v};
            describe(&e, SUBJECT_LONG);
            vm_set(VM_ENTRY_EXCEPTION_ERROR_CODE, 0);
            expect_delivered(name, (uint8_t)v);
        }
    for (unsigned bit = 16; bit < 32; bit++) // bits 31:16; bit 15 some processors have
        refuse(name_of("error-code-bit-%u", bit), event_info(EVENT_HARDWARE_EXCEPTION, EXC_GP, true),
               1u << bit);
    for (unsigned type = EVENT_EXTERNAL_INTERRUPT; type <= EVENT_SOFTWARE_EXCEPTION; type++)
        if (type != EVENT_HARDWARE_EXCEPTION && type != EVENT_RESERVED)
            refuse(name_of("type-%u-with-error-code", type),
                   event_info((enum event_type)type, type == EVENT_NMI ? EXC_NMI : EXC_GP, true), 0);
}

static void malformed(void)
{
    section = "VM-Entry Control Fields";
    for (unsigned v = 0; v < 256; v += 0x33)
        refuse(name_of("type-1-vector-%u", v), event_info(EVENT_RESERVED, (uint8_t)v, false), 0);
    static const uint8_t not_nmi[] = {0, 1, 3, 18, 32, 255};
    for (unsigned n = 0; n < array_size(not_nmi); n++)
        refuse(name_of("nmi-vector-%u", not_nmi[n]), event_info(EVENT_NMI, not_nmi[n], false), 0);
    static const uint8_t beyond[] = {32, 33, 64, 128, 255};
    for (unsigned n = 0; n < array_size(beyond); n++)
        refuse(name_of("exception-vector-%u", beyond[n]),
               event_info(EVENT_HARDWARE_EXCEPTION, beyond[n], false), 0);
    static const uint8_t other[] = {1, 2, 3, 32, 255};
    for (unsigned n = 0; n < array_size(other); n++)
        refuse(name_of("type-7-vector-%u", other[n]), event_info(EVENT_OTHER, other[n], false), 0);
    if (!can(WORD_PRIMARY, PRIMARY_MONITOR_TRAP_FLAG))
        refuse("type-7-without-mtf", event_info(EVENT_OTHER, 0, false), 0);
    for (unsigned bit = 12; bit < 31; bit++)
        refuse(name_of("reserved-bit-%u", bit),
               event_info(EVENT_HARDWARE_EXCEPTION, EXC_UD, false) | 1u << bit, 0);
    section = "VM-Entry Control Fields"; // no error code into real mode
    describe(event_named("gp"), SUBJECT_REAL);
    vm_set(VM_ENTRY_INTERRUPTION_INFO, event_info(EVENT_HARDWARE_EXCEPTION, EXC_GP, true));
    vm_set(GUEST_ACTIVITY_STATE, BAD_ACTIVITY);
    expect_fail_valid("error-code-into-real-mode", VM_ERROR_ENTRY_CONTROLS);
}

// With bit 31 clear nothing else of the field is looked at.
static void not_valid(void)
{
    section = "VM-Entry Control Fields";
    for (unsigned type = EVENT_EXTERNAL_INTERRUPT; type <= EVENT_OTHER; type++) {
        vm_reset();
        vm_run(code_nothing);
        vm_set(VM_ENTRY_INTERRUPTION_INFO, ~EVENT_INFO_VALID & event_info((enum event_type)type, 0xfe, true));
        vm_set(VM_ENTRY_EXCEPTION_ERROR_CODE, 0xffffffff);
        expect_passed(name_of("not-valid-type-%u", type));
    }
}

// ---- Blocking and activity states ----

enum verdict { ENTERS, FAILS, MAY_FAIL };

static void blocked(const char *name, const char *event, uint32_t blocking, uint64_t flags, uint32_t activity,
                    enum verdict verdict)
{
    const struct event_row *e = event_named(event);
    describe(e, SUBJECT_LONG);
    vm_set(GUEST_RFLAGS, RFLAGS_FIXED1 | flags);
    vm_set(GUEST_INTERRUPTIBILITY_STATE, blocking);
    vm_set(GUEST_ACTIVITY_STATE, activity);
    if (verdict == FAILS) {
        expect_failed_entry(name, REASON_INVALID_GUEST_STATE, 0);
    } else if (verdict == ENTERS) {
        expect_delivered(name, e->vector);
        expect_equal(name_of("%s-behind", name), "interruptibility",
                     e->type == EVENT_NMI || blocking & BLOCKING_BY_NMI ? BLOCKING_BY_NMI : 0,
                     result.interruptibility);
    } else {
        vm_enter();
        info("%s: %s", name, result_words());
    }
}

static void blocking(void)
{
    const uint64_t on = RFLAGS_IF;
    section = "Checks on Guest RIP, RFLAGS, and SSP";
    blocked("interrupt-if-0", "interrupt", 0, 0, ACTIVITY_ACTIVE, FAILS);
    blocked("interrupt-if-1", "interrupt", 0, on, ACTIVITY_ACTIVE, ENTERS);
    section = "Checks on Guest Non-Register State";
    blocked("interrupt-sti", "interrupt", BLOCKING_BY_STI, on, ACTIVITY_ACTIVE, FAILS);
    blocked("interrupt-mov-ss", "interrupt", BLOCKING_BY_MOV_SS, on, ACTIVITY_ACTIVE, FAILS);
    blocked("interrupt-nmi-blocked", "interrupt", BLOCKING_BY_NMI, on, ACTIVITY_ACTIVE, ENTERS);
    blocked("nmi-sti", "nmi", BLOCKING_BY_STI, on, ACTIVITY_ACTIVE, MAY_FAIL);
    blocked("nmi-mov-ss", "nmi", BLOCKING_BY_MOV_SS, on, ACTIVITY_ACTIVE, FAILS);
    blocked("nmi-if-0", "nmi", 0, 0, ACTIVITY_ACTIVE, ENTERS);
    if (can(WORD_PIN, PIN_VIRTUAL_NMIS))
        blocked("nmi-nmi-blocked", "nmi", BLOCKING_BY_NMI, on, ACTIVITY_ACTIVE, FAILS);
    else
        skipped("nmi-nmi-blocked", "the processor has no virtual NMIs");
    section = "Interruptibility State"; // vectoring entries end blocking by STI and MOV SS
    static const char *const others[] = {"ud", "gp", "pf", "int-n", "int1", "int3"};
    for (unsigned n = 0; n < array_size(others); n++) {
        blocked(name_of("%s-if-0", others[n]), others[n], 0, 0, ACTIVITY_ACTIVE, ENTERS);
        blocked(name_of("%s-sti", others[n]), others[n], BLOCKING_BY_STI, on, ACTIVITY_ACTIVE, ENTERS);
        blocked(name_of("%s-mov-ss", others[n]), others[n], BLOCKING_BY_MOV_SS, on, ACTIVITY_ACTIVE, ENTERS);
        blocked(name_of("%s-nmi-blocked", others[n]), others[n], BLOCKING_BY_NMI, on, ACTIVITY_ACTIVE,
                ENTERS);
    }
}

// Which events may be injected into which activity state; behind it the processor is active.
static void activity(uint32_t state, const char *name, uint64_t capability)
{
    if (!(processor.caps.misc & capability)) {
        skipped(name_of("%s-events", name), "the processor does not have the activity state");
        return;
    }
    for (unsigned n = 0; n < array_size(events); n++) {
        const struct event_row *e = &events[n];
        describe(e, SUBJECT_LONG);
        vm_set(GUEST_ACTIVITY_STATE, state);
        vm_watch(GUEST_ACTIVITY_STATE);
        const char *point = name_of("%s-%s", name, e->name);
        if (!(e->states >> state & 1)) {
            expect_failed_entry(point, REASON_INVALID_GUEST_STATE, 0);
            continue;
        }
        expect_delivered(point, e->vector);
        expect_equal(name_of("%s-active", point), "activity state", ACTIVITY_ACTIVE,
                     vm_saw(GUEST_ACTIVITY_STATE));
    }
}

static void activity_states(void)
{
    section = "Checks on Guest Non-Register State";
    activity(ACTIVITY_HLT, "hlt", VMX_MISC_ACTIVITY_HLT);
    activity(ACTIVITY_SHUTDOWN, "shutdown", VMX_MISC_ACTIVITY_SHUTDOWN);
}

// ---- Faults while it is delivered ----

static uint64_t far_gates[512] __attribute__((aligned(4096)));
enum { GATE_BYTES = 16 };
enum second { GATE_UNREADABLE, GATE_ABSENT };

// The gates up to the event's own are in a page that is not there.
static void hide_gate(uint8_t vector)
{
    unsigned hidden = (vector + 1u) * GATE_BYTES;
    memset(far_gates, 0, sizeof far_gates);
    memcpy(far_gates, (uint8_t *)subject_idt + hidden, PAGE - hidden);
    vm_window(0, 0);
    vm_window(1, (word_t)far_gates | 3);
    vm_set(GUEST_IDTR_BASE, SUBJECT_WINDOW + PAGE - hidden);
}

static void describe_nested(const struct event_row *e, enum second second)
{
    describe(e, SUBJECT_LONG);
    if (second == GATE_UNREADABLE)
        hide_gate(e->vector);
    else
        subject_idt[2 * e->vector] &= ~(1ull << 47);
}

static bool external(const struct event_row *e) // to the program: sets EXT in error codes
{
    return e->type != EVENT_SOFTWARE_INTERRUPT && e->type != EVENT_SOFTWARE_EXCEPTION;
}

static uint16_t nested_error(const struct event_row *e, enum second second)
{
    enum { EXT = 1, IN_IDT = 2 };
    return second == GATE_UNREADABLE ? 0 : (uint16_t)(e->vector * 8 | IN_IDT | (external(e) ? EXT : 0));
}

static bool makes_double_fault(const struct event_row *e, uint8_t second)
{
    uint8_t a = e->type == EVENT_HARDWARE_EXCEPTION ? exceptions[e->vector].class : EXC_BENIGN;
    return (a == EXC_CONTRIBUTORY && second != EXC_PF) || a == EXC_PAGE_FAULT;
}

// The nested exception exits: the injected event is the one whose delivery it was.
static void nested_exit(const char *name, const struct event_row *e, enum second second, uint8_t vector)
{
    describe_nested(e, second);
    vm_set(EXCEPTION_BITMAP, 1u << vector);
    section = "VM Exits During Event Injection";
    expect_exception(name_of("%s-exits", name), vector, nested_error(e, second));
    section = "Information for VM Exits During Event Delivery";
    expect_equal(name_of("%s-vectoring", name), "IDT-vectoring information",
                 event_info(e->type, e->vector, has_error_code(e, SUBJECT_LONG)), result.vectoring);
    if (has_error_code(e, SUBJECT_LONG))
        expect_equal(name_of("%s-vectoring-error", name), "IDT-vectoring error code", error_code_of(e),
                     result.vectoring_error);
    section = "Information for VM Exits Due to Instruction Execution";
    if (e->length)
        expect_equal(name_of("%s-length", name), "instruction length", e->length, result.length);
    section = "Details of Vectored-Event Injection"; // the length is not added
    expect_equal(name_of("%s-rip", name), "RIP", RETURN_ADDRESS, result.rip);
}

// It does not exit: a double fault, or its own delivery with the old RIP.
static void nested_delivery(const char *name, const struct event_row *e, enum second second, uint8_t vector)
{
    section = "Details of Vectored-Event Injection";
    describe_nested(e, second);
    if (makes_double_fault(e, vector)) {
        vm_set(EXCEPTION_BITMAP, 1u << EXC_DF);
        expect_exception(name_of("%s-double-fault", name), EXC_DF, 0);
        return;
    }
    if (second == GATE_UNREADABLE && e->vector >= EXC_PF)
        return; // the gate of #PF is hidden, too
    if (!expect_delivered(name_of("%s-delivered", name), vector))
        return;
    expect_equal(name_of("%s-return-address", name), "return address", RETURN_ADDRESS,
                 pushed(1, SUBJECT_LONG));
    expect_equal(name_of("%s-error-code", name), "error code pushed", nested_error(e, second),
                 pushed(0, SUBJECT_LONG));
}

static void nested(void)
{
    for (unsigned n = 0; n < array_size(events); n++)
        for (unsigned second = GATE_UNREADABLE; second <= GATE_ABSENT; second++) {
            const struct event_row *e = &events[n];
            uint8_t vector = second == GATE_UNREADABLE ? EXC_PF : EXC_NP;
            const char *name = name_of("%s-then-%s", e->name, second == GATE_UNREADABLE ? "pf" : "np");
            if ((second == GATE_UNREADABLE && e->vector == 0xff) || e->vector == EXC_DF)
                continue;
            nested_exit(name, e, second, vector);
            if (!(second == GATE_ABSENT && e->vector == EXC_NP && e->type == EVENT_HARDWARE_EXCEPTION))
                nested_delivery(name, e, second, vector);
        }
    section = "VM Exits During Event Injection";
    describe_nested(event_named("df"), GATE_ABSENT);
    expect_exit("df-then-np-triple-fault", REASON_TRIPLE_FAULT, 0);
    describe_nested(event_named("df"), GATE_ABSENT);
    vm_set(EXCEPTION_BITMAP, 1u << EXC_NP);
    expect_exception("df-then-np-exits", EXC_NP, nested_error(event_named("df"), GATE_ABSENT));
    expect_equal("df-then-np-vectoring", "IDT-vectoring information",
                 event_info(EVENT_HARDWARE_EXCEPTION, EXC_DF, true), result.vectoring);
}

// ---- Privilege of the gate ----

static void gate_privilege(void)
{
    section = "Details of Vectored-Event Injection";
    for (unsigned n = 0; n < array_size(events); n++) {
        const struct event_row *e = &events[n];
        describe(e, SUBJECT_CPL3);
        subject_idt[2 * e->vector] &= ~(3ull << 45); // DPL 0
        const char *name = name_of("%s-gate-dpl-0-from-cpl3", e->name);
        if (external(e)) {
            expect_delivered(name, e->vector);
        } else {
            vm_set(EXCEPTION_BITMAP, 1u << EXC_GP);
            expect_exception(name, EXC_GP, e->vector * 8 | 2);
        }
    }
}

// ---- Beyond the limit of the IDT ----

static void beyond_limit(void)
{
    section = "Vectored-Event Injection";
    for (unsigned n = 0; n < array_size(events); n++) {
        const struct event_row *e = &events[n];
        if (makes_double_fault(e, EXC_GP) || e->vector == EXC_DF || e->vector == EXC_GP)
            continue;
        describe(e, SUBJECT_LONG);
        vm_set(GUEST_IDTR_LIMIT, e->vector * GATE_BYTES + GATE_BYTES - 2);
        vm_set(EXCEPTION_BITMAP, 1u << EXC_GP);
        expect_exception(name_of("%s-beyond-idt-limit", e->name), EXC_GP, e->vector * 8 | 2 | external(e));
        describe(e, SUBJECT_LONG);
        vm_set(GUEST_IDTR_LIMIT, e->vector * GATE_BYTES + GATE_BYTES - 1);
        expect_delivered(name_of("%s-at-idt-limit", e->name), e->vector);
    }
}

// ---- Virtual-8086 mode: IOPL, and redirection by CR4.VME ----

static uint8_t task[0x68 + 32 + 8192 / 8 + 1] __attribute__((aligned(16)));
enum { REDIRECTION = 0x68, IO_MAP_BASE = 0x66 };

static void use_task(bool to_protected)
{
    memset(task, 0, sizeof task);
    memcpy(task, subject_tss, REDIRECTION);
    task[IO_MAP_BASE] = REDIRECTION + 32;
    task[IO_MAP_BASE + 1] = 0;
    memset(task + REDIRECTION, to_protected ? 0xff : 0, 32);
    vm_set(GUEST_TR_BASE, (word_t)task);
    vm_set(GUEST_TR_LIMIT, sizeof task - 1);
}

static void describe_v86(unsigned iopl)
{
    describe(event_named("int-n"), SUBJECT_V86);
    vm_clear_bits(GUEST_RFLAGS, RFLAGS_IOPL);
    vm_set_bits(GUEST_RFLAGS, (uint64_t)iopl << RFLAGS_IOPL_SHIFT);
}

// Redirected: through the vector table at linear address 0, and with another IOPL and IF pushed where IOPL is below 3.
static void redirected(unsigned iopl, bool virtual_if)
{
    uint32_t *vector = (uint32_t *)(INTERRUPT * 4ul);
    __asm__("" : "+r"(vector)); // the compiler thinks that nothing is so near to 0
    uint32_t old = *vector;
    const char *name = name_of("v86-int-n-vme-redirected-iopl-%u-vif-%u", iopl, virtual_if);
    describe_v86(iopl);
    vm_set_bits(GUEST_CR4, CR4_VME);
    vm_set_bits(GUEST_RFLAGS, virtual_if ? RFLAGS_VIF : 0);
    use_task(false);
    *vector = (uint32_t)((word_t)vector_stub(INTERRUPT) >> 4) << 16;
    expect_delivered(name, INTERRUPT);
    *vector = old;
    uint64_t flags = pushed(2, SUBJECT_REAL), mask = RFLAGS_IOPL | RFLAGS_IF;
    uint64_t expected = iopl == 3 ? RFLAGS_IOPL : RFLAGS_IOPL | (virtual_if ? RFLAGS_IF : 0);
    expect_equal(name_of("%s-pushed", name), "IOPL and IF pushed", expected, flags & mask);
}

static void virtual_8086(void)
{
    section = "Details of Vectored-Event Injection";
    for (unsigned iopl = 0; iopl < 4; iopl++) {
        describe_v86(iopl);
        expect_delivered(name_of("v86-int-n-iopl-%u", iopl), INTERRUPT);
        describe_v86(iopl);
        vm_set_bits(GUEST_CR4, CR4_VME);
        use_task(true);
        expect_delivered(name_of("v86-int-n-vme-protected-iopl-%u", iopl), INTERRUPT);
        redirected(iopl, false);
        redirected(iopl, true);
    }
}

// ---- Blocking by NMI is what the field says, whatever was there at the entry before ----

CODE(code_stop, "");

static void blocking_is_loaded(void)
{
    section = "Interruptibility State";
    for (unsigned now = 0; now < 2; now++) {
        vm_reset();
        vm_run(code_stop);
        vm_flags = now ? 0 : PROBE_NMIS_BLOCKED;
        vm_set(GUEST_INTERRUPTIBILITY_STATE, now ? BLOCKING_BY_NMI : 0);
        expect_passed(name_of("nmi-blocking-%u-behind-%u", now, !now));
        expect_equal(name_of("nmi-blocking-%u-behind-%u-saved", now, !now), "blocking by NMI",
                     now ? BLOCKING_BY_NMI : 0, result.interruptibility & BLOCKING_BY_NMI);
    }
}

// An entry that ends before its first instruction, in the mode of the base.
static void describe_blocking(uint32_t blocking)
{
    vm_reset();
    vm_control(WORD_PIN, PIN_VIRTUAL_NMIS | PIN_PREEMPTION_TIMER, true);
    vm_set(PREEMPTION_TIMER_VALUE, 0);
    vm_set(GUEST_INTERRUPTIBILITY_STATE, blocking);
}

// What an attempt left is ended behind it, whatever base it had (docs/probe.md).
static void blocking_ends_behind_a_base(void)
{
    static const char name[] = "nmi-blocking-ends-behind-base";
    if (!can(WORD_PIN, PIN_VIRTUAL_NMIS) || !can(WORD_PIN, PIN_PREEMPTION_TIMER)) {
        skipped(name, "the processor has no virtual NMIs or no preemption timer");
        return;
    }
    section = "Interruptibility State";
    vm_reset();
    const char *why = vm_mode(MODE_PROTECTED);
    if (!why)
        why = vm_base();
    if (why)
        print("no base: %s\n", why);
    describe_blocking(BLOCKING_BY_NMI);
    expect_reason(name_of("%s-before", name), REASON_PREEMPTION_TIMER);
    describe_blocking(0);
    expect_reason(name_of("%s-reason", name), REASON_PREEMPTION_TIMER);
    expect_equal(name, "blocking by NMI", 0, result.interruptibility & BLOCKING_BY_NMI);
    vm_open();
}

BUCKET("events injected by VM entry")
{
    each_event();
    state_behind();
    never_exits_itself();
    each_vector();
    lengths();
    error_codes();
    malformed();
    not_valid();
    blocking();
    activity_states();
    nested();
    gate_privilege();
    beyond_limit();
    virtual_8086();
    blocking_is_loaded();
    blocking_ends_behind_a_base();
}
