// What VM entry loads and VM exit saves and loads: registers, with each control on and off, the TSC offset.
#include "guests/vmx/lib/vmx.h"
#include "sdm/msr.h"

CODE(code_nothing, "");

// ---- Every field is saved as it was loaded ----

// Values that differ from one another and from what is there otherwise, as far as the mode allows.
static void make_distinct(unsigned mode)
{
    bool bases = mode != SUBJECT_V86;
    static const struct {
        uint32_t field;
        uint64_t value;
    } everywhere[] =
        {
            {GUEST_SYSENTER_CS,        0x5a50               },
            {GUEST_SYSENTER_ESP,       0x11223344           },
            {GUEST_SYSENTER_EIP,       0x55667788           },
            {GUEST_GDTR_BASE,          0x123450             },
            {GUEST_GDTR_LIMIT,         0x4567               },
            {GUEST_IDTR_BASE,          0x234560             },
            {GUEST_IDTR_LIMIT,         0x5678               },
            {GUEST_TR_BASE,            0x345670             },
            {GUEST_TR_LIMIT,           0x6789               },
            {GUEST_TR_SELECTOR,        0x1238               },
            {GUEST_LDTR_SELECTOR,      0x2348               },
            {GUEST_LDTR_BASE,          0x456780             },
            {GUEST_LDTR_LIMIT,         0x789a               },
            {GUEST_LDTR_ACCESS_RIGHTS, AR_TYPE_LDT | AR_P   },
            {GUEST_DR7,                DR7_INIT | 0x0f0f0000},
    },
      segments[] = {
          {GUEST_ES_SELECTOR, 0x3458}, {GUEST_DS_SELECTOR, 0x4568}, {GUEST_FS_SELECTOR, 0x5678},
          {GUEST_GS_SELECTOR, 0x6788}, {GUEST_FS_BASE, 0x567890},   {GUEST_GS_BASE, 0x678900},
          {GUEST_FS_LIMIT, 0x89ab},    {GUEST_GS_LIMIT, 0x9abc},
      };
    for (unsigned n = 0; n < array_size(everywhere); n++)
        vm_set(everywhere[n].field, everywhere[n].value);
    for (unsigned n = 0; bases && n < array_size(segments); n++)
        vm_set(segments[n].field, segments[n].value);
    if (bases) { // below 1 MB only without granularity
        vm_clear_bits(GUEST_FS_ACCESS_RIGHTS, AR_G);
        vm_clear_bits(GUEST_GS_ACCESS_RIGHTS, AR_G);
    }
    vm_set_bits(GUEST_CR0, CR0_MP);
    vm_set_bits(GUEST_CR4, CR4_TSD | CR4_DE);
    vm_set_bits(GUEST_RFLAGS, RFLAGS_CF | RFLAGS_AF | RFLAGS_OF | RFLAGS_ID);
    vm_set(GUEST_INTERRUPTIBILITY_STATE, 0);
}

static bool is_saved(uint32_t field, unsigned mode)
{
    static const uint32_t others[] = {
        GUEST_INTERRUPT_STATUS,
        GUEST_PML_INDEX,
        GUEST_UINV,
        GUEST_SMBASE,
        PREEMPTION_TIMER_VALUE,
        GUEST_PERF_GLOBAL_CTRL,
        GUEST_BNDCFGS,
        GUEST_RTIT_CTL,
        GUEST_LBR_CTL,
        GUEST_PKRS,
        GUEST_S_CET,
        GUEST_SSP,
        GUEST_INTERRUPT_SSP_TABLE_ADDRESS,
        GUEST_PDPTE1,
        GUEST_PDPTE2,
        GUEST_PDPTE3, // not present
    };
    for (unsigned n = 0; n < array_size(others); n++)
        if (field == others[n])
            return false;
    if (field == GUEST_PDPTE0 && mode != SUBJECT_PAE)
        return false;
    return vmcs_group(field) == VMCS_GUEST && field_exists(field) &&
           !(field >= GUEST_FRED_CONFIG && field <= GUEST_FRED_SSP3);
}

enum { AT_ONCE = 15 };

static unsigned describe_saved(unsigned mode, unsigned first)
{
    vm_reset();
    if (subject_modes[mode].enter())
        return VMCS_FIELD_COUNT;
    vm_run(code_nothing);
    make_distinct(mode);
    for (unsigned at = first, n = 0; at < VMCS_FIELD_COUNT; at++)
        if (is_saved(vmcs_fields[at].encoding, mode)) {
            if (n++ == AT_ONCE)
                return at;
            vm_watch(vmcs_fields[at].encoding);
        }
    return VMCS_FIELD_COUNT;
}

