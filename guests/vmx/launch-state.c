// VMLAUNCH and VMRESUME against the launch state of a VMCS, and its life: what it holds over VMCLEAR and VMXOFF, and on
// another processor.
#include "guests/lib/smp.h"
#include "guests/vmx/lib/vmx.h"

static uint32_t *region, *other; // one page each, with the revision identifier

// A sequence with `region` current.
static void begin(void)
{
    region[0] = other[0] = vmx_basic_revision(processor.caps.basic);
    steps_begin();
    step(PROBE_DO_VMPTRLD, physical(region));
}

// ---- Each row one attempt: what comes of it, and the flags behind an instruction that fails ----

enum { ENTERS = 100, INVALID }; // else the number of an error

static const struct launch_row {
    const char *name;
    uint32_t flags;    // of the attempt
    bool launched;     // the VMCS, before
    bool bad_controls; // which are looked at later: "Basic VM-Entry Checks"
    uint8_t due;
} launch_rows[] = {
    {"vmlaunch-no-vmcs",             PROBE_NO_VMCS,                               false, false, INVALID                       },
    {"vmresume-no-vmcs",             PROBE_RESUME | PROBE_NO_VMCS,                false, false, INVALID                       },
    {"vmlaunch-no-vmcs-mov-ss",      PROBE_NO_VMCS | PROBE_MOV_SS,                false, false, INVALID                       },
    {"vmresume-no-vmcs-mov-ss",      PROBE_RESUME | PROBE_NO_VMCS | PROBE_MOV_SS, false, false, INVALID                       },
    {"vmlaunch-clear-mov-ss",        PROBE_MOV_SS,                                false, false, VM_ERROR_ENTRY_MOV_SS         },
    {"vmresume-clear-mov-ss",        PROBE_RESUME | PROBE_MOV_SS,                 false, false, VM_ERROR_ENTRY_MOV_SS         },
    {"vmlaunch-launched-mov-ss",     PROBE_MOV_SS,                                true,  false, VM_ERROR_ENTRY_MOV_SS         },
    {"vmresume-launched-mov-ss",     PROBE_RESUME | PROBE_MOV_SS,                 true,  false, VM_ERROR_ENTRY_MOV_SS         },
    {"vmlaunch-clear",               0,                                           false, false, ENTERS                        },
    {"vmresume-clear",               PROBE_RESUME,                                false, false, VM_ERROR_VMRESUME_NOT_LAUNCHED},
    {"vmlaunch-launched",            0,                                           true,  false, VM_ERROR_VMLAUNCH_NOT_CLEAR   },
    {"vmresume-launched",            PROBE_RESUME,                                true,  false, ENTERS                        },
    {"launch-state-before-controls", 0,                                           true,  true,  VM_ERROR_VMLAUNCH_NOT_CLEAR   },
    {"mov-ss-before-controls",       PROBE_MOV_SS,                                false, true,  VM_ERROR_ENTRY_MOV_SS         },
};

// Behaves as one that was never launched: another machine's VMXOFF came in between, before which every VMCS is cleared.
static bool launch_was_lost(void)
{
    if (vm_flags & PROBE_RESUME)
        return result.outcome == PROBE_FAIL_VALID && result.error == VM_ERROR_VMRESUME_NOT_LAUNCHED;
    return result.outcome == PROBE_ENTERED ||
           (result.outcome == PROBE_FAIL_VALID && result.error == VM_ERROR_ENTRY_CONTROLS);
}

static const char *attempt(const struct launch_row *r)
{
    enum { TRIES = 8 };
    const char *why = NULL;
    for (unsigned n = 0; n < TRIES; n++) {
        vm_reset();
        if (r->launched)
            vm_enter();
        if (r->bad_controls)
            vm_set(CR3_TARGET_COUNT, ~0u);
        vm_flags = r->flags | (r->launched ? PROBE_KEEP : 0);
        why = vm_enter();
        if (why || !r->launched || !launch_was_lost())
            break;
    }
    return why;
}

