// Instructions that exit: each with its control, reason, qualification and length, in each mode; and without the
// control.
#include "guests/vmx/lib/row_control.h"

// Code that means the same in all modes: registers as the table says, memory at RBX.
CODE(code_cpuid, "cpuid");
CODE(code_getsec, "getsec");
CODE(code_invd, "invd");
CODE(code_xsetbv, "xsetbv");
CODE(code_vmcall, "vmcall");
CODE(code_vmclear, "vmclear (%rbx)");
CODE(code_vmlaunch, "vmlaunch");
CODE(code_vmptrld, "vmptrld (%rbx)");
CODE(code_vmptrst, "vmptrst (%rbx)");
CODE(code_vmread, "vmread %rax, %rcx");
CODE(code_vmresume, "vmresume");
CODE(code_vmwrite, "vmwrite %rcx, %rax");
CODE(code_vmxoff, "vmxoff");
CODE(code_vmxon, "vmxon (%rbx)");
CODE(code_invept, "invept (%rbx), %rax");
CODE(code_invvpid, "invvpid (%rbx), %rax");
CODE(code_vmfunc, "vmfunc");
CODE(code_hlt, "hlt");
CODE(code_invlpg, "invlpg (%rbx)");
CODE(code_mwait, "mwait");
CODE(code_monitor, "monitor");
CODE(code_rdpmc, "rdpmc");
CODE(code_rdtsc, "rdtsc");
CODE(code_rdtscp, "rdtscp");
CODE(code_to_cr3, "mov %rax, %cr3");
CODE(code_from_cr3, "mov %cr3, %rax");
CODE(code_to_cr8, "mov %rax, %cr8");
CODE(code_from_cr8, "mov %cr8, %rax");
CODE(code_to_dr0, "mov %rax, %dr0");
CODE(code_from_dr7, "mov %dr7, %rax");
CODE(code_in, "inb %dx, %al");
CODE(code_out, "outb %al, %dx");
CODE(code_pause, "pause");
CODE(code_wbinvd, "wbinvd");
CODE(code_lgdt, "lgdt (%rbx)");
CODE(code_lidt, "lidt (%rbx)");
CODE(code_sgdt, "sgdt (%rbx)");
CODE(code_sidt, "sidt (%rbx)");
CODE(code_lldt, "lldt %cx");
CODE(code_ltr, "ltr %cx");
CODE(code_sldt, "sldt (%rbx)");
CODE(code_str, "str (%rbx)");
CODE(code_rdrand, "rdrand %eax");
CODE(code_rdseed, "rdseed %eax");
CODE(code_invpcid, "invpcid (%rbx), %rax");

// What comes of an instruction: an exit of its own, #UD, #GP(0), it passes, it halts, or it passes unless the model
// raises #GP.
enum outcome { EXITS = 'E', UD = 'U', GP = 'G', PASSES = 'P', HALTS = 'H', PASSES_OR_GP = 'p', NO_ROW = '-' };

enum { OPERAND = -1, QUIET_PORT = 0x220, TASK_SELECTOR = 0x68 };

