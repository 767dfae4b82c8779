// Instructions that exit: each with its control, reason, qualification, length and instruction information, in each
// mode; and without the control.
#include "guests/vmx/lib/encode.h"
#include "guests/vmx/lib/vmx.h"

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

struct control {
    uint8_t word; // enum vmcs_control_word; WORD_NONE: no control
    uint64_t bit;
};
#define PRIMARY(name)                \
    {                                \
        WORD_PRIMARY, PRIMARY_##name \
    }
#define SECONDARY(name)                  \
    {                                    \
        WORD_SECONDARY, SECONDARY_##name \
    }
#define ALWAYS       \
    {                \
        WORD_NONE, 0 \
    }

// What comes of an instruction: an exit of its own, #UD, #GP(0), it passes, it halts, or it passes unless the model
// raises #GP.
enum outcome { EXITS = 'E', UD = 'U', GP = 'G', PASSES = 'P', HALTS = 'H', PASSES_OR_GP = 'p', NO_ROW = '-' };

enum { NO_FEATURE = FEATURE_COUNT, OPERAND = -1, QUIET_PORT = 0x220, TASK_SELECTOR = 0x68 };

// `in`: the first of subject_modes. "Relative Priority of Faults and VM Exits": invalid opcodes and faults based on privilege come
// first, but for MOV DR; the VMX instructions say in volume 3, "VMX Instructions", that they exit before they look at
// CPL, and after they look at the mode.
// clang-format off
static const struct intercept {
    const char *name, *code;
    struct control control; // that makes it exit
    uint8_t reason, length;
    char otherwise;         // without the control: enum outcome
    char in[6];
    int qualification;      // OPERAND: the operand's address
    int ax, cx;
    int needs;              // enum cpuid_feature
    struct control enable;  // without it: #UD
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

static void set_control(const struct control *c, bool on)
{
    if (c->word != WORD_NONE)
        vm_control(c->word, c->bit, on);
}
static bool can_set(const struct control *c)
{
    return c->word == WORD_NONE || can(c->word, c->bit);
}
static bool has(int feature)
{
    return feature == NO_FEATURE || entry_env_has(&processor, (enum cpuid_feature)feature);
}

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
    set_control(&i->control, exits);
    set_control(&i->enable, enabled);
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
    if (can_set(&i->control) && can_set(&i->enable))
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
        if (!has(i->needs)) {
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
    set_control(&i->control, true);
    set_control(&i->enable, true);
    expect_outcome(name, i->in[m], i);
}

static void each_mode(void)
{
    section = "Relative Priority of Faults and VM Exits";
    for (unsigned n = 0; n < array_size(intercepts); n++) {
        const struct intercept *i = &intercepts[n];
        for (unsigned m = 0; i->in[m]; m++)
            if (i->in[m] != NO_ROW && has(i->needs) && can_set(&i->control) && can_set(&i->enable))
                in_mode(i, m);
    }
}

// ---- Instruction information and displacement, for each form of operand ----

enum kind { MEMORY_ONLY, MEMORY_AND_REG2, TABLE_REGISTER, SELECTOR, EITHER_AND_REG2, RANDOM };
enum { REG2 = 28, IDENTITY = 28, OPERAND_SIZE = 11 };

// clang-format off
#define PLAIN(prefix, ...) {prefix, {0x0f, __VA_ARGS__}, 2, false}
#define LONGER(prefix, last) {prefix, {0x0f, 0x38, last}, 3, false}
static const struct encodable {
    const char *name;
    struct opcode op;
    uint8_t extension; // of the opcode, in ModR/M
    uint8_t kind, reason, identity;
    struct control control, enable;
    int needs;
} encodables[] = {
    {"vmclear", PLAIN(0x66, 0xc7),  6, MEMORY_ONLY,     REASON_VMCLEAR, 0, ALWAYS, ALWAYS, NO_FEATURE},
    {"vmptrld", PLAIN(0, 0xc7),     6, MEMORY_ONLY,     REASON_VMPTRLD, 0, ALWAYS, ALWAYS, NO_FEATURE},
    {"vmptrst", PLAIN(0, 0xc7),     7, MEMORY_ONLY,     REASON_VMPTRST, 0, ALWAYS, ALWAYS, NO_FEATURE},
    {"vmxon",   PLAIN(0xf3, 0xc7),  6, MEMORY_ONLY,     REASON_VMXON,   0, ALWAYS, ALWAYS, NO_FEATURE},
    {"vmread",  PLAIN(0, 0x78),     0, EITHER_AND_REG2, REASON_VMREAD,  0, ALWAYS, ALWAYS, NO_FEATURE},
    {"vmwrite", PLAIN(0, 0x79),     0, EITHER_AND_REG2, REASON_VMWRITE, 0, ALWAYS, ALWAYS, NO_FEATURE},
    {"invept",  LONGER(0x66, 0x80), 0, MEMORY_AND_REG2, REASON_INVEPT,  0, ALWAYS, ALWAYS, NO_FEATURE},
    {"invvpid", LONGER(0x66, 0x81), 0, MEMORY_AND_REG2, REASON_INVVPID, 0, ALWAYS, ALWAYS, NO_FEATURE},
    {"invpcid", LONGER(0x66, 0x82), 0, MEMORY_AND_REG2, REASON_INVPCID, 0, PRIMARY(INVLPG_EXITING), SECONDARY(INVPCID), FEATURE_INVPCID},
    {"sgdt",    PLAIN(0, 1),        0, TABLE_REGISTER,  REASON_GDTR_IDTR_ACCESS, INSTR_SGDT, SECONDARY(DESCRIPTOR_TABLE_EXITING), ALWAYS, NO_FEATURE},
    {"sidt",    PLAIN(0, 1),        1, TABLE_REGISTER,  REASON_GDTR_IDTR_ACCESS, INSTR_SIDT, SECONDARY(DESCRIPTOR_TABLE_EXITING), ALWAYS, NO_FEATURE},
    {"lgdt",    PLAIN(0, 1),        2, TABLE_REGISTER,  REASON_GDTR_IDTR_ACCESS, INSTR_LGDT, SECONDARY(DESCRIPTOR_TABLE_EXITING), ALWAYS, NO_FEATURE},
    {"lidt",    PLAIN(0, 1),        3, TABLE_REGISTER,  REASON_GDTR_IDTR_ACCESS, INSTR_LIDT, SECONDARY(DESCRIPTOR_TABLE_EXITING), ALWAYS, NO_FEATURE},
    {"sldt",    PLAIN(0, 0),        0, SELECTOR,        REASON_LDTR_TR_ACCESS,   INSTR_SLDT, SECONDARY(DESCRIPTOR_TABLE_EXITING), ALWAYS, NO_FEATURE},
    {"str",     PLAIN(0, 0),        1, SELECTOR,        REASON_LDTR_TR_ACCESS,   INSTR_STR,  SECONDARY(DESCRIPTOR_TABLE_EXITING), ALWAYS, NO_FEATURE},
    {"lldt",    PLAIN(0, 0),        2, SELECTOR,        REASON_LDTR_TR_ACCESS,   INSTR_LLDT, SECONDARY(DESCRIPTOR_TABLE_EXITING), ALWAYS, NO_FEATURE},
    {"ltr",     PLAIN(0, 0),        3, SELECTOR,        REASON_LDTR_TR_ACCESS,   INSTR_LTR,  SECONDARY(DESCRIPTOR_TABLE_EXITING), ALWAYS, NO_FEATURE},
    {"rdrand",  PLAIN(0, 0xc7),     6, RANDOM,          REASON_RDRAND,  0, SECONDARY(RDRAND_EXITING), ALWAYS, FEATURE_RDRAND},
    {"rdseed",  PLAIN(0, 0xc7),     7, RANDOM,          REASON_RDSEED,  0, SECONDARY(RDSEED_EXITING), ALWAYS, FEATURE_RDSEED},
};

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R12 = 12, R13, R15 = 15 };
static const struct form {
    const char *name;
    struct operand operand;
} forms[] = {
    {"base",              {.has_base = true, .base = RBX, .segment = SEG_DS, .displacement = 0x12345678}},
    {"negative",          {.has_base = true, .base = RCX, .segment = SEG_DS, .displacement = -8}},
    {"stack",             {.has_base = true, .base = RSP, .segment = SEG_SS, .displacement = 0x10}},
    {"base-index",        {.has_base = true, .base = RSI, .has_index = true, .index = RDI, .segment = SEG_DS}},
    {"index-by-8",        {.has_base = true, .base = R13, .has_index = true, .index = R15, .scale_shift = 3, .segment = SEG_DS, .displacement = 4}},
    {"index-alone-by-4",  {.has_index = true, .index = RCX, .scale_shift = 2, .segment = SEG_DS, .displacement = 0x100}},
    {"absolute",          {.segment = SEG_DS, .displacement = 0x7654320}},
    {"rip-relative",      {.rip_relative = true, .segment = SEG_DS, .displacement = 0x100}},
    {"fs",                {.has_base = true, .base = RDX, .segment = SEG_FS, .displacement = 0x20}},
    {"gs-by-2",           {.has_base = true, .base = RAX, .has_index = true, .index = R12, .scale_shift = 1, .segment = SEG_GS}},
    {"address-32",        {.has_base = true, .base = RDI, .address_32 = true, .segment = SEG_DS, .displacement = 0x40}},
};
// clang-format on