static void launch(const struct launch_row *r)
{
    enum { STATUS = RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF };
    const char *why = attempt(r);
    if (why) {
        skipped(r->name, why);
        return;
    }
    if (r->due == ENTERS || r->due == INVALID) {
        enum probe_outcome due = r->due == ENTERS ? PROBE_ENTERED : PROBE_FAIL_INVALID;
        expect_true(r->name, result.outcome == due, "expected %s\ngot %s",
                    r->due == ENTERS ? "an entry" : "VMfailInvalid", result_words());
    } else {
        expect_true(r->name, result.outcome == PROBE_FAIL_VALID && result.error == r->due,
                    "expected VM-instruction error %u\ngot %s", r->due, result_words());
    }
    if (r->due != ENTERS)
        expect_equal(name_of("%s-flags", r->name), "status flags", r->due == INVALID ? RFLAGS_CF : RFLAGS_ZF,
                     result.instruction_flags & STATUS);
}

// Only an entry that ends in an exit makes a VMCS launched: an error does not, a failed entry does not.
static void failed_entries_do_not_launch(void)
{
    section = "VM-Entry Failures During or After Loading Guest State";
    static const struct {
        const char *name;
        uint32_t field;
        uint64_t value;
    } causes[] = {
        {"controls",    CR3_TARGET_COUNT, ~0u},
        {"host-state",  HOST_CR4,         0  },
        {"guest-state", GUEST_RFLAGS,     0  },
    };
    for (unsigned i = 0; i < array_size(causes); i++) {
        vm_reset();
        vm_set(causes[i].field, causes[i].value);
        const char *why = vm_enter();
        vm_set(causes[i].field,
               vm_get(causes[i].field) ^ causes[i].value ^ vm_template.value[image_at(causes[i].field)]);
        vm_flags = PROBE_RESUME;
        if (!why)
            why = vm_again();
        expect_true(name_of("%s-fail-stays-clear", causes[i].name),
                    !why && result.outcome == PROBE_FAIL_VALID &&
                        result.error == VM_ERROR_VMRESUME_NOT_LAUNCHED,
                    "expected VM-instruction error 5 of VMRESUME\ngot %s", result_words());
        vm_flags = 0;
        why = vm_again();
        expect_true(name_of("%s-fail-then-launches", causes[i].name), !why && result.outcome == PROBE_ENTERED,
                    "expected an entry by VMLAUNCH\ngot %s", result_words());
    }
}

// ---- Contents: each VMCS its own, kept over VMCLEAR ----

static void two_regions(void)
{
    section = "Software Use of Virtual-Machine Control Structures";
    begin();
    step_with(PROBE_DO_VMWRITE, GUEST_RIP, 0x1111, 0, 0);
    step(PROBE_DO_VMPTRLD, physical(other));
    step_with(PROBE_DO_VMWRITE, GUEST_RIP, 0x2222, 0, 0);
    step(PROBE_DO_VMPTRLD, physical(region));
    const struct probe_step *first = step(PROBE_DO_VMREAD, GUEST_RIP);
    step(PROBE_DO_VMCLEAR, physical(region));
    step(PROBE_DO_VMPTRLD, physical(region));
    const struct probe_step *cleared = step(PROBE_DO_VMREAD, GUEST_RIP);
    step(PROBE_DO_VMPTRLD, physical(other));
    const struct probe_step *second = step(PROBE_DO_VMREAD, GUEST_RIP);
    if (!steps_ran("contents-apart"))
        return;
    expect_equal("contents-apart", "GUEST_RIP of the first", 0x1111, first->value);
    expect_equal("contents-apart-second", "GUEST_RIP of the second", 0x2222, second->value);
    expect_equal("contents-kept-over-vmclear", "GUEST_RIP", 0x1111, cleared->value);
}

// After VMXOFF and VMXON, what was cleared before is still there.
static void over_vmxoff(void)
{
    begin();
    step_with(PROBE_DO_VMWRITE, GUEST_RIP, 0x3333, 0, 0);
    step(PROBE_DO_VMCLEAR, physical(region));
    step(PROBE_DO_VMXOFF, 0);
    step(PROBE_DO_VMXON, physical(other));
    step(PROBE_DO_VMPTRLD, physical(region));
    const struct probe_step *s = step(PROBE_DO_VMREAD, GUEST_RIP);
    if (steps_ran("contents-kept-over-vmxoff"))
        expect_equal("contents-kept-over-vmxoff", "GUEST_RIP", 0x3333, s->value);
}

// ---- To another processor ----

enum { THERE = 4 };
static struct probe_step there[THERE];
static struct probe_attempt entries[2]; // by VMLAUNCH, and then by VMRESUME
static volatile sword_t opened, executed, entered[array_size(entries)];
static volatile unsigned there_on;
static volatile bool done;
static char stack[CPU_STACK_BYTES] __attribute__((aligned(16)));
CODE(landing_there, "");