static void saved_as_loaded(unsigned mode)
{
    section = "Saving Guest State";
    for (unsigned first = 0, next; first < VMCS_FIELD_COUNT; first = next) {
        next = describe_saved(mode, first);
        const char *why = vm_enter();
        if (why || result.outcome != PROBE_ENTERED) {
            expect_true(name_of("saved-%s", subject_modes[mode].name), false, "expected an entry\ngot %s",
                        result_words());
            return;
        }
        for (unsigned at = first; at < next; at++) {
            uint32_t field = vmcs_fields[at].encoding;
            if (is_saved(field, mode))
                expect_equal(name_of("saved-%s-%s", subject_modes[mode].name, image_name(field)), "value",
                             vm_get(field), vm_saw(field));
        }
    }
}

static void all_saved(void)
{
    for (unsigned mode = 0; mode < SUBJECT_MODES; mode++) {
        vm_reset();
        const char *why = subject_modes[mode].enter();
        if (why)
            skipped(name_of("saved-%s", subject_modes[mode].name), why);
        else
            saved_as_loaded(mode);
    }
}

// ---- What the guest finds, and what it leaves: by MSR, or by an instruction that reads into or writes from RAX ----

#define READ_MSR  "rdmsr; shl $32, %rdx; or %rdx, %rax"
#define WRITE_MSR "mov %rax, %rdx; shr $32, %rdx; wrmsr"

CODE(code_rdmsr, READ_MSR);
CODE(code_wrmsr, WRITE_MSR);
CODE(code_read_cr0, "mov %cr0, %rax");
CODE(code_write_cr0, "mov %rax, %cr0");
CODE(code_read_cr3, "mov %cr3, %rax");
CODE(code_write_cr3, "mov %rax, %cr3");
CODE(code_read_cr4, "mov %cr4, %rax");
CODE(code_write_cr4, "mov %rax, %cr4");
CODE(code_read_dr7, "mov %dr7, %rax");
CODE(code_write_dr7, "mov %rax, %dr7");
CODE(code_read_rflags, "pushfq; pop %rax");
CODE(code_write_rflags, "push %rax; popfq");
CODE(code_read_rsp, "mov %rsp, %rax");
CODE(code_write_rsp, "mov %rax, %rsp");
CODE(code_read_es, "mov %es, %eax");
CODE(code_read_cs, "mov %cs, %eax");
CODE(code_read_ss, "mov %ss, %eax");
CODE(code_read_ds, "mov %ds, %eax");
CODE(code_read_fs, "mov %fs, %eax");
CODE(code_read_gs, "mov %gs, %eax");
CODE(code_write_fs, "mov %eax, %fs");
CODE(code_read_ldtr, "sldt %eax");
CODE(code_read_tr, "str %eax");
CODE(code_read_gdtr_limit, "sgdt (%rbx); movzwl (%rbx), %eax");
CODE(code_read_gdtr_base, "sgdt (%rbx); mov 2(%rbx), %rax");
CODE(code_read_idtr_limit, "sidt (%rbx); movzwl (%rbx), %eax");
CODE(code_read_idtr_base, "sidt (%rbx); mov 2(%rbx), %rax");
CODE(code_write_idtr_base, "mov %rax, 2(%rbx); lidt (%rbx)");