// What the information says besides the operand, and the bits that are defined for the instruction.
static uint32_t information_of(const struct encodable *e, uint8_t reg)
{
    bool reg2 = e->kind == MEMORY_AND_REG2 || e->kind == EITHER_AND_REG2;
    return reg2 ? (uint32_t)reg << REG2 : (uint32_t)e->identity << IDENTITY;
}
static uint32_t defined_for(const struct encodable *e)
{
    static const uint32_t defined[] = {
        [MEMORY_ONLY] = 0,
        [MEMORY_AND_REG2] = 0xfu << REG2,
        [EITHER_AND_REG2] = 0xfu << REG2,
        [TABLE_REGISTER] = 3u << IDENTITY,
        [SELECTOR] = 3u << IDENTITY,
    };
    return defined[e->kind];
}

static unsigned describe_encoded(const struct encodable *e, const struct operand *to, uint8_t reg)
{
    unsigned length = encode(&e->op, to, reg);
    vm_reset();
    vm_run(encoded);
    set_control(&e->control, true);
    set_control(&e->enable, true);
    return length;
}

static bool encodable_here(const struct encodable *e)
{
    return has(e->needs) && can_set(&e->control) && can_set(&e->enable);
}

static void in_form(const struct encodable *e, const struct form *f)
{
    bool reg2 = e->kind == MEMORY_AND_REG2 || e->kind == EITHER_AND_REG2;
    uint8_t reg = reg2 ? R12 : e->extension;
    unsigned length = describe_encoded(e, &f->operand, reg);
    uint64_t displacement = (uint64_t)(int64_t)f->operand.displacement;
    if (f->operand.rip_relative)
        displacement += (word_t)encoded + length;
    section = "Exit Qualification";
    if (f->operand.address_32)
        expect_reason(name_of("%s-%s", e->name, f->name),
                      e->reason); // bits beyond the address size are undefined
    else
        expect_exit(name_of("%s-%s", e->name, f->name), e->reason, displacement);
    section = "Information for VM Exits Due to Instruction Execution";
    uint32_t defined = operand_information_defined(&f->operand) | defined_for(e);
    expect_equal(name_of("%s-%s-information", e->name, f->name), "instruction information",
                 (operand_information(&f->operand) | information_of(e, reg)) & defined,
                 result.information & defined);
    expect_equal(name_of("%s-%s-length", e->name, f->name), "instruction length", length, result.length);
}