static void on_the_other(unsigned id)
{
    (void)id;
    there_on = (unsigned)hypercall(HC_PROBE, PROBE_PROCESSOR, 0, 0, 0, 0);
    opened = hypercall(HC_PROBE, PROBE_OPEN, (word_t)landing_there, (word_t)scratch_page, 0, 0);
    executed = hypercall(HC_PROBE, PROBE_RUN, (word_t)there, array_size(there), 0, 0);
    for (unsigned n = 0; n < array_size(entries); n++)
        entered[n] = hypercall(HC_PROBE, PROBE_ATTEMPT, (word_t)&entries[n], 0, 0, 0);
    done = true;
}

static const char *start_the_other(void)
{
    enum { PATIENCE = 100000 };
    if (cpu_count() < 2)
        return "this machine has one vCPU";
    apic_map();
    apic_enable(true);
    if (!cpu_start(1, on_the_other, stack + sizeof stack))
        return "the second vCPU did not start";
    for (unsigned i = 0; !done && i < PATIENCE; i++)
        yield();
    if (!done || opened < 0 || executed < 0)
        return "the second vCPU could not use the probe";
    if (there_on == (unsigned)hypercall(HC_PROBE, PROBE_PROCESSOR, 0, 0, 0, 0))
        return "both vCPUs of this machine run on the same processor";
    return NULL;
}

// A field that this processor does not have; 0: it has all.
static uint32_t absent_field(void)
{
    for (unsigned i = 0; i < VMCS_FIELD_COUNT; i++)
        if (!field_exists(vmcs_fields[i].encoding))
            return vmcs_fields[i].encoding;
    return 0;
}

// Written and cleared here; loaded, read and written there; then cleared there and read here.
static void to_another_processor(void)
{
    section = "Software Use of Virtual-Machine Control Structures";
    there[0] = (struct probe_step){.instruction = PROBE_DO_VMPTRLD, .operand = physical(region)};
    there[1] = (struct probe_step){.instruction = PROBE_DO_VMREAD, .operand = GUEST_RIP};
    there[2] = (struct probe_step){.instruction = PROBE_DO_VMWRITE, .operand = GUEST_RSP, .value = 0x5555};
    there[3] = (struct probe_step){.instruction = PROBE_DO_VMREAD, .operand = absent_field()};
    entries[1].flags = PROBE_KEEP | PROBE_RESUME;
    begin();
    step_with(PROBE_DO_VMWRITE, GUEST_RIP, 0x4444, 0, 0);
    step(PROBE_DO_VMCLEAR, physical(region));
    const char *why = steps_run();
    if (!why)
        why = start_the_other();
    if (why) {
        static const char *const points[] = {"loads",        "reads",    "writes",
                                             "absent-field", "launches", "resumes"};
        for (unsigned n = 0; n < array_size(points); n++)
            skipped(name_of("another-processor-%s", points[n]), why);
        return;
    }
    step_succeeds("another-processor-loads", &there[0]);
    expect_equal("another-processor-reads", "GUEST_RIP", 0x4444, there[1].value);
    if (absent_field())
        step_fails_valid("another-processor-absent-field", &there[3], VM_ERROR_UNSUPPORTED_FIELD);
    else
        skipped("another-processor-absent-field", "the processor has every field");
    begin();
    const struct probe_step *s = step(PROBE_DO_VMREAD, GUEST_RSP);
    if (steps_ran("another-processor-writes"))
        expect_equal("another-processor-writes", "GUEST_RSP", 0x5555, s->value);
    for (unsigned n = 0; n < array_size(entries); n++)
        expect_true(n ? "another-processor-resumes" : "another-processor-launches",
                    entered[n] == 0 && entries[n].outcome == PROBE_ENTERED,
                    "expected an entry there\ngot answer %d, outcome %u", (int)entered[n],
                    (unsigned)entries[n].outcome);
}

BUCKET("VMLAUNCH, VMRESUME and the life of a VMCS")
{
    region = page_take();
    other = page_take();
    section = "VMLAUNCH and VMRESUME";
    for (unsigned n = 0; n < array_size(launch_rows); n++)
        launch(&launch_rows[n]);
    failed_entries_do_not_launch();
    two_regions();
    over_vmxoff();
    to_another_processor();
}