// `in`: the first of subject_modes. "Relative Priority of Faults and VM Exits": invalid opcodes and faults based on
// privilege come first, but for MOV DR; the VMX instructions say in volume 3, "VMX Instructions", that they exit
// before they look at CPL, and after they look at the mode.
// clang-format off
static const struct intercept {
    const char *name, *code;
    struct row_control control; // that makes it exit
    uint8_t reason, length;
    char otherwise;         // without the control: enum outcome
    char in[6];
    int qualification;      // OPERAND: the operand's address
    int ax, cx;
    int needs;              // enum cpuid_feature
    struct row_control enable;  // without it: #UD
} intercepts[] = {
    {"cpuid",    code_cpuid,    ALWAYS,                    REASON_CPUID,            2, EXITS,  "EEEEE", 0, 0, 0, NO_FEATURE, ALWAYS},
    {"getsec",   code_getsec,   ALWAYS,                    REASON_GETSEC,           2, EXITS,  "-----", 0, 0, 0, FEATURE_SMX, ALWAYS},
    {"invd",     code_invd,     ALWAYS,                    REASON_INVD,             2, EXITS,  "GEEEG", 0, 0, 0, NO_FEATURE, ALWAYS},
    {"xsetbv",   code_xsetbv,   ALWAYS,                    REASON_XSETBV,           3, EXITS,  "GEEEG", 0, 1, 0, FEATURE_XSAVE, ALWAYS},
    {"vmcall",   code_vmcall,   ALWAYS,                    REASON_VMCALL,           3, EXITS,  "EEEEE", 0, 0, 0, NO_FEATURE, ALWAYS},
    {"vmclear",  code_vmclear,  ALWAYS,                    REASON_VMCLEAR,          4, EXITS,  "EUEUU", 0, 0, 0, NO_FEATURE, ALWAYS},
    {"vmlaunch", code_vmlaunch, ALWAYS,                    REASON_VMLAUNCH,         3, EXITS,  "EUEUU", 0, 0, 0, NO_FEATURE, ALWAYS},
    {"vmptrld",  code_vmptrld,  ALWAYS,                    REASON_VMPTRLD,          3, EXITS,  "EUEUU", 0, 0, 0, NO_FEATURE, ALWAYS},
    {"vmptrst",  code_vmptrst,  ALWAYS,                    REASON_VMPTRST,          3, EXITS,  "EUEUU", 0, 0, 0, NO_FEATURE, ALWAYS},
    {"vmread",   code_vmread,   ALWAYS,                    REASON_VMREAD,           3, EXITS,  "EUEUU", 0, 0, 0, NO_FEATURE, ALWAYS},
    {"vmresume", code_vmresume, ALWAYS,                    REASON_VMRESUME,         3, EXITS,  "EUEUU", 0, 0, 0, NO_FEATURE, ALWAYS},
    {"vmwrite",  code_vmwrite,  ALWAYS,                    REASON_VMWRITE,          3, EXITS,  "EUEUU", 0, 0, 0, NO_FEATURE, ALWAYS},
    {"vmxoff",   code_vmxoff,   ALWAYS,                    REASON_VMXOFF,           3, EXITS,  "EUEUU", 0, 0, 0, NO_FEATURE, ALWAYS},
    {"vmxon",    code_vmxon,    ALWAYS,                    REASON_VMXON,            4, EXITS,  "EUEUU", 0, 0, 0, NO_FEATURE, ALWAYS},
    {"invept",   code_invept,   ALWAYS,                    REASON_INVEPT,           5, EXITS,  "EUEUU", 0, 1, 0, NO_FEATURE, ALWAYS},
    {"invvpid",  code_invvpid,  ALWAYS,                    REASON_INVVPID,          5, EXITS,  "EUEUU", 0, 1, 0, NO_FEATURE, ALWAYS},
    {"vmfunc",   code_vmfunc,   ALWAYS,                    REASON_VMFUNC,           3, EXITS,  "-----", 0, 63, 0, NO_FEATURE, SECONDARY(VM_FUNCTIONS)},
    {"hlt",      code_hlt,      PRIMARY(HLT_EXITING),      REASON_HLT,              1, HALTS,  "GEEEG", 0, 0, 0, NO_FEATURE, ALWAYS},
    {"invlpg",   code_invlpg,   PRIMARY(INVLPG_EXITING),   REASON_INVLPG,           3, PASSES, "GEEEG", OPERAND, 0, 0, NO_FEATURE, ALWAYS},
    {"mwait",    code_mwait,    PRIMARY(MWAIT_EXITING),    REASON_MWAIT,            3, PASSES, "UEEEU", 0, 0, 0, FEATURE_MONITOR, ALWAYS},
    {"monitor",  code_monitor,  PRIMARY(MONITOR_EXITING),  REASON_MONITOR,          3, PASSES, "UEEEU", 0, 0x1000, 0, FEATURE_MONITOR, ALWAYS},
    {"rdpmc",    code_rdpmc,    PRIMARY(RDPMC_EXITING),    REASON_RDPMC,            2, PASSES_OR_GP, "GEEEG", 0, 0, 0, NO_FEATURE, ALWAYS},
    {"rdtsc",    code_rdtsc,    PRIMARY(RDTSC_EXITING),    REASON_RDTSC,            2, PASSES, "EEEEE", 0, 0, 0, NO_FEATURE, ALWAYS},
    {"rdtscp",   code_rdtscp,   PRIMARY(RDTSC_EXITING),    REASON_RDTSCP,           3, PASSES, "EEEEE", 0, 0, 0, FEATURE_RDTSCP, SECONDARY(RDTSCP)},
    {"to-cr3",   code_to_cr3,   PRIMARY(CR3_LOAD_EXITING), REASON_CR_ACCESS,        3, PASSES, "GEEEG", 0x003, OPERAND, 0, NO_FEATURE, ALWAYS},
    {"from-cr3", code_from_cr3, PRIMARY(CR3_STORE_EXITING), REASON_CR_ACCESS,       3, PASSES, "GEEEG", 0x013, 0, 0, NO_FEATURE, ALWAYS},
    {"to-cr8",   code_to_cr8,   PRIMARY(CR8_LOAD_EXITING), REASON_CR_ACCESS,        4, PASSES, "G----", 0x008, 0, 0, NO_FEATURE, ALWAYS},
    {"from-cr8", code_from_cr8, PRIMARY(CR8_STORE_EXITING), REASON_CR_ACCESS,       4, PASSES, "G----", 0x018, 0, 0, NO_FEATURE, ALWAYS},
    {"to-dr0",   code_to_dr0,   PRIMARY(MOV_DR_EXITING),   REASON_MOV_DR,           3, PASSES, "EEEEE", 0x000, 0, 0, NO_FEATURE, ALWAYS},
    {"from-dr7", code_from_dr7, PRIMARY(MOV_DR_EXITING),   REASON_MOV_DR,           3, PASSES, "EEEEE", 0x017, 0, 0, NO_FEATURE, ALWAYS},
    {"in",       code_in,       PRIMARY(UNCONDITIONAL_IO_EXITING), REASON_IO_INSTRUCTION, 1, PASSES, "GEEEG", 0x02200008, 0, 0, NO_FEATURE, ALWAYS},
    {"out",      code_out,      PRIMARY(UNCONDITIONAL_IO_EXITING), REASON_IO_INSTRUCTION, 1, PASSES, "GEEEG", 0x02200000, 0, 0, NO_FEATURE, ALWAYS},
    {"pause",    code_pause,    PRIMARY(PAUSE_EXITING),    REASON_PAUSE,            2, PASSES, "EEEEE", 0, 0, 0, NO_FEATURE, ALWAYS},
    {"wbinvd",   code_wbinvd,   SECONDARY(WBINVD_EXITING), REASON_WBINVD,           2, PASSES, "GEEEG", 0, 0, 0, NO_FEATURE, ALWAYS},
    {"lgdt",     code_lgdt,     SECONDARY(DESCRIPTOR_TABLE_EXITING), REASON_GDTR_IDTR_ACCESS, 3, PASSES, "GEEEG", 0, 0, 0, NO_FEATURE, ALWAYS},
    {"lidt",     code_lidt,     SECONDARY(DESCRIPTOR_TABLE_EXITING), REASON_GDTR_IDTR_ACCESS, 3, PASSES, "GEEEG", 0, 0, 0, NO_FEATURE, ALWAYS},
    {"sgdt",     code_sgdt,     SECONDARY(DESCRIPTOR_TABLE_EXITING), REASON_GDTR_IDTR_ACCESS, 3, PASSES, "EEEEE", 0, 0, 0, NO_FEATURE, ALWAYS},
    {"sidt",     code_sidt,     SECONDARY(DESCRIPTOR_TABLE_EXITING), REASON_GDTR_IDTR_ACCESS, 3, PASSES, "EEEEE", 0, 0, 0, NO_FEATURE, ALWAYS},
    {"lldt",     code_lldt,     SECONDARY(DESCRIPTOR_TABLE_EXITING), REASON_LDTR_TR_ACCESS, 3, PASSES, "GEEUU", 0, 0, 0, NO_FEATURE, ALWAYS},
    {"ltr",      code_ltr,      SECONDARY(DESCRIPTOR_TABLE_EXITING), REASON_LDTR_TR_ACCESS, 3, PASSES, "GEEUU", 0, 0, TASK_SELECTOR, NO_FEATURE, ALWAYS},
    {"sldt",     code_sldt,     SECONDARY(DESCRIPTOR_TABLE_EXITING), REASON_LDTR_TR_ACCESS, 3, PASSES, "EEEUU", 0, 0, 0, NO_FEATURE, ALWAYS},
    {"str",      code_str,      SECONDARY(DESCRIPTOR_TABLE_EXITING), REASON_LDTR_TR_ACCESS, 3, PASSES, "EEEUU", 0, 0, 0, NO_FEATURE, ALWAYS},
    {"rdrand",   code_rdrand,   SECONDARY(RDRAND_EXITING), REASON_RDRAND,           3, PASSES, "EEEEE", 0, 0, 0, FEATURE_RDRAND, ALWAYS},
    {"rdseed",   code_rdseed,   SECONDARY(RDSEED_EXITING), REASON_RDSEED,           3, PASSES, "EEEEE", 0, 0, 0, FEATURE_RDSEED, ALWAYS},
    {"invpcid",  code_invpcid,  PRIMARY(INVLPG_EXITING),   REASON_INVPCID,          5, PASSES, "GEEEG", 0, 2, 0, FEATURE_INVPCID, SECONDARY(INVPCID)},
};
// clang-format on

