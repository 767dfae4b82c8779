// The VMX-preemption timer: when it expires, before and behind what, what is saved of it, and that it runs on while
// only the level below handles exits.
#include "guests/vmx/lib/vmx.h"

// Loops keep RDTSC: at their first instruction in R8, at the last one in R9. RCX: rounds.
#define NOW(reg) "rdtsc; shl $32, %rdx; lea (%rax, %rdx), " reg "; "

CODE(code_spin, NOW("%r8") "1: " NOW("%r9") "jmp 1b");
CODE(code_count, NOW("%r8") "1: " NOW("%r9") "dec %rcx; jnz 1b");
CODE(code_cpuid_loop, NOW("%r8") "1: xor %eax, %eax; cpuid; " NOW("%r9") "jmp 1b");
CODE(code_hlt, "hlt");
CODE(code_nops, "nop; nop; nop");
CODE(code_vmcall, "");

enum { MANY = 4 * RUN_TICKS, NEVER = (int)0xffffffff };

static unsigned rate(void)
{
    return vmx_misc_timer_rate(processor.caps.misc);
}

// How late the level below may be: another hypervisor has to be scheduled first.
static uint64_t bound(uint64_t ticks)
{
    return 4 * ticks + 20000000;
}

static void describe(const void *code, uint32_t value)
{
    vm_reset();
    vm_run(code);
    vm_set(PREEMPTION_TIMER_VALUE, value);
}

static bool expired(void)
{
    return result.outcome == PROBE_ENTERED && result.reason == REASON_PREEMPTION_TIMER;
}

// ---- When ----

// Counting may begin anywhere within a unit of the rate, so that the first one may be shorter.
static void one_value(uint32_t value)
{
    uint64_t ticks = (uint64_t)value << rate(), least = value ? (uint64_t)(value - 1) << rate() : 0;
    section = "VMX-Preemption Timer";
    describe(code_spin, value);
    expect_exit(name_of("value-%u-expires", value), REASON_PREEMPTION_TIMER, 0);
    expect_true(name_of("value-%u-not-early", value), expired() && result.ticks >= least,
                "expected at least %llu TSC ticks around the entry\ngot %llu", (unsigned long long)least,
                (unsigned long long)result.ticks);
    expect_true(name_of("value-%u-not-late", value), expired() && result.ticks <= bound(ticks),
                "expected at most %llu TSC ticks around the entry\ngot %llu",
                (unsigned long long)bound(ticks), (unsigned long long)result.ticks);
    section = "Information for VM Exits During Event Delivery";
    expect_equal(name_of("value-%u-no-vectoring", value), "valid", 0, result.vectoring & EVENT_INFO_VALID);
    if (value >= 1024)
        info("value %u, rate %u: expired within %llu ticks", value, rate(), (unsigned long long)result.ticks);
}

static void values(void)
{
    static const uint32_t all[] = {0, 1, 2, 3, 7, 16, 64, 256, 1024, 4096, 16384, 65536};
    for (unsigned n = 0; n < array_size(all); n++)
        one_value(all[n]);
    section = "VMX-Preemption Timer";
    describe(code_count, (uint32_t)NEVER);
    vm_gpr[1] = 1000;
    expect_passed("largest-value-does-not-expire");
    describe(code_count, 0);
    vm_gpr[1] = 1000;
    vm_control(WORD_PIN, PIN_PREEMPTION_TIMER, false);
    expect_passed("without-control-does-not-expire");
    describe(code_spin, 4096);
    vm_control(WORD_PRIMARY, PRIMARY_TSC_OFFSETTING, true);
    vm_set(TSC_OFFSET, 1ull << 60);
    expect_exit("tsc-offset-does-not-matter", REASON_PREEMPTION_TIMER, 0);
}

// ---- Zero: before the first instruction, in every mode and under whatever blocks interrupts ----

static void at_once(const char *name, uint64_t rip)
{
    section = "VMX-Preemption Timer";
    expect_exit(name, REASON_PREEMPTION_TIMER, 0);
    expect_equal(name_of("%s-rip", name), "RIP", rip, result.rip);
}