enum { BY_MSR = 1 };
static const struct visible {
    const char *name;
    uint32_t field, msr; // 0: by the instructions
    const char *read, *write;
    uint64_t values[3]; // to be XORed to what is there
} visibles[] = {
    {"cr0",          GUEST_CR0,           0,                code_read_cr0,        code_write_cr0,       {0, CR0_MP | CR0_WP, CR0_EM | CR0_TS | CR0_AM}},
    {"cr3",          GUEST_CR3,           0,                code_read_cr3,        code_write_cr3,       {0, CR3_PWT, CR3_PCD}                         },
    {"cr4",          GUEST_CR4,           0,                code_read_cr4,        code_write_cr4,       {0, CR4_TSD | CR4_DE, CR4_PGE | CR4_OSFXSR}   },
    {"dr7",          GUEST_DR7,           0,                code_read_dr7,        code_write_dr7,       {0, 0x0f0f0000, 0x300}                        },
    {"rflags",
     GUEST_RFLAGS,                        0,
     code_read_rflags,                                                            code_write_rflags,
     {0, RFLAGS_CF | RFLAGS_OF, RFLAGS_ID | RFLAGS_AC}                                                                                                },
    {"rsp",          GUEST_RSP,           0,                code_read_rsp,        code_write_rsp,       {0, 0x40, 0x7000000000000ull >> 4}            },
    {"es",           GUEST_ES_SELECTOR,   0,                code_read_es,         NULL,                 {0, 0x1230, 0x8}                              },
    {"cs",           GUEST_CS_SELECTOR,   0,                code_read_cs,         NULL,                 {0, 0x1230, 0x8}                              },
    {"ss",           GUEST_SS_SELECTOR,   0,                code_read_ss,         NULL,                 {0, 0x1230, 0x8}                              },
    {"ds",           GUEST_DS_SELECTOR,   0,                code_read_ds,         NULL,                 {0, 0x1230, 0x8}                              },
    {"fs",           GUEST_FS_SELECTOR,   0,                code_read_fs,         code_write_fs,        {0, 0, 0}                                     },
    {"gs",           GUEST_GS_SELECTOR,   0,                code_read_gs,         NULL,                 {0, 0x1230, 0x8}                              },
    {"ldtr",         GUEST_LDTR_SELECTOR, 0,                code_read_ldtr,       NULL,                 {0, 0x1230, 0x8}                              },
    {"tr",           GUEST_TR_SELECTOR,   0,                code_read_tr,         NULL,                 {0, 0x1230, 0x8}                              },
    {"gdtr-limit",   GUEST_GDTR_LIMIT,    0,                code_read_gdtr_limit, NULL,                 {0, 0x1234, 0xffff}                           },
    {"gdtr-base",    GUEST_GDTR_BASE,     0,                code_read_gdtr_base,  NULL,                 {0, 0x12345000, 0x700000000000}               },
    {"idtr-limit",   GUEST_IDTR_LIMIT,    0,                code_read_idtr_limit, NULL,                 {0, 0x1234, 0xffff}                           },
    {"idtr-base",
     GUEST_IDTR_BASE,                     0,
     code_read_idtr_base,                                                         code_write_idtr_base,
     {0, 0x12345000, 0x700000000000}                                                                                                                  },
    {"sysenter-cs",  GUEST_SYSENTER_CS,   MSR_SYSENTER_CS,  code_rdmsr,           code_wrmsr,           {0, 0x1234, 0xfff8}                           },
    {"sysenter-esp",
     GUEST_SYSENTER_ESP,                  MSR_SYSENTER_ESP,
     code_rdmsr,                                                                  code_wrmsr,
     {0, 0x12345678, 0x7fffffffffff}                                                                                                                  },
    {"sysenter-eip",
     GUEST_SYSENTER_EIP,                  MSR_SYSENTER_EIP,
     code_rdmsr,                                                                  code_wrmsr,
     {0, 0x12345678, 0x7fffffffffff}                                                                                                                  },
    {"fs-base",      GUEST_FS_BASE,       MSR_FS_BASE,      code_rdmsr,           code_wrmsr,           {0, 0x12345678, 0x7fffffffffff}               },
    {"gs-base",      GUEST_GS_BASE,       MSR_GS_BASE,      code_rdmsr,           code_wrmsr,           {0, 0x12345678, 0x7fffffffffff}               },
    {"pat",          GUEST_PAT,           MSR_PAT,          code_rdmsr,           code_wrmsr,           {0, 0x0100000000000000, 0x6}                  },
    {"efer",         GUEST_EFER,          MSR_EFER,         code_rdmsr,           code_wrmsr,           {0, EFER_SCE, EFER_NXE}                       },
    {"debugctl",     GUEST_DEBUGCTL,      MSR_DEBUGCTL,     code_rdmsr,           code_wrmsr,           {0, DEBUGCTL_BTF, DEBUGCTL_LBR}               },
};

static uint8_t memory[16] __attribute__((aligned(16)));

// The guest owns all of CR0 and CR4, and reaches its MSRs.
static void describe(const struct visible *v, const char *code)
{
    vm_reset();
    vm_mode(MODE_LONG);
    vm_tables();
    vm_run(code);
    memset(memory, 0, sizeof memory);
    vm_set(CR0_GUEST_HOST_MASK, 0);
    vm_control(WORD_PRIMARY, PRIMARY_MSR_BITMAPS, true);
    vm_control(WORD_PRIMARY, PRIMARY_MOV_DR_EXITING | PRIMARY_CR3_LOAD_EXITING | PRIMARY_CR3_STORE_EXITING,
               false);
    vm_gpr[1] = v->msr;
    vm_gpr[3] = (word_t)memory;
    vm_set(EXCEPTION_BITMAP, 0xffffffff);
    vm_watch(v->field);
}