static uint8_t operand[576] __attribute__((aligned(64))); // an XSAVE area and more

// A pseudo-descriptor that loads what is there already, and a descriptor of a TSS that is not busy.
static void prepare_memory(const struct intercept *i)
{
    uint64_t base = vm_get(GUEST_GDTR_BASE);
    memset(operand, 0, sizeof operand);
    if (i->reason == REASON_GDTR_IDTR_ACCESS) {
        operand[0] = (uint8_t)vm_get(GUEST_GDTR_LIMIT);
        memcpy(operand + 2, &base, sizeof base);
    }
    subject_gdt[TASK_SELECTOR / 8] = 0x0000890000000067;
}

static void set_registers(const struct intercept *i)
{
    vm_gpr[0] = i->ax == OPERAND ? vm_get(GUEST_CR3) : (uint64_t)i->ax;
    vm_gpr[1] = (uint64_t)i->cx;
    vm_gpr[2] = i->reason == REASON_IO_INSTRUCTION ? QUIET_PORT : 0;
    vm_gpr[3] = (word_t)operand;
    vm_set(EXCEPTION_BITMAP, 0xffffffff);
    uint64_t xsave = entry_env_has(&processor, FEATURE_XSAVE) ? CR4_OSXSAVE : 0;
    vm_set_bits(GUEST_CR4, xsave | (entry_env_has(&processor, FEATURE_SMX) ? CR4_SMXE : 0));
}