static void zero(void)
{
    for (unsigned mode = 0; mode < SUBJECT_MODES; mode++) {
        vm_reset();
        const char *why = subject_modes[mode].enter(), *name = name_of("zero-%s", subject_modes[mode].name);
        if (why) {
            skipped(name, why);
            continue;
        }
        vm_run(code_vmcall);
        vm_set(PREEMPTION_TIMER_VALUE, 0);
        at_once(name, vm_get(GUEST_RIP));
    }
    static const struct {
        const char *name;
        uint32_t blocking;
        uint64_t flags;
    } blocked[] = {
        {"if-0",      0,                                 0        },
        {"if-1",      0,                                 RFLAGS_IF},
        {"sti",       BLOCKING_BY_STI,                   RFLAGS_IF},
        {"mov-ss",    BLOCKING_BY_MOV_SS,                RFLAGS_IF},
        {"mov-ss-if", BLOCKING_BY_MOV_SS,                0        },
        {"nmi",       BLOCKING_BY_NMI,                   RFLAGS_IF},
        {"nmi-sti",   BLOCKING_BY_NMI | BLOCKING_BY_STI, RFLAGS_IF},
    };
    for (unsigned n = 0; n < array_size(blocked); n++) {
        describe(code_nops, 0);
        vm_set(GUEST_INTERRUPTIBILITY_STATE, blocked[n].blocking);
        vm_set_bits(GUEST_RFLAGS, blocked[n].flags);
        at_once(name_of("zero-blocking-%s", blocked[n].name), (word_t)code_nops);
        section = "Saving Non-Register State";
        expect_equal(name_of("zero-blocking-%s-kept", blocked[n].name), "interruptibility",
                     blocked[n].blocking, result.interruptibility);
    }
}

// ---- Before and behind what ----

static void priorities(void)
{
    section = "VMX-Preemption Timer"; // debug traps come first
    describe(code_nops, 0);
    vm_tables();
    vm_set(GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_BS);
    vm_set_bits(GUEST_RFLAGS, RFLAGS_TF);
    vm_set(EXCEPTION_BITMAP, 1u << EXC_DB);
    expect_exception("behind-pending-debug", EXC_DB, -1);
    describe(code_nops, 0);
    vm_tables();
    vm_set(GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_BS);
    vm_set_bits(GUEST_RFLAGS, RFLAGS_TF);
    expect_reason("behind-delivery-of-pending-debug", REASON_PREEMPTION_TIMER);
    expect_equal("behind-delivery-of-pending-debug-vector", "vector", EXC_DB,
                 (uint64_t)vector_at(result.rip));
    section = "Other Causes of VM Exits"; // what comes behind it
    describe(code_nops, 0);
    vm_set_bits(GUEST_RFLAGS, RFLAGS_IF);
    vm_control(WORD_PRIMARY, PRIMARY_INTERRUPT_WINDOW_EXITING, true);
    at_once("before-interrupt-window", (word_t)code_nops);
    if (can(WORD_PRIMARY, PRIMARY_NMI_WINDOW_EXITING)) {
        describe(code_nops, 0);
        vm_control(WORD_PRIMARY, PRIMARY_NMI_WINDOW_EXITING, true);
        at_once("before-nmi-window", (word_t)code_nops);
    } else {
        skipped("before-nmi-window", "the processor has no NMI-window exiting");
    }
    describe(code_nops, 0);
    vm_set_bits(GUEST_RFLAGS, RFLAGS_IF);
    vm_flags = PROBE_INTERRUPT;
    at_once("before-external-interrupt", (word_t)code_nops);
    describe(code_nops, NEVER); // its good neighbour: the interrupt is there
    vm_set_bits(GUEST_RFLAGS, RFLAGS_IF);
    vm_flags = PROBE_INTERRUPT;
    expect_reason("external-interrupt-without-timer", REASON_EXTERNAL_INTERRUPT);
}

