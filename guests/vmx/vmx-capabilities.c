// Capability MSRs: there, read-only, consistent with one another, with CPUID, and with what the processor accepts.
#include "guests/vmx/lib/vmx.h"

static const struct vmx_caps *caps;

static void write_refused(const char *name, uint32_t msr, uint64_t flip)
{
    steps_begin();
    const struct probe_step *s = step_with(PROBE_DO_WRMSR, msr, flip, 0, 0);
    if (steps_ran(name))
        step_faults(name, s, VECTOR_GP, 0);
}

// ---- Each MSR: there when it is due, never to be written ----

static void each_msr(void)
{
    const struct vmx_caps *c = caps;
    static const struct {
        const char *name;
        uint32_t msr;
    } msrs[] = {
#define X(member, msr, exists) {#msr, MSR_##msr},
        VMX_CAPS(X)
#undef X
    };
    const bool there[] = {
#define X(member, msr, exists) (exists) != 0,
        VMX_CAPS(X)
#undef X
    };
    section = "VMX Capability Reporting Facility";
    for (unsigned i = 0; i < array_size(msrs); i++) {
        uint64_t value;
        bool reads = box_msr(msrs[i].msr, &value);
        if (there[i]) {
            expect_true(name_of("%s-there", msrs[i].name), reads, "expected a value\ngot #GP");
            write_refused(name_of("%s-read-only", msrs[i].name), msrs[i].msr, 1);
        } else
            expect_true(name_of("%s-absent", msrs[i].name), !reads, "expected #GP\ngot %#llx",
                        (unsigned long long)value);
    }
}

static void feature_control(void)
{
    uint64_t value;
    section = "Enabling and Entering VMX Operation";
    if (!expect_true("feature-control-there", box_msr(MSR_FEATURE_CONTROL, &value),
                     "expected a value\ngot #GP"))
        return;
    expect_equal("feature-control-locked", "bit 0", FEATURE_CONTROL_LOCK, value & FEATURE_CONTROL_LOCK);
    expect_equal("feature-control-vmx", "bit 2", FEATURE_CONTROL_VMX, value & FEATURE_CONTROL_VMX);
    write_refused("feature-control-write-same", MSR_FEATURE_CONTROL, 0);
    for (unsigned bit = 0; bit < 3; bit++)
        write_refused(name_of("feature-control-write-bit-%u", bit), MSR_FEATURE_CONTROL, 1 << bit);
    section = "Discovering Support for VMX";
    expect_true("cpuid-vmx", entry_env_has(&processor, FEATURE_VMX), "expected CPUID.1:ECX.VMX = 1\ngot 0");
}

// ---- IA32_VMX_BASIC, IA32_VMX_MISC, IA32_VMX_VMCS_ENUM ----

static void zero_bits(const char *name, uint64_t value, uint64_t reserved)
{
    expect_equal(name, "reserved bits", 0, value & reserved);
}

static void basic(void)
{
    uint32_t bytes = vmx_basic_region_size(caps->basic);
    unsigned type = vmx_basic_memory_type(caps->basic);
    section = "Basic VMX Information";
    zero_bits("basic-bit-31", caps->basic, 1u << 31);
    zero_bits("basic-bits-47-45", caps->basic, 7ull << 45);
    zero_bits("basic-32-bit-addresses", caps->basic, VMX_BASIC_ADDRESSES_32);
    expect_true("basic-region-bytes", bytes > 0 && bytes <= 4096, "expected 1 to 4096\ngot %u", bytes);
    expect_true("basic-memory-type", type == MT_UC || type == MT_WB, "expected 0 or 6\ngot %u", type);
}

// The greatest index of a field of ours that is there, with the field.
static const struct vmcs_field *greatest(void)
{
    const struct vmcs_field *most = &vmcs_fields[0];
    for (unsigned i = 0; i < VMCS_FIELD_COUNT; i++)
        if (field_exists(vmcs_fields[i].encoding) &&
            vmcs_index(vmcs_fields[i].encoding) > vmcs_index(most->encoding))
            most = &vmcs_fields[i];
    return most;
}