static void describe(const struct intercept *i, bool exits, bool enabled)
{
    vm_reset();
    vm_tables();
    prepare_memory(i);
    vm_run(i->code);
    set_registers(i);
    row_control_set(&i->control, exits);
    row_control_set(&i->enable, enabled);
}

// Enters; one point.
static void expect_outcome(const char *name, char outcome, const struct intercept *i)
{
    switch ((enum outcome)outcome) {
    case EXITS:
        expect_reason(name, i->reason);
        break;
    case UD:
        expect_exception(name, VECTOR_UD, -1);
        break;
    case GP:
        expect_exception(name, VECTOR_GP, 0);
        break;
    case PASSES:
        expect_passed(name);
        break;
    case HALTS:
        vm_watch(GUEST_ACTIVITY_STATE);
        expect_reason(name, REASON_PREEMPTION_TIMER);
        expect_equal(name_of("%s-saved", name), "activity state", ACTIVITY_HLT, vm_saw(GUEST_ACTIVITY_STATE));
        break;
    case PASSES_OR_GP: {
        const char *why = vm_enter();
        bool fault = decode_event((uint32_t)result.interruption).vector == VECTOR_GP;
        expect_true(
            name,
            !why && (result.reason == REASON_VMCALL || (result.reason == REASON_EXCEPTION_OR_NMI && fault)),
            "expected no exit by the instruction\ngot %s", result_words());
        break;
    }
    case NO_ROW:
        break;
    }
}

// ---- In 64-bit mode at CPL 0 ----