static void loaded_and_saved(const struct visible *v, unsigned n)
{
    uint64_t different = v->values[n];
    section = "Loading Guest State";
    describe(v, v->read);
    vm_xor(v->field, different);
    const char *name = name_of("loaded-%s-%u", v->name, n);
    expect_passed(name);
    expect_equal(name_of("%s-value", name), "value read", vm_get(v->field), vm_gpr[0]);
    if (!v->write)
        return;
    section = "Saving Guest State";
    describe(v, v->write);
    vm_gpr[0] = vm_get(v->field) ^ different;
    uint64_t written = vm_gpr[0];
    name = name_of("written-%s-%u", v->name, n);
    expect_passed(name);
    expect_equal(name_of("%s-saved", name), "value", written, vm_saw(v->field));
}

static void each_visible(void)
{
    for (unsigned i = 0; i < array_size(visibles); i++)
        for (unsigned n = 0; n < array_size(visibles[i].values); n++)
            if (field_exists(visibles[i].field) && (n == 0 || visibles[i].values[n]))
                loaded_and_saved(&visibles[i], n);
}

// ---- What is not loaded ----

static void not_loaded(void)
{
    const struct visible *cr0 = &visibles[0], *dr7 = &visibles[3];
    section = "Loading Guest Control Registers, Debug Registers, and MSRs";
    describe(cr0, code_read_cr0);
    vm_set_bits(GUEST_CR0, CR0_CD);
    expect_passed("cr0-cd");
    expect_equal("cr0-cd-not-loaded", "CR0.CD", 0, vm_gpr[0] & CR0_CD);
    describe(cr0, code_read_cr0);
    vm_clear_bits(GUEST_CR0, CR0_ET);
    expect_passed("cr0-et");
    expect_equal("cr0-et-not-loaded", "CR0.ET", CR0_ET, vm_gpr[0] & CR0_ET);
    for (unsigned bit = 6; bit < 29; bit++) {
        if ((1u << bit) & (CR0_WP | CR0_AM))
            continue;
        describe(cr0, code_read_cr0);
        vm_set_bits(GUEST_CR0, 1u << bit);
        expect_passed(name_of("cr0-bit-%u", bit));
        expect_equal(name_of("cr0-bit-%u-not-loaded", bit), "bit", 0, vm_gpr[0] & 1u << bit);
    }
    describe(dr7, code_read_dr7);
    vm_set(GUEST_DR7, 1 << 12 | 1 << 14 | 1 << 15);
    expect_passed("dr7-reserved");
    expect_equal("dr7-reserved-not-loaded", "DR7", DR7_INIT, vm_gpr[0]);
}

// ---- The controls that load and save ----

static const struct switched {
    const char *name;
    uint32_t field, msr;
    const char *read, *write;
    uint64_t load, save;
    uint64_t different;
} switches[] = {
    {"dr7",      GUEST_DR7,      0,            code_read_dr7, code_write_dr7, ENTRY_LOAD_DEBUG_CONTROLS, EXIT_SAVE_DEBUG_CONTROLS,
     0x0f0f0000                                                                                                                                },
    {"debugctl", GUEST_DEBUGCTL, MSR_DEBUGCTL, code_rdmsr,    code_wrmsr,     ENTRY_LOAD_DEBUG_CONTROLS,
     EXIT_SAVE_DEBUG_CONTROLS,                                                                                                     DEBUGCTL_BTF},
    {"pat",      GUEST_PAT,      MSR_PAT,      code_rdmsr,    code_wrmsr,     ENTRY_LOAD_PAT,            EXIT_SAVE_PAT,            6           },
    {"efer",     GUEST_EFER,     MSR_EFER,     code_rdmsr,    code_wrmsr,     ENTRY_LOAD_EFER,           EXIT_SAVE_EFER,           EFER_SCE    },
};

static void describe_switched(const struct switched *s, const char *code)
{
    struct visible v = {.field = s->field, .msr = s->msr};
    describe(&v, code);
}

