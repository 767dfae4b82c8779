// Instruction information, displacement and length of exits by instructions: each form of operand, each register, MOV
// DR.
#include "guests/vmx/lib/encode.h"
#include "guests/vmx/lib/row_control.h"

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
    struct row_control control, enable;
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
    row_control_set(&e->control, true);
    row_control_set(&e->enable, true);
    return length;
}

static bool encodable_here(const struct encodable *e)
{
    return row_feature_there(e->needs) && row_control_there(&e->control) && row_control_there(&e->enable);
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

BUCKET("what exits by instructions say of their operands")
{
    each_form();
    each_register();
    operand_sizes();
    mov_dr();
}