static void exits(const struct intercept *i)
{
    section = i->control.word == WORD_NONE ? "Instructions That Cause VM Exits Unconditionally"
                                           : "Instructions That Cause VM Exits Conditionally";
    describe(i, true, true);
    expect_reason(name_of("%s-exits", i->name), i->reason);
    section = "Basic VM-Exit Information";
    if (!stepped_over(name_of("%s-qualification", i->name)))
        expect_equal(name_of("%s-qualification", i->name), "qualification",
                     i->qualification == OPERAND ? (word_t)operand : (uint64_t)i->qualification,
                     result.qualification);
    section = "Information for VM Exits Due to Instruction Execution";
    expect_equal(name_of("%s-length", i->name), "instruction length", i->length, result.length);
    section = "Saving RIP, RSP, RFLAGS, and SSP";
    expect_equal(name_of("%s-rip", i->name), "RIP", (word_t)i->code, result.rip);
}

static void does_not_exit(const struct intercept *i)
{
    section = "Instructions That Cause VM Exits Conditionally";
    const char *name = name_of("%s-without-control", i->name);
    if (must(i->control.word, i->control.bit)) {
        skipped(name, "the control cannot be 0 here");
        return;
    }
    describe(i, false, true);
    expect_outcome(name, i->otherwise, i);
}

// Invalid opcodes come before the exit.
static void is_disabled(const struct intercept *i)
{
    section = "Changes to Instruction Behavior in VMX Non-Root Operation";
    describe(i, true, false);
    expect_outcome(name_of("%s-disabled", i->name), UD, i);
}

// A control that the processor does not have is refused.
static bool refused(const struct intercept *i)
{
    if (row_control_there(&i->control) && row_control_there(&i->enable))
        return false;
    section = "VM-Execution Control Fields";
    describe(i, true, true);
    expect_fail_valid(name_of("%s-control-refused", i->name), VM_ERROR_ENTRY_CONTROLS);
    skipped(name_of("%s-exits", i->name), "the processor does not have its control");
    return true;
}

// Only functions 0 to 63 can be enabled, so that a greater number is an invalid opcode.
static void no_such_function(void)
{
    section = "Changes to Instruction Behavior in VMX Non-Root Operation";
    if (!can(WORD_SECONDARY, SECONDARY_VM_FUNCTIONS)) {
        skipped("vmfunc-64", "the processor has no VM functions");
        return;
    }
    vm_reset();
    vm_run(code_vmfunc);
    vm_control(WORD_SECONDARY, SECONDARY_VM_FUNCTIONS, true);
    vm_set(EXCEPTION_BITMAP, 1u << VECTOR_UD);
    vm_gpr[0] = 64;
    expect_exception("vmfunc-64", VECTOR_UD, -1);
}

static void each_instruction(void)
{
    for (unsigned n = 0; n < array_size(intercepts); n++) {
        const struct intercept *i = &intercepts[n];
        if (!row_feature_there(i->needs)) {
            skipped(name_of("%s-exits", i->name), "the processor does not have the instruction");
            continue;
        }
        if (refused(i))
            continue;
        exits(i);
        if (i->control.word != WORD_NONE)
            does_not_exit(i);
        if (i->enable.word != WORD_NONE)
            is_disabled(i);
    }
}

// ---- In other modes ----

static void in_mode(const struct intercept *i, unsigned m)
{
    const char *name = name_of("%s-in-%s", i->name, subject_modes[m].name);
    vm_reset();
    const char *why = subject_modes[m].enter();
    if (why) {
        skipped(name, why);
        return;
    }
    vm_tables();
    prepare_memory(i);
    vm_run(i->code);
    set_registers(i);
    row_control_set(&i->control, true);
    row_control_set(&i->enable, true);
    expect_outcome(name, i->in[m], i);
}

static void each_mode(void)
{
    section = "Relative Priority of Faults and VM Exits";
    for (unsigned n = 0; n < array_size(intercepts); n++) {
        const struct intercept *i = &intercepts[n];
        for (unsigned m = 0; i->in[m]; m++)
            if (i->in[m] != NO_ROW && row_feature_there(i->needs) && row_control_there(&i->control) &&
                row_control_there(&i->enable))
                in_mode(i, m);
    }
}

// ---- TPR threshold ----

CODE(code_set_cr8, "mov %rax, %cr8");