// Not loaded: the guest finds what was there, which is what the host has.
static void loads(const struct switched *s)
{
    static const struct {
        uint32_t guest, host;
    } hosts[] = {
        {GUEST_PAT,  HOST_PAT },
        {GUEST_EFER, HOST_EFER},
    };
    uint64_t was = s->field == GUEST_DR7 ? DR7_INIT : 0;
    for (unsigned n = 0; n < array_size(hosts); n++)
        if (hosts[n].guest == s->field)
            was = vm_template.value[image_at(hosts[n].host)];
    section = "Loading Guest Control Registers, Debug Registers, and MSRs";
    for (unsigned on = 0; on < 2; on++) {
        const char *name = name_of("%s-load-%u", s->name, on);
        if (on ? !can(WORD_ENTRY, s->load) : must(WORD_ENTRY, s->load)) {
            skipped(name, "the control cannot be so here");
            continue;
        }
        describe_switched(s, s->read);
        vm_control(WORD_ENTRY, s->load, on);
        vm_xor(s->field, s->different);
        expect_passed(name);
        expect_equal(name_of("%s-value", name), "value read", on ? vm_get(s->field) : was, vm_gpr[0]);
    }
}

static void saves(const struct switched *s)
{
    section = "Saving Control Registers, Debug Registers, and MSRs";
    for (unsigned on = 0; on < 2; on++) {
        const char *name = name_of("%s-save-%u", s->name, on);
        if (on ? !can(WORD_EXIT, s->save) : must(WORD_EXIT, s->save)) {
            skipped(name, "the control cannot be so here");
            continue;
        }
        describe_switched(s, s->write);
        vm_control(WORD_EXIT, s->save, on);
        uint64_t old = vm_get(s->field), new = old ^ s->different;
        vm_gpr[0] = new;
        expect_passed(name);
        expect_equal(name_of("%s-value", name), "field", on ? new : old, vm_saw(s->field));
    }
}

// What the host finds behind the exit: its own value, or what the guest left.
static void loads_on_exit(void)
{
    static const struct {
        const char *name;
        uint32_t guest, host;
        uint64_t load, different;
    } rows[] = {
        {"pat",  GUEST_PAT,  HOST_PAT,  EXIT_LOAD_PAT,  0x0100000000000000},
        {"efer", GUEST_EFER, HOST_EFER, EXIT_LOAD_EFER, EFER_SCE          },
    };
    section = "Loading Host Control Registers, Debug Registers, MSRs";
    for (unsigned n = 0; n < array_size(rows); n++)
        for (unsigned on = 0; on < 2; on++) {
            const char *name = name_of("%s-exit-load-%u", rows[n].name, on);
            if (on ? !can(WORD_EXIT, rows[n].load) : must(WORD_EXIT, rows[n].load)) {
                skipped(name, "the control cannot be so here");
                continue;
            }
            vm_reset();
            vm_run(code_nothing);
            vm_control(WORD_EXIT, rows[n].load, on);
            vm_xor(HOST_SYSENTER_CS, 8); // the way back that tells is that of attempts that change host state
            vm_set(rows[n].guest, vm_get(rows[n].host) ^ rows[n].different);
            if (rows[n].guest == GUEST_EFER)
                vm_set_bits(GUEST_EFER, EFER_LMA | EFER_LME);
            expect_passed(name);
            expect_equal(name_of("%s-value", name), "value behind the exit",
                         vm_get(on ? rows[n].host : rows[n].guest),
                         rows[n].guest == GUEST_PAT ? result.pat : result.efer);
        }
}

// IA32_EFER without its control: LMA and LME follow the mode.
static void efer_follows_mode(void)
{
    section = "Loading Guest Control Registers, Debug Registers, and MSRs";
    for (unsigned mode = 0; mode < SUBJECT_MODES; mode++) {
        const char *name = name_of("efer-%s", subject_modes[mode].name);
        bool long_mode = mode == SUBJECT_LONG || mode == SUBJECT_CPL3 || mode == SUBJECT_COMPATIBILITY;
        uint64_t bits = long_mode ? EFER_LMA | EFER_LME : 0;
        for (unsigned load = 0; load < 2; load++) {
            vm_reset();
            const char *why = subject_modes[mode].enter();
            if (why || (load ? !can(WORD_ENTRY, ENTRY_LOAD_EFER) : must(WORD_ENTRY, ENTRY_LOAD_EFER))) {
                skipped(name_of("%s-load-%u", name, load), why ? why : "the control cannot be so here");
                continue;
            }
            vm_run(code_nothing);
            vm_control(WORD_ENTRY, ENTRY_LOAD_EFER, load);
            vm_watch(GUEST_EFER);
            vm_watch(VM_ENTRY_CONTROLS);
            expect_passed(name_of("%s-load-%u", name, load));
            expect_equal(name_of("%s-load-%u-saved", name, load), "LMA and LME", load ? bits : bits,
                         vm_saw(GUEST_EFER) & (load || long_mode ? EFER_LMA | EFER_LME : EFER_LMA));
            if (processor.caps.misc & VMX_MISC_SAVE_LMA)
                expect_equal(name_of("%s-load-%u-mode", name, load), "IA-32e mode guest",
                             long_mode ? ENTRY_IA32E_MODE_GUEST : 0,
                             vm_saw(VM_ENTRY_CONTROLS) & ENTRY_IA32E_MODE_GUEST);
        }
    }
}