// ---- While halted and shut down ----

static void halted(void)
{
    section = "VMX-Preemption Timer";
    describe(code_hlt, 4096);
    vm_control(WORD_PRIMARY, PRIMARY_HLT_EXITING, false);
    vm_watch(GUEST_ACTIVITY_STATE);
    expect_exit("halted-expires", REASON_PREEMPTION_TIMER, 0);
    expect_equal("halted-rip", "RIP", (word_t)code_hlt_end, result.rip);
    section = "Saving Non-Register State";
    expect_equal("halted-saved", "activity state", ACTIVITY_HLT, vm_saw(GUEST_ACTIVITY_STATE));
    static const struct {
        const char *name;
        uint32_t state;
        uint64_t capability;
    } states[] = {
        {"hlt",      ACTIVITY_HLT,      VMX_MISC_ACTIVITY_HLT     },
        {"shutdown", ACTIVITY_SHUTDOWN, VMX_MISC_ACTIVITY_SHUTDOWN},
    };
    for (unsigned n = 0; n < array_size(states); n++)
        for (uint32_t value = 0; value <= 4096; value += 4096) {
            const char *name = name_of("entered-in-%s-value-%u", states[n].name, value);
            section = "VMX-Preemption Timer";
            if (!(processor.caps.misc & states[n].capability)) {
                skipped(name, "the processor does not have the activity state");
                continue;
            }
            describe(code_nops, value);
            vm_set(GUEST_ACTIVITY_STATE, states[n].state);
            vm_watch(GUEST_ACTIVITY_STATE);
            at_once(name, (word_t)code_nops);
            section = "Saving Non-Register State";
            expect_equal(name_of("%s-saved", name), "activity state", states[n].state,
                         vm_saw(GUEST_ACTIVITY_STATE));
        }
}

// ---- What is saved ----

static bool can_save(const char *name)
{
    if (can(WORD_EXIT, EXIT_SAVE_PREEMPTION_TIMER))
        return true;
    skipped(name, "the processor cannot save the timer's value");
    return false;
}

// Remaining is at least what is left of the time around the entry, at most of the time inside.
static void expect_remaining(const char *name, uint32_t value)
{
    uint64_t inside = (vm_gpr[9] - vm_gpr[8]) >> rate(), around = (result.ticks >> rate()) + 1;
    uint64_t most = value > inside ? value - inside : 0, least = value > around ? value - around : 0;
    uint64_t got = vm_saw(PREEMPTION_TIMER_VALUE);
    expect_true(name, got >= least && got <= most, "expected a saved value of %llu to %llu\ngot %llu",
                (unsigned long long)least, (unsigned long long)most, (unsigned long long)got);
}

static void describe_saving(const void *code, uint32_t value, bool saves)
{
    describe(code, value);
    vm_control(WORD_EXIT, EXIT_SAVE_PREEMPTION_TIMER, saves);
    vm_watch(PREEMPTION_TIMER_VALUE);
}

static void saving(void)
{
    static const uint32_t rounds[] = {1, 10, 100, 1000};
    section = "Saving Non-Register State";
    if (!can_save("saves"))
        return;
    for (unsigned n = 0; n < array_size(rounds); n++) {
        describe_saving(code_count, MANY, true);
        vm_gpr[1] = rounds[n];
        expect_passed(name_of("saves-behind-%u-rounds", rounds[n]));
        expect_remaining(name_of("saves-behind-%u-rounds-value", rounds[n]), MANY);
        describe_saving(code_count, MANY, false);
        vm_gpr[1] = rounds[n];
        vm_enter();
        expect_equal(name_of("keeps-behind-%u-rounds", rounds[n]), "value", MANY,
                     vm_saw(PREEMPTION_TIMER_VALUE));
    }
    describe_saving(code_spin, 1000, true);
    expect_reason("saves-expired", REASON_PREEMPTION_TIMER);
    expect_equal("saves-expired-value", "value", 0, vm_saw(PREEMPTION_TIMER_VALUE));
    describe_saving(code_spin, 1000, false);
    expect_reason("keeps-expired", REASON_PREEMPTION_TIMER);
    expect_equal("keeps-expired-value", "value", 1000, vm_saw(PREEMPTION_TIMER_VALUE));
    section = "VM-Exit Control Fields";
    describe_saving(code_count, 0, true);
    vm_control(WORD_PIN, PIN_PREEMPTION_TIMER, false);
    expect_fail_valid("save-without-timer", VM_ERROR_ENTRY_CONTROLS);
}