static void misc(void)
{
    const struct vmcs_field *most = greatest();
    section = "Miscellaneous Data";
    zero_bits("misc-bits-13-9", caps->misc, 0x3e00);
    expect_true("misc-cr3-targets", vmx_misc_cr3_targets(caps->misc) <= 256, "expected at most 256\ngot %u",
                vmx_misc_cr3_targets(caps->misc));
    if (can(WORD_SECONDARY, SECONDARY_UNRESTRICTED_GUEST))
        expect_equal("misc-lma-saved", "bit 5, with unrestricted guest", VMX_MISC_SAVE_LMA,
                     caps->misc & VMX_MISC_SAVE_LMA);
    else
        skipped("misc-lma-saved", "no unrestricted guest");
    section = "VMCS Enumeration";
    zero_bits("enum-reserved", caps->vmcs_enum, ~0x3feull);
    expect_true("enum-covers-every-field", (caps->vmcs_enum >> 1 & 0x1ff) >= vmcs_index(most->encoding),
                "expected an index of at least %u (%s)\ngot %u", vmcs_index(most->encoding),
                vmcs_field_name(most->encoding), (unsigned)(caps->vmcs_enum >> 1 & 0x1ff));
}

// ---- Control words ----

static void control_words_agree(void)
{
    const struct {
        const char *name;
        uint64_t legacy, truth;
        uint32_t default1;
    } rows[] = {
        {"pin",     caps->pin,     caps->true_pin,     0x16      },
        {"primary", caps->primary, caps->true_primary, 0x0401e172},
        {"exit",    caps->exit,    caps->true_exit,    0x00036dff},
        {"entry",   caps->entry,   caps->true_entry,   0x000011ff},
    };
    section = "Reserved Controls and Default Settings";
    for (unsigned i = 0; i < array_size(rows); i++) {
        uint32_t must = (uint32_t)rows[i].legacy, may = (uint32_t)(rows[i].legacy >> 32);
        expect_equal(name_of("%s-default1", rows[i].name), "default1 bits that may be 0", 0,
                     rows[i].default1 & ~must);
        expect_equal(name_of("%s-some-setting", rows[i].name), "bits that may be neither 0 nor 1", 0,
                     must & ~may);
        if (!(caps->basic & VMX_BASIC_TRUE_CONTROLS)) {
            skipped(name_of("%s-true", rows[i].name), "no TRUE capability MSRs");
            continue;
        }
        uint32_t true_must = (uint32_t)rows[i].truth;
        expect_equal(name_of("%s-true-may-be-1", rows[i].name), "bits that may be 1", may,
                     rows[i].truth >> 32);
        expect_equal(name_of("%s-true-only-default1", rows[i].name),
                     "bits that the TRUE MSR alone lets be 0, outside of default1", 0,
                     must & ~true_must & ~rows[i].default1);
        expect_equal(name_of("%s-true-stricter", rows[i].name), "bits that the TRUE MSR alone forces", 0,
                     true_must & ~must);
    }
    expect_equal("secondary-may-be-0", "secondary controls that must be 1", 0, (uint32_t)caps->secondary);
}

static void count_line(void *context, const char *text)
{
    (*(unsigned *)context)++;
    print("contradiction: %s\n", text);
}

static void dependencies(void)
{
    unsigned found = 0;
    section = "Checks on VMX Controls";
    vmx_caps_check(caps, count_line, &found);
    expect_equal("no-control-without-what-it-needs", "contradictions", 0, found);
}

// ---- IA32_VMX_EPT_VPID_CAP, IA32_VMX_VMFUNC ----

static void implied(const char *name, bool premise, const char *without, bool ok, const char *expected)
{
    if (premise)
        expect_true(name, ok, "expected %s\ngot %#llx", expected, (unsigned long long)caps->ept_vpid);
    else
        skipped(name, without);
}

static void ept_vpid(void)
{
    uint64_t c = caps->ept_vpid;
    bool ept = can(WORD_SECONDARY, SECONDARY_EPT), vpid = can(WORD_SECONDARY, SECONDARY_VPID);
    section = "VPID and EPT Capabilities";
    implied("ept-walk-length", ept, "no EPT", c & (EPT_CAP_WALK_4 | EPT_CAP_WALK_5), "a page-walk length");
    implied("ept-memory-type", ept, "no EPT", c & (EPT_CAP_UC | EPT_CAP_WB), "a memory type of structures");
    implied("invept-has-types", c & EPT_CAP_INVEPT, "no INVEPT",
            c & (EPT_CAP_INVEPT_SINGLE | EPT_CAP_INVEPT_ALL), "a type of INVEPT");
    implied("invvpid-has-types", c & EPT_CAP_INVVPID, "no INVVPID",
            c & (EPT_CAP_INVVPID_ADDRESS | EPT_CAP_INVVPID_SINGLE | EPT_CAP_INVVPID_ALL |
                 EPT_CAP_INVVPID_SINGLE_NOT_GLOBAL),
            "a type of INVVPID");
    implied("ept-bits-need-ept", !ept, "EPT is there",
            !(c & (EPT_CAP_EXECUTE_ONLY | EPT_CAP_INVEPT | EPT_CAP_ACCESSED_DIRTY)), "no bits of EPT");
    implied("invvpid-needs-vpid", !vpid, "VPID is there", !(c & EPT_CAP_INVVPID), "no INVVPID");
    zero_bits("ept-vpid-reserved", c, 0xfffff0fe00000000 | 0xf8082c00ull | 0x9e);
}