static void each_form(void)
{
    for (unsigned n = 0; n < array_size(encodables); n++)
        for (unsigned f = 0; f < array_size(forms); f++)
            if (encodables[n].kind != RANDOM && encodable_here(&encodables[n]))
                in_form(&encodables[n], &forms[f]);
}

// ---- Each register, where an instruction names one ----

static void expect_information(const char *name, const struct encodable *e, uint32_t expected,
                               uint32_t defined)
{
    const char *why = vm_enter();
    uint32_t got = (uint32_t)result.information & defined;
    expect_true(name, !why && result.reason == e->reason && got == expected,
                "expected exit reason %u, instruction information %#x\ngot %s, instruction information %#x",
                e->reason, expected, result_words(), got);
}

static void by_register(const struct encodable *e, uint8_t reg)
{
    struct operand to = {.is_register = true, .base = reg};
    uint32_t defined = operand_information_defined(&to) | defined_for(e);
    uint8_t other = (uint8_t)(reg ^ 5);
    switch ((enum kind)e->kind) {
    case MEMORY_AND_REG2: {
        const struct operand memory = forms[0].operand;
        defined = operand_information_defined(&memory) | defined_for(e);
        describe_encoded(e, &memory, reg);
        expect_information(name_of("%s-register-%u", e->name, reg), e,
                           (operand_information(&memory) | information_of(e, reg)) & defined, defined);
        break;
    }
    case EITHER_AND_REG2:
        describe_encoded(e, &to, other);
        expect_information(name_of("%s-registers-%u-%u", e->name, reg, other), e,
                           (operand_information(&to) | information_of(e, other)) & defined, defined);
        break;
    case SELECTOR:
        describe_encoded(e, &to, e->extension);
        expect_information(name_of("%s-register-%u", e->name, reg), e,
                           (operand_information(&to) | information_of(e, 0)) & defined, defined);
        break;
    case RANDOM:
    case MEMORY_ONLY:
    case TABLE_REGISTER:
        break;
    }
}