// Each CPUID exits to the test, which goes on behind it. With the value saved the time adds up; without it begins anew.
static unsigned exits_until_expired(bool saves, uint32_t value, unsigned most)
{
    describe_saving(code_cpuid_loop, value, saves);
    const char *why = vm_enter();
    for (unsigned exits = 0; exits < most; exits++) {
        if (why || result.reason != REASON_CPUID)
            return exits;
        vm_set(GUEST_RIP, result.rip + result.length);
        why = vm_continue();
    }
    return most;
}

static void across_exits(void)
{
    enum { VALUE = 500, MOST = 2000 };
    section = "Saving Non-Register State";
    if (!can_save("adds-up"))
        return;
    uint32_t value = VALUE << 8 >> rate(); // far more than one round takes
    unsigned exits = exits_until_expired(true, VALUE, MOST);
    expect_true("adds-up-over-exits", expired() && exits < MOST,
                "expected the timer to expire within %u exits that are handled here\ngot %u exits, then %s",
                MOST, exits, result_words());
    exits = exits_until_expired(false, value, MOST / 10);
    expect_true("begins-anew-without-saving", exits == MOST / 10,
                "expected no expiry within %u exits that each reset the timer\ngot %u exits, then %s",
                MOST / 10, exits, result_words());
}

// ---- Exits that only the level below takes: the timer counts on, and expires on time ----

CODE(code_in, NOW("%r8") "1: mov $0x220, %edx; inb %dx, %al; " NOW("%r9") "dec %rcx; jnz 1b");
CODE(code_out, NOW("%r8") "1: mov $0x220, %edx; outb %al, %dx; " NOW("%r9") "dec %rcx; jnz 1b");
CODE(code_memory,
     NOW("%r8") "1: mov (%rsi), %al; add $4096, %rsi; cmp %rdi, %rsi; jb 2f; mov %rbx, %rsi; 2: " NOW(
         "%r9") "dec %r10; jnz 1b");
CODE(code_rdmsr, NOW("%r8") "1: mov $0x174, %ecx; rdmsr; " NOW("%r9") "dec %r10; jnz 1b");
CODE(code_wrmsr,
     NOW("%r8") "1: mov $0x174, %ecx; xor %eax, %eax; xor %edx, %edx; wrmsr; " NOW("%r9") "dec %r10; jnz 1b");
CODE(code_to_cr0,
     NOW("%r8") "1: mov %cr0, %rax; xor $8, %rax; mov %rax, %cr0; " NOW("%r9") "dec %rcx; jnz 1b");
CODE(code_to_cr3, NOW("%r8") "1: mov %cr3, %rax; mov %rax, %cr3; " NOW("%r9") "dec %rcx; jnz 1b");
CODE(code_invlpg, NOW("%r8") "1: invlpg (%rbx); " NOW("%r9") "dec %rcx; jnz 1b");
CODE(code_wbinvd, NOW("%r8") "1: wbinvd; " NOW("%r9") "dec %rcx; jnz 1b");
CODE(code_mov_dr, NOW("%r8") "1: mov %dr7, %rax; mov %rax, %dr7; " NOW("%r9") "dec %rcx; jnz 1b");
CODE(code_pause, NOW("%r8") "1: pause; " NOW("%r9") "dec %rcx; jnz 1b");