// ---- CR0 and CR4 ----

// SDM volume 3, "Control Registers": each bit of CR4 is there with a feature.
static const struct {
    const char *name;
    uint64_t bit;
    enum cpuid_feature feature;
} cr4_features[] = {
    {"DE",         CR4_DE,         FEATURE_DE      },
    {"PSE",        CR4_PSE,        FEATURE_PSE     },
    {"PAE",        CR4_PAE,        FEATURE_PAE     },
    {"MCE",        CR4_MCE,        FEATURE_MCE     },
    {"PGE",        CR4_PGE,        FEATURE_PGE     },
    {"OSFXSR",     CR4_OSFXSR,     FEATURE_FXSR    },
    {"OSXMMEXCPT", CR4_OSXMMEXCPT, FEATURE_SSE     },
    {"UMIP",       CR4_UMIP,       FEATURE_UMIP    },
    {"LA57",       CR4_LA57,       FEATURE_LA57    },
    {"VMXE",       CR4_VMXE,       FEATURE_VMX     },
    {"SMXE",       CR4_SMXE,       FEATURE_SMX     },
    {"FSGSBASE",   CR4_FSGSBASE,   FEATURE_FSGSBASE},
    {"PCIDE",      CR4_PCIDE,      FEATURE_PCID    },
    {"OSXSAVE",    CR4_OSXSAVE,    FEATURE_XSAVE   },
    {"SMEP",       CR4_SMEP,       FEATURE_SMEP    },
    {"SMAP",       CR4_SMAP,       FEATURE_SMAP    },
    {"PKE",        CR4_PKE,        FEATURE_PKU     },
    {"PKS",        CR4_PKS,        FEATURE_PKS     },
    {"UINTR",      CR4_UINTR,      FEATURE_UINTR   },
};

static void fixed_bits(void)
{
    section = "VMX-Fixed Bits in CR0 and CR4";
    expect_equal("cr0-fixed-1", "PE, NE and PG", CR0_PE | CR0_NE | CR0_PG,
                 caps->cr0_fixed0 & (CR0_PE | CR0_NE | CR0_PG));
    expect_equal("cr0-fixed-either-way", "bits fixed to 0 and to 1", 0, caps->cr0_fixed0 & ~caps->cr0_fixed1);
    expect_equal("cr4-fixed-1", "VMXE", CR4_VMXE, caps->cr4_fixed0 & CR4_VMXE);
    expect_equal("cr4-fixed-either-way", "bits fixed to 0 and to 1", 0, caps->cr4_fixed0 & ~caps->cr4_fixed1);
    for (unsigned i = 0; i < array_size(cr4_features); i++)
        expect_equal(name_of("cr4-%s-by-cpuid", cr4_features[i].name), "bit may be 1",
                     entry_env_has(&processor, cr4_features[i].feature),
                     (caps->cr4_fixed1 & cr4_features[i].bit) != 0);
}

static void move_refused(const char *name, enum probe_instruction i, uint64_t flip)
{
    steps_begin();
    const struct probe_step *s = step(i, flip);
    if (steps_ran(name))
        step_faults(name, s, VECTOR_GP, 0);
}

// In VMX operation, MOV to CR0 and CR4 keeps to the fixed bits (SDM, "Restrictions on VMX Operation").
static void moves(void)
{
    section = "Restrictions on VMX Operation";
    move_refused("mov-cr0-clears-ne", PROBE_DO_MOV_CR0, CR0_NE);
    move_refused("mov-cr4-clears-vmxe", PROBE_DO_MOV_CR4, CR4_VMXE);
    for (unsigned bit = 0; bit < 64; bit++) {
        if (!(caps->cr0_fixed1 >> bit & 1))
            move_refused(name_of("mov-cr0-sets-%u", bit), PROBE_DO_MOV_CR0, 1ull << bit);
        if (!(caps->cr4_fixed1 >> bit & 1))
            move_refused(name_of("mov-cr4-sets-%u", bit), PROBE_DO_MOV_CR4, 1ull << bit);
    }
}

BUCKET("capabilities of VMX")
{
    caps = &processor.caps;
    each_msr();
    feature_control();
    basic();
    misc();
    control_words_agree();
    dependencies();
    ept_vpid();
    fixed_bits();
    moves();
}