static void tpr_threshold(void)
{
    enum { VTPR = 0x80 };
    section = "TPR Virtualization";
    if (!can(WORD_PRIMARY, PRIMARY_TPR_SHADOW)) {
        skipped("tpr-threshold", "the processor has no TPR shadow");
        return;
    }
    for (unsigned threshold = 0; threshold < 16; threshold++)
        for (unsigned below = 0; below < 2; below++) {
            if (below && !threshold)
                continue;
            vm_reset();
            vm_run(code_set_cr8);
            scratch_page[VTPR] = 0xf0;
            vm_control(WORD_PRIMARY, PRIMARY_TPR_SHADOW, true);
            vm_control(WORD_PRIMARY, PRIMARY_CR8_LOAD_EXITING, false);
            vm_set(TPR_THRESHOLD, threshold);
            vm_gpr[0] = threshold - below;
            if (below)
                expect_exit(name_of("tpr-below-threshold-%u", threshold), REASON_TPR_BELOW_THRESHOLD, 0);
            else
                expect_passed(name_of("tpr-at-threshold-%u", threshold));
            expect_equal(name_of("tpr-%s-threshold-%u-kept", below ? "below" : "at", threshold), "VTPR",
                         (uint64_t)(threshold - below) << 4, scratch_page[VTPR]);
            if (below) // like a trap
                expect_equal(name_of("tpr-below-threshold-%u-rip", threshold), "RIP",
                             (word_t)code_set_cr8_end, result.rip);
        }
}

// ---- PAUSE-loop exiting ----

CODE(code_pause_loop, "1: pause; dec %ecx; jnz 1b");
CODE(code_pause_seldom, "1: pause; mov $400, %eax; 2: dec %eax; jnz 2b; dec %ecx; jnz 1b");

static void pause_loop(const char *name, const char *code, uint32_t gap, uint32_t window, bool user,
                       bool exits)
{
    vm_reset();
    if (user && vm_mode(MODE_LONG) == NULL)
        vm_user();
    vm_run(code);
    vm_control(WORD_SECONDARY, SECONDARY_PAUSE_LOOP_EXITING, true);
    vm_set(PLE_GAP, gap);
    vm_set(PLE_WINDOW, window);
    vm_gpr[1] = 100; // RCX
    if (exits)
        expect_exit(name, REASON_PAUSE, 0);
    else
        expect_passed(name);
}

static void pause_loops(void)
{
    enum { NEVER = (int)0xffffffff };
    section = "Instructions That Cause VM Exits Conditionally";
    if (!can(WORD_SECONDARY, SECONDARY_PAUSE_LOOP_EXITING)) {
        skipped("pause-loop", "the processor has no PAUSE-loop exiting");
        return;
    }
    pause_loop("pause-loop", code_pause_loop, (uint32_t)NEVER, 16, false, true);
    pause_loop("pause-loop-within-window", code_pause_loop, (uint32_t)NEVER, (uint32_t)NEVER, false, false);
    pause_loop("pause-loop-beyond-gap", code_pause_seldom, 64, 16, false, false);
    pause_loop("pause-loop-cpl3", code_pause_loop, (uint32_t)NEVER, 16, true, false);
}

// ---- XSAVES and XRSTORS: exit by EDX:EAX, IA32_XSS and the XSS-exiting bitmap ----

CODE(code_xsaves, "mov $0xda0, %ecx; wrmsr; xsaves (%rbx)");
CODE(code_xrstors, "mov $0xda0, %ecx; wrmsr; xrstors (%rbx)");

static uint32_t xss_bits(void) // that the processor has
{
    return box_cpuid(0xd, 1).r[CPUID_ECX];
}

static void describe_xsaves(const char *code, uint64_t xss, uint64_t bitmap, bool enabled)
{
    vm_reset();
    vm_run(code);
    memset(operand, 0, sizeof operand);
    operand[512 + 15] = 0x80; // XCOMP_BV: compacted
    vm_gpr[0] = xss;
    vm_gpr[3] = (word_t)operand;
    vm_set_bits(GUEST_CR4, CR4_OSXSAVE);
    vm_control(WORD_PRIMARY, PRIMARY_MSR_BITMAPS, true);
    vm_control(WORD_SECONDARY, SECONDARY_XSAVES, enabled);
    vm_set(XSS_EXITING_BITMAP, bitmap);
    vm_set(EXCEPTION_BITMAP, 0xffffffff);
}