static const struct passed_through {
    const char *name, *code;
    uint8_t word;
    uint64_t exiting; // the control that must be 0
} passed_through[] = {
    {"in",     code_in,     WORD_PRIMARY,   PRIMARY_UNCONDITIONAL_IO_EXITING                    },
    {"out",    code_out,    WORD_PRIMARY,   PRIMARY_UNCONDITIONAL_IO_EXITING                    },
    {"memory", code_memory, WORD_NONE,      0                                                   },
    {"rdmsr",  code_rdmsr,  WORD_NONE,      0                                                   },
    {"wrmsr",  code_wrmsr,  WORD_NONE,      0                                                   },
    {"cr0",    code_to_cr0, WORD_NONE,      0                                                   },
    {"cr3",    code_to_cr3, WORD_PRIMARY,   PRIMARY_CR3_LOAD_EXITING | PRIMARY_CR3_STORE_EXITING},
    {"invlpg", code_invlpg, WORD_PRIMARY,   PRIMARY_INVLPG_EXITING                              },
    {"wbinvd", code_wbinvd, WORD_SECONDARY, SECONDARY_WBINVD_EXITING                            },
    {"dr",     code_mov_dr, WORD_PRIMARY,   PRIMARY_MOV_DR_EXITING                              },
    {"pause",  code_pause,  WORD_PRIMARY,   PRIMARY_PAUSE_EXITING                               },
};

static void describe_passing(const struct passed_through *p, uint32_t value, uint64_t rounds, bool saves)
{
    describe_saving(p->code, value, saves);
    if (p->exiting)
        vm_control(p->word, p->exiting, false);
    vm_control(WORD_PRIMARY, PRIMARY_MSR_BITMAPS, true); // the bitmap is empty: none exits
    vm_gpr[1] = vm_gpr[10] = rounds;
    vm_gpr[3] = vm_gpr[6] = (word_t)image_start;
    vm_gpr[7] = (word_t)image_end;
}

static void runs_on(void)
{
    enum { VALUE_TICKS = 60000, ENDLESS = 1 << 30, SHORT = 20, LONG_TICKS = 1 << 30 };
    for (unsigned n = 0; n < array_size(passed_through); n++) {
        const struct passed_through *p = &passed_through[n];
        if (p->exiting && must(p->word, p->exiting)) {
            skipped(name_of("runs-on-over-%s", p->name), "the processor cannot pass it through");
            continue;
        }
        section = "VMX-Preemption Timer";
        describe_passing(p, VALUE_TICKS >> rate(), ENDLESS, false);
        expect_exit(name_of("runs-on-over-%s", p->name), REASON_PREEMPTION_TIMER, 0);
        uint64_t inside = vm_gpr[9] - vm_gpr[8];
        expect_true(name_of("runs-on-over-%s-in-time", p->name), expired() && inside <= bound(VALUE_TICKS),
                    "expected expiry within %llu ticks of the guest's TSC\ngot %llu, %s",
                    (unsigned long long)bound(VALUE_TICKS), (unsigned long long)inside, result_words());
        vm_set(PREEMPTION_TIMER_VALUE, (uint32_t)NEVER); // once: it goes on to the end
        vm_gpr[1] = vm_gpr[10] = SHORT;
        const char *why = vm_continue();
        expect_true(name_of("runs-on-over-%s-once", p->name), !why && result.reason == REASON_VMCALL,
                    "expected the code to reach its end\ngot %s", result_words());
        section = "Saving Non-Register State";
        if (!can(WORD_EXIT, EXIT_SAVE_PREEMPTION_TIMER))
            continue;
        describe_passing(p, LONG_TICKS >> rate(), SHORT * 10, true);
        expect_passed(name_of("saves-over-%s", p->name));
        expect_remaining(name_of("saves-over-%s-value", p->name), LONG_TICKS >> rate());
    }
}

BUCKET("the VMX-preemption timer")
{
    if (!can(WORD_PIN, PIN_PREEMPTION_TIMER)) {
        skipped("expires", "the processor has no VMX-preemption timer");
        return;
    }
    values();
    zero();
    priorities();
    halted();
    saving();
    across_exits();
    runs_on();
}