// ---- TSC ----

CODE(code_rdtsc, "rdtsc; shl $32, %rdx; or %rdx, %rax");
CODE(code_rdtscp, "rdtscp; shl $32, %rdx; or %rdx, %rax");
CODE(code_rdmsr_tsc, READ_MSR);

static uint64_t guest_tsc(const char *code, bool offsetting, uint64_t offset, uint64_t multiplier)
{
    struct visible v = {.field = TSC_OFFSET, .msr = MSR_TSC};
    describe(&v, code);
    vm_control(WORD_PRIMARY, PRIMARY_TSC_OFFSETTING, offsetting);
    vm_control(WORD_SECONDARY, SECONDARY_TSC_SCALING, multiplier);
    vm_set(TSC_OFFSET, offset);
    if (multiplier)
        vm_set(TSC_MULTIPLIER, multiplier);
    vm_enter();
    return vm_gpr[0];
}

// Between what the TSC was before and behind it.
static void tsc_read(const char *name, const char *code, bool offsetting, uint64_t offset,
                     uint64_t multiplier)
{
    uint64_t before = guest_tsc(code_rdtsc, false, 0, 0);
    uint64_t got = guest_tsc(code, offsetting, offset, multiplier);
    bool passed = result.reason == REASON_VMCALL;
    uint64_t after = guest_tsc(code_rdtsc, false, 0, 0);
    if (multiplier) {
        before = (uint64_t)((unsigned __int128)before * multiplier >> 48);
        after = (uint64_t)((unsigned __int128)after * multiplier >> 48);
    }
    uint64_t shift = offsetting ? offset : 0;
    expect_true(name, passed && got - shift - before <= after - before,
                "expected %#llx to %#llx plus the offset %#llx\ngot %#llx", (unsigned long long)before,
                (unsigned long long)after, (unsigned long long)shift, (unsigned long long)got);
}

static void tsc(void)
{
    static const struct {
        const char *name, *code;
        int feature;
    } ways[] = {
        {"rdtsc",  code_rdtsc,     -1            },
        {"rdtscp", code_rdtscp,    FEATURE_RDTSCP},
        {"rdmsr",  code_rdmsr_tsc, -1            },
    };
    static const uint64_t offsets[] = {0, 1, 1ull << 32, 1ull << 62, -1ull, -(1ull << 40), 1ull << 63};
    for (unsigned w = 0; w < array_size(ways); w++) {
        if (ways[w].feature >= 0 && !entry_env_has(&processor, (enum cpuid_feature)ways[w].feature))
            continue;
        section = "Changes to Instruction Behavior in VMX Non-Root Operation";
        for (unsigned n = 0; n < array_size(offsets); n++) {
            tsc_read(name_of("tsc-%s-offset-%u", ways[w].name, n), ways[w].code, true, offsets[n], 0);
            tsc_read(name_of("tsc-%s-offset-%u-unused", ways[w].name, n), ways[w].code, false, offsets[n], 0);
        }
        if (!can(WORD_SECONDARY, SECONDARY_TSC_SCALING)) {
            skipped(name_of("tsc-%s-scaled", ways[w].name), "the processor has no TSC scaling");
            continue;
        }
        tsc_read(name_of("tsc-%s-half", ways[w].name), ways[w].code, true, 0, 1ull << 47);
        tsc_read(name_of("tsc-%s-double", ways[w].name), ways[w].code, true, 0, 1ull << 49);
        tsc_read(name_of("tsc-%s-double-offset", ways[w].name), ways[w].code, true, 1ull << 40, 1ull << 49);
    }
}

BUCKET("what VM entry loads and VM exit saves")
{
    all_saved();
    each_visible();
    not_loaded();
    for (unsigned n = 0; n < array_size(switches); n++) {
        loads(&switches[n]);
        saves(&switches[n]);
    }
    loads_on_exit();
    efer_follows_mode();
    tsc();
}