static void xsaves_one(const char *name, const char *code, uint32_t reason)
{
    describe_xsaves(code, 0, ~0ull, true);
    expect_passed(name_of("%s-xss-0", name));
    describe_xsaves(code, 0, ~0ull, false);
    expect_exception(name_of("%s-disabled", name), VECTOR_UD, -1);
    uint32_t bit = xss_bits() & -xss_bits();
    if (!bit) {
        skipped(name_of("%s-exits", name), "the processor has no bits in IA32_XSS");
        return;
    }
    describe_xsaves(code, bit, bit, true);
    expect_exit(name_of("%s-exits", name), reason, 0);
    describe_xsaves(code, bit, ~(uint64_t)bit, true);
    expect_passed(name_of("%s-other-bits-in-bitmap", name));
}

static void xsaves(void)
{
    section = "Changes to Instruction Behavior in VMX Non-Root Operation";
    if (!row_feature_there(FEATURE_XSAVES) || !can(WORD_SECONDARY, SECONDARY_XSAVES)) {
        skipped("xsaves", "the processor has no XSAVES, or no control for it");
        return;
    }
    xsaves_one("xsaves", code_xsaves, REASON_XSAVES);
    xsaves_one("xrstors", code_xrstors, REASON_XRSTORS);
}

// ---- ENCLS: exits by the bitmap's bit for its leaf ----

CODE(code_encls, ".byte 0x0f, 0x01, 0xcf");

static const struct encls_row {
    const char *name;
    uint32_t leaf;
    uint64_t bitmap;
    bool exits;
} encls_rows[] = {
    {"encls-leaf-0",        0,   1,             true },
    {"encls-leaf-0-clear",  0,   ~1ull,         false},
    {"encls-leaf-62",       62,  1ull << 62,    true },
    {"encls-leaf-62-clear", 62,  ~(1ull << 62), false},
    {"encls-leaf-63",       63,  1ull << 63,    true },
    {"encls-leaf-63-clear", 63,  ~(1ull << 63), false},
    {"encls-leaf-64",       64,  1ull << 63,    true }, // all from 63 on
    {"encls-leaf-64-clear", 64,  ~(1ull << 63), false},
    {"encls-leaf-last",     ~0u, 1ull << 63,    true },
};

static void describe_encls(const struct encls_row *r)
{
    vm_reset();
    vm_tables();
    vm_run(code_encls);
    vm_gpr[0] = r->leaf;
    vm_gpr[3] = 1; // no leaf takes that for an address
    vm_control(WORD_SECONDARY, SECONDARY_ENCLS_EXITING, true);
    vm_set(ENCLS_EXITING_BITMAP, r->bitmap);
    vm_set(EXCEPTION_BITMAP, 0xffffffff);
}

static void encls(void)
{
    section = "VM-Execution Control Fields";
    if (!can(WORD_SECONDARY, SECONDARY_ENCLS_EXITING)) {
        describe_encls(&encls_rows[0]);
        expect_fail_valid("encls-control-refused", VM_ERROR_ENTRY_CONTROLS);
        skipped("encls-exits", "the processor does not have its control");
        return;
    }
    for (unsigned n = 0; n < array_size(encls_rows); n++) {
        const struct encls_row *r = &encls_rows[n];
        section = "Instructions That Cause VM Exits Conditionally";
        describe_encls(r);
        if (!r->exits) { // it executes, and finds fault with its operands
            expect_reason(r->name, REASON_EXCEPTION_OR_NMI);
            continue;
        }
        expect_exit(r->name, REASON_ENCLS, 0);
        section = "Information for VM Exits Due to Instruction Execution";
        expect_equal(name_of("%s-length", r->name), "instruction length", 3, result.length);
    }
    section = "Relative Priority of Faults and VM Exits";
    describe_encls(&encls_rows[0]);
    vm_mode(MODE_LONG);
    vm_user();
    vm_run(code_encls);
    expect_exception("encls-in-cpl3", VECTOR_UD, -1);
}

BUCKET("instructions that exit")
{
    each_instruction();
    no_such_function();
    each_mode();
    tpr_threshold();
    pause_loops();
    xsaves();
    encls();
}