// The destination in bits 6:3, its size in bits 12:11; the rest is undefined.
static void random(const struct encodable *e, uint8_t reg)
{
    enum { DEFINED = 0xf << 3 | 3 << OPERAND_SIZE };
    static const struct {
        const char *name;
        uint8_t prefix;
        bool wide;
        uint8_t size;
    } sizes[] = {
        {"16", 0x66, false, 0},
        {"32", 0,    false, 1},
        {"64", 0,    true,  2},
    };
    for (unsigned i = 0; i < array_size(sizes); i++) {
        if (!sizes[i].size && reg != RBX) // one register is enough
            continue;
        struct encodable sized = *e;
        sized.op.prefix = sizes[i].prefix;
        sized.op.wide = sizes[i].wide;
        describe_encoded(&sized, &(struct operand){.is_register = true, .base = reg}, e->extension);
        expect_information(name_of("%s-register-%u-%s", e->name, reg, sizes[i].name), e,
                           (uint32_t)reg << 3 | (uint32_t)sizes[i].size << OPERAND_SIZE, DEFINED);
    }
}

static void each_register(void)
{
    section = "Information for VM Exits Due to Instruction Execution";
    for (unsigned n = 0; n < array_size(encodables); n++)
        for (uint8_t reg = 0; reg < 16 && encodable_here(&encodables[n]); reg++)
            if (encodables[n].kind == RANDOM)
                random(&encodables[n], reg);
            else
                by_register(&encodables[n], reg);
}

// Outside 64-bit mode LGDT and its like have an operand size in bit 11.
static void operand_sizes(void)
{
    section = "Information for VM Exits Due to Instruction Execution";
    for (unsigned n = 0; n < array_size(encodables); n++)
        for (unsigned wide = 0; wide < 2; wide++) {
            struct encodable e = encodables[n];
            if (e.kind != TABLE_REGISTER || !encodable_here(&e))
                continue;
            e.op.prefix = wide ? 0 : 0x66;
            describe_encoded(&e, &forms[0].operand, e.extension);
            const char *name = name_of("%s-protected-operand-%u", e.name, wide ? 32 : 16),
                       *why = vm_mode(MODE_PROTECTED);
            if (why) {
                skipped(name, why);
                continue;
            }
            uint32_t defined =
                operand_information_defined(&forms[0].operand) | defined_for(&e) | 1u << OPERAND_SIZE;
            struct operand expected = forms[0].operand;
            expected.address_32 = true;
            vm_run(encoded);
            expect_information(name, &e,
                               operand_information(&expected) | information_of(&e, 0) | wide << OPERAND_SIZE,
                               defined);
        }
}

// ---- MOV DR: each register, and what the exit comes before ----

static void describe_mov_dr(unsigned dr, bool from, uint8_t gpr, bool exits)
{
    const struct opcode op = {
        0, {0x0f, from ? 0x21 : 0x23},
         2, false
    };
    encode(&op, &(struct operand){.is_register = true, .base = gpr}, (uint8_t)dr);
    vm_reset();
    vm_run(encoded);
    vm_control(WORD_PRIMARY, PRIMARY_MOV_DR_EXITING, exits);
    vm_set(EXCEPTION_BITMAP, 0xffffffff);
}

static uint64_t mov_dr_qualification(unsigned dr, bool from, uint8_t gpr)
{
    return dr | (uint64_t)from << 4 | (uint64_t)gpr << 8;
}

static void mov_dr(void)
{
    section = "Exit Qualification for MOV DR";
    for (unsigned from = 0; from < 2; from++) {
        const char *direction = from ? "from" : "to";
        for (uint8_t gpr = 0; gpr < 16; gpr++) {
            describe_mov_dr(gpr % 4, from, gpr, true);
            expect_exit(name_of("mov-%s-dr%u-register-%u", direction, gpr % 4, gpr), REASON_MOV_DR,
                        mov_dr_qualification(gpr % 4, from, gpr));
        }
        for (unsigned dr = 4; dr < 8; dr++) {
            describe_mov_dr(dr, from, RDX, true);
            expect_exit(name_of("mov-%s-dr%u", direction, dr), REASON_MOV_DR,
                        mov_dr_qualification(dr, from, RDX));
        }
    }
    section =
        "Instructions That Cause VM Exits Conditionally"; // "MOV DR": before #UD by CR4.DE, and #DB by DR7.GD
    for (unsigned dr = 4; dr < 6; dr++)
        for (unsigned exits = 0; exits < 2; exits++) {
            describe_mov_dr(dr, false, RAX, exits);
            vm_set_bits(GUEST_CR4, CR4_DE);
            if (exits)
                expect_exit(name_of("mov-dr%u-exit-before-ud", dr), REASON_MOV_DR,
                            mov_dr_qualification(dr, false, RAX));
            else
                expect_exception(name_of("mov-dr%u-ud", dr), VECTOR_UD, -1);
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
    if (!has(FEATURE_XSAVES) || !can(WORD_SECONDARY, SECONDARY_XSAVES)) {
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

// ---- Task switches: four sources, always ----

CODE(code_task_call, ".code32; lcall $0x68, $0; .code64");
CODE(code_task_jmp, ".code32; ljmp $0x68, $0; .code64");
CODE(code_task_iret, ".code32; iret; .code64");
CODE(code_task_int, ".code32; int $0x30; .code64");
CODE(code_task_ud, ".code32; ud2; .code64");

// Two task-state segments: the one that the subject runs on, which names the other as the one to go back to.
static uint32_t tasks[2][26];
enum {
    OUTER = SUBJECT_FREE,
    PRESENT_BUSY_TSS = 0x8b,
    TASK_GATE = 0x85,
    AVAILABLE_TSS = 0x89,
    GATE_VECTOR = 0x30
};

static void task_descriptor(uint16_t selector, const void *at, uint8_t type)
{
    uint64_t base = (word_t)at;
    subject_gdt[selector / 8] =
        (sizeof *tasks - 1) | (base & 0xffffff) << 16 | (uint64_t)type << 40 | (base >> 24 & 0xff) << 56;
}

static const struct task_row {
    const char *name, *code;
    uint8_t source, length;
    bool busy; // what it switches to
    uint32_t vectoring;
} task_rows[] = {
    {"call",      code_task_call, TASK_BY_CALL, 7, false, 0        },
    {"jmp",       code_task_jmp,  TASK_BY_JMP,  7, false, 0        },
    {"iret",      code_task_iret, TASK_BY_IRET, 1, true,  0        },
    {"int",       code_task_int,  TASK_BY_GATE, 2, false,
     EVENT_INFO_VALID | EVENT_SOFTWARE_INTERRUPT << 8 | GATE_VECTOR},
    {"exception", code_task_ud,   TASK_BY_GATE, 0, false,
     EVENT_INFO_VALID | EVENT_HARDWARE_EXCEPTION << 8 | VECTOR_UD  },
};

static const char *describe_task(const struct task_row *r)
{
    vm_reset();
    const char *why = vm_mode(MODE_PROTECTED);
    if (why)
        return why;
    vm_tables();
    tasks[0][0] = OUTER;
    vm_set(GUEST_TR_BASE, (word_t)tasks[0]);
    vm_set(GUEST_TR_LIMIT, sizeof *tasks - 1);
    task_descriptor(SUBJECT_TSS, tasks[0], PRESENT_BUSY_TSS);
    task_descriptor(OUTER, tasks[1], r->busy ? PRESENT_BUSY_TSS : AVAILABLE_TSS);
    subject_idt[GATE_VECTOR] = subject_idt[VECTOR_UD] = (uint64_t)OUTER << 16 | (uint64_t)TASK_GATE << 40;
    if (r->source == TASK_BY_IRET)
        vm_set_bits(GUEST_RFLAGS, RFLAGS_NT);
    vm_run(r->code);
    return NULL;
}

static void task_switches(void)
{
    for (unsigned n = 0; n < array_size(task_rows); n++) {
        const struct task_row *r = &task_rows[n];
        const char *why = describe_task(r);
        if (why) {
            skipped(name_of("task-%s", r->name), why);
            continue;
        }
        section = "Exit Qualification for Task Switches";
        expect_exit(name_of("task-%s", r->name), REASON_TASK_SWITCH, OUTER | (uint64_t)r->source << 30);
        section = "Information for VM Exits Due to Instruction Execution";
        if (r->length)
            expect_equal(name_of("task-%s-length", r->name), "instruction length", r->length, result.length);
        section = "Saving RIP, RSP, RFLAGS, and SSP";
        expect_equal(name_of("task-%s-rip", r->name), "RIP", (word_t)r->code, result.rip);
        section = "Information for VM Exits During Event Delivery";
        expect_equal(name_of("task-%s-vectoring", r->name), "IDT-vectoring information", r->vectoring,
                     result.vectoring & (r->vectoring ? ~0ull : EVENT_INFO_VALID));
        section = "Treatment of Task Switches"; // nothing of it has happened
        uint64_t type = subject_gdt[OUTER / 8] >> 40 & 0xff;
        expect_equal(name_of("task-%s-undone", r->name), "type of the new TSS",
                     r->busy ? PRESENT_BUSY_TSS : AVAILABLE_TSS, type);
    }
}

// What makes a task switch fault does so before the exit.
static void task_faults(void)
{
    section = "Treatment of Task Switches";
    struct task_row jmp = task_rows[1];
    jmp.busy = true;
    if (describe_task(&jmp)) {
        skipped("task-busy", "the processor has no unrestricted guest");
        return;
    }
    vm_set(EXCEPTION_BITMAP, 0xffffffff);
    expect_exception("task-jmp-to-busy", VECTOR_GP, OUTER);
    describe_task(&task_rows[1]);
    vm_set(EXCEPTION_BITMAP, 0xffffffff);
    subject_gdt[OUTER / 8] &= ~(1ull << 47); // P
    expect_exception("task-jmp-not-present", VECTOR_NP, OUTER);
}

BUCKET("instructions that exit")
{
    each_instruction();
    no_such_function();
    each_mode();
    each_form();
    each_register();
    operand_sizes();
    mov_dr();
    tpr_threshold();
    pause_loops();
    xsaves();
    encls();
    task_switches();
    task_faults();
}
