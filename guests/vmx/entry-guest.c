// What VM entry checks of the guest state: the cases of all rules, then tables over every bit of every field that has
// rules, and over activity, blocking and injection.
#include "guests/vmx/lib/entry.h"

// ---- What makes fields count ----

static void load_debug(void)
{
    vm_control(WORD_ENTRY, ENTRY_LOAD_DEBUG_CONTROLS, true);
}
static void load_pat(void)
{
    vm_control(WORD_ENTRY, ENTRY_LOAD_PAT, true);
}
static void load_efer(void)
{
    vm_control(WORD_ENTRY, ENTRY_LOAD_EFER, true);
}
static void restricted(void)
{
    vm_control(WORD_SECONDARY, SECONDARY_UNRESTRICTED_GUEST, false);
}
static void load_cet(void)
{
    vm_control(WORD_ENTRY, ENTRY_LOAD_CET, true);
}

#define SEGMENTS_IN(X) X(es, ES) X(cs, CS) X(ss, SS) X(ds, DS) X(fs, FS) X(gs, GS)

// Every register with a descriptor that counts, or one that does not.
static void usable_ldtr(void)
{
    vm_set(GUEST_LDTR_ACCESS_RIGHTS, AR_TYPE_LDT | AR_P);
    vm_set(GUEST_LDTR_SELECTOR, 8);
    vm_set(GUEST_LDTR_LIMIT, 0xfff);
}

#define UNUSABLE(name, NAME)                                      \
    static void unusable_##name(void)                             \
    {                                                             \
        vm_set(GUEST_##NAME##_ACCESS_RIGHTS, AR_UNUSABLE | 0x93); \
    }
UNUSABLE(es, ES)
UNUSABLE(ss, SS)
UNUSABLE(ds, DS)
UNUSABLE(fs, FS)
UNUSABLE(gs, GS)
UNUSABLE(ldtr, LDTR)

// ---- Registers ----

// clang-format off
static const struct sweep registers[] = {
    {"cr0",              GUEST_CR0,          SECTION_GUEST_REGISTERS, MODE_LONG,      EDGES_64 ,      NULL},
    {"cr0-real",         GUEST_CR0,          SECTION_GUEST_REGISTERS, MODE_REAL,      0xe005003f,     NULL},
    {"cr0-restricted",   GUEST_CR0,          SECTION_GUEST_REGISTERS, MODE_PAGED,     0xe005003f,     restricted},
    {"cr4",              GUEST_CR4,          SECTION_GUEST_REGISTERS, MODE_LONG,      EDGES_64 ,      NULL},
    {"cr4-paged",        GUEST_CR4,          SECTION_GUEST_REGISTERS, MODE_PAGED,     0xffffffff,     NULL},
    {"cr4-real",         GUEST_CR4,          SECTION_GUEST_REGISTERS, MODE_REAL,      0x00072031,     NULL},
    {"debugctl",         GUEST_DEBUGCTL,     SECTION_GUEST_REGISTERS, MODE_LONG,      EDGES_64 ,      load_debug},
    {"dr7",              GUEST_DR7,          SECTION_GUEST_REGISTERS, MODE_LONG,      HIGH_EDGES | 1,      load_debug},
    {"efer",             GUEST_EFER,         SECTION_GUEST_REGISTERS, MODE_LONG,      EDGES_64 ,      load_efer},
    {"efer-protected",   GUEST_EFER,         SECTION_GUEST_REGISTERS, MODE_PROTECTED, 0xd01,         load_efer},
    {"efer-paged",       GUEST_EFER,         SECTION_GUEST_REGISTERS, MODE_PAGED,     0xd01,         load_efer},
    {"efer-not-loaded",  GUEST_EFER,         SECTION_GUEST_REGISTERS, MODE_LONG,      0xd03,         NULL},
    {"sysenter-cs",      GUEST_SYSENTER_CS,  SECTION_GUEST_REGISTERS, MODE_LONG,      0x80000001,      NULL},
    {"s-cet",            GUEST_S_CET,        SECTION_GUEST_REGISTERS, MODE_LONG,      0xfff,          load_cet},
    {"rflags",           GUEST_RFLAGS,       SECTION_GUEST_RIP,       MODE_LONG,      EDGES_64 ,      NULL},
    {"rflags-real",      GUEST_RFLAGS,       SECTION_GUEST_RIP,       MODE_REAL,      0x0062812a,     NULL},
    {"rflags-paged",     GUEST_RFLAGS,       SECTION_GUEST_RIP,       MODE_PAGED,     1 << 17,        NULL},
    {"rip-protected",    GUEST_RIP,          SECTION_GUEST_RIP,       MODE_PROTECTED, HIGH_EDGES,     NULL},
    {"rip-real",         GUEST_RIP,          SECTION_GUEST_RIP,       MODE_REAL,      HIGH_EDGES,     NULL},
    {"gdtr-limit",       GUEST_GDTR_LIMIT,   SECTION_GUEST_TABLES,    MODE_LONG,      0xffff8001,      NULL},
    {"idtr-limit",       GUEST_IDTR_LIMIT,   SECTION_GUEST_TABLES,    MODE_LONG,      0xffff8001,      NULL},
    {"activity",         GUEST_ACTIVITY_STATE, SECTION_NON_REGISTER,  MODE_LONG,      ~3ull,          NULL},
    {"interruptibility", GUEST_INTERRUPTIBILITY_STATE, SECTION_NON_REGISTER, MODE_LONG, EVERY_BIT,    NULL},
    {"pending-debug",    GUEST_PENDING_DEBUG_EXCEPTIONS, SECTION_NON_REGISTER, MODE_LONG, EDGES_64 ,  NULL},
    {"smbase",           GUEST_SMBASE,       SECTION_NON_REGISTER,    MODE_LONG,      0x80008001,     NULL},
};
// clang-format on

// Bits that depend on the widths of the processor's addresses.
static void addresses(void)
{
    // clang-format off
    const struct sweep rows[] = {
        {"cr3",          GUEST_CR3,          SECTION_GUEST_REGISTERS, MODE_LONG, PHYSICAL_BITS | 0xfff, NULL},
        {"cr3-real",     GUEST_CR3,          SECTION_GUEST_REGISTERS, MODE_REAL, PHYSICAL_BITS, NULL},
        {"sysenter-esp", GUEST_SYSENTER_ESP, SECTION_GUEST_REGISTERS, MODE_LONG, LINEAR_BITS,   NULL},
        {"sysenter-eip", GUEST_SYSENTER_EIP, SECTION_GUEST_REGISTERS, MODE_LONG, LINEAR_BITS,   NULL},
        {"fs-base",      GUEST_FS_BASE,      SECTION_GUEST_SEGMENTS,  MODE_LONG, LINEAR_BITS,   NULL},
        {"gs-base",      GUEST_GS_BASE,      SECTION_GUEST_SEGMENTS,  MODE_LONG, LINEAR_BITS,   NULL},
        {"tr-base",      GUEST_TR_BASE,      SECTION_GUEST_SEGMENTS,  MODE_LONG, LINEAR_BITS,   NULL},
        {"ldtr-base",    GUEST_LDTR_BASE,    SECTION_GUEST_SEGMENTS,  MODE_LONG, LINEAR_BITS,   usable_ldtr},
        {"ldtr-base-unusable", GUEST_LDTR_BASE, SECTION_GUEST_SEGMENTS, MODE_LONG, LINEAR_BITS, unusable_ldtr},
        {"gdtr-base",    GUEST_GDTR_BASE,    SECTION_GUEST_TABLES,    MODE_LONG, LINEAR_BITS,   NULL},
        {"idtr-base",    GUEST_IDTR_BASE,    SECTION_GUEST_TABLES,    MODE_LONG, LINEAR_BITS,   NULL},
        {"rip",          GUEST_RIP,          SECTION_GUEST_RIP,       MODE_LONG, LINEAR_BITS,   NULL},
        {"rsp",          GUEST_RSP,          SECTION_GUEST_RIP,       MODE_LONG, LINEAR_BITS,   NULL},
    };
    // clang-format on
    entry_sweeps(rows);
}

// The same of addresses whose bits beyond are all ones.
static void addresses_high(void)
{
    static const struct {
        const char *name;
        uint32_t field;
    } rows[] = {
        {"sysenter-esp", GUEST_SYSENTER_ESP},
        {"sysenter-eip", GUEST_SYSENTER_EIP},
        {"fs-base",      GUEST_FS_BASE     },
        {"gs-base",      GUEST_GS_BASE     },
        {"tr-base",      GUEST_TR_BASE     },
        {"gdtr-base",    GUEST_GDTR_BASE   },
        {"idtr-base",    GUEST_IDTR_BASE   },
        {"rip",          GUEST_RIP         },
    };
    for (unsigned i = 0; i < array_size(rows); i++) {
        valid_state(MODE_LONG);
        vm_set(rows[i].field, LINEAR_BITS);
        section = entry_section_title(SECTION_GUEST_REGISTERS);
        expect_judged(name_of("%s-upper-half", rows[i].name));
    }
}

// ---- IA32_PAT: each type in each byte ----

static void pat(void)
{
    section = entry_section_title(SECTION_GUEST_REGISTERS);
    for (unsigned byte = 0; byte < 8; byte++)
        for (unsigned i = 0; i < array_size(pat_types); i++) {
            valid_state(MODE_LONG);
            load_pat();
            vm_set(GUEST_PAT, (PAT_POWER_UP & ~(0xffull << 8 * byte)) | (uint64_t)pat_types[i] << 8 * byte);
            expect_judged(name_of("pat-byte-%u-type-%02x", byte, pat_types[i]));
        }
}

// ---- IA-32e mode against CR0.PG, CR4.PAE, CR4.PCIDE, EFER ----

static void paging_modes(void)
{
    static const struct {
        uint32_t field;
        uint64_t bit;
    } bits[] = {
        {VM_ENTRY_CONTROLS, ENTRY_IA32E_MODE_GUEST},
        {GUEST_CR0,         CR0_PG                },
        {GUEST_CR4,         CR4_PAE               },
        {GUEST_CR4,         CR4_PCIDE             },
        {GUEST_EFER,        EFER_LMA              },
        {GUEST_EFER,        EFER_LME              },
    };
    section = entry_section_title(SECTION_GUEST_REGISTERS);
    for (unsigned set = 0; set < 1u << array_size(bits); set++) {
        valid_state(MODE_PROTECTED);
        load_efer();
        for (unsigned i = 0; i < array_size(bits); i++)
            if (set >> i & 1)
                vm_set_bits(bits[i].field, bits[i].bit);
        expect_judged(name_of("paging%s%s%s%s%s%s", set & 1 ? "-long" : "", set & 2 ? "-pg" : "",
                              set & 4 ? "-pae" : "", set & 8 ? "-pcide" : "", set & 16 ? "-lma" : "",
                              set & 32 ? "-lme" : ""));
    }
}

// ---- Segment registers: every bit of access rights, selector, base and limit ----

// clang-format off
#define RIGHTS(name, NAME) \
    {#name "-rights",           GUEST_##NAME##_ACCESS_RIGHTS, SECTION_GUEST_SEGMENTS, MODE_LONG,      EVERY_BIT, NULL}, \
    {#name "-rights-protected", GUEST_##NAME##_ACCESS_RIGHTS, SECTION_GUEST_SEGMENTS, MODE_PROTECTED, 0x1f1ff, NULL}, \
    {#name "-rights-v86",       GUEST_##NAME##_ACCESS_RIGHTS, SECTION_GUEST_SEGMENTS, MODE_V86,       0x1f1ff, NULL}, \
    {#name "-rights-restricted", GUEST_##NAME##_ACCESS_RIGHTS, SECTION_GUEST_SEGMENTS, MODE_PAGED,    0xff,      restricted},
#define PARTS(name, NAME) \
    {#name "-selector-restricted", GUEST_##NAME##_SELECTOR, SECTION_GUEST_SEGMENTS, MODE_PAGED, 7, restricted}, \
    {#name "-selector",     GUEST_##NAME##_SELECTOR, SECTION_GUEST_SEGMENTS, MODE_LONG,      0x8007,      NULL}, \
    {#name "-selector-v86", GUEST_##NAME##_SELECTOR, SECTION_GUEST_SEGMENTS, MODE_V86,       0x8007,      NULL}, \
    {#name "-base-v86",     GUEST_##NAME##_BASE,     SECTION_GUEST_SEGMENTS, MODE_V86,       BASE_EDGES,  NULL}, \
    {#name "-limit",        GUEST_##NAME##_LIMIT,    SECTION_GUEST_SEGMENTS, MODE_PROTECTED, LIMIT_EDGES, NULL}, \
    {#name "-limit-real",   GUEST_##NAME##_LIMIT,    SECTION_GUEST_SEGMENTS, MODE_REAL,      LIMIT_EDGES, NULL}, \
    {#name "-limit-v86",    GUEST_##NAME##_LIMIT,    SECTION_GUEST_SEGMENTS, MODE_V86,       LIMIT_EDGES, NULL},
// What a limit's bits mean changes behind 11 and 19; a base of virtual-8086 mode has bits 19:4.
#define LIMIT_EDGES (1u << 0 | 1u << 11 | 1u << 12 | 1u << 15 | 1u << 16 | 1u << 19 | 1u << 20 | 1u << 31)
#define BASE_EDGES  (1u << 0 | 1u << 3 | 1u << 4 | 1u << 19 | 1u << 20 | 1u << 31)
#define UNUSABLE_RIGHTS(name, NAME) \
    {#name "-rights-unusable", GUEST_##NAME##_ACCESS_RIGHTS, SECTION_GUEST_SEGMENTS, MODE_LONG, 0x8001f1ff, unusable_##name},
#define BASE_HIGH(name, NAME) \
    {#name "-base", GUEST_##NAME##_BASE, SECTION_GUEST_SEGMENTS, MODE_LONG, HIGH_EDGES, NULL},

static void null_ss(void)
{
    vm_set(GUEST_SS_SELECTOR, 0); // usable all the same: that is a matter of the access rights alone
}

static const struct sweep segments[] = {
    SEGMENTS_IN(RIGHTS) SEGMENTS_IN(PARTS)
    UNUSABLE_RIGHTS(es, ES) UNUSABLE_RIGHTS(ss, SS) UNUSABLE_RIGHTS(ds, DS) UNUSABLE_RIGHTS(fs, FS) UNUSABLE_RIGHTS(gs, GS)
    UNUSABLE_RIGHTS(ldtr, LDTR)
    BASE_HIGH(es, ES) BASE_HIGH(cs, CS) BASE_HIGH(ss, SS) BASE_HIGH(ds, DS)
    {"ss-rights-null", GUEST_SS_ACCESS_RIGHTS, SECTION_GUEST_SEGMENTS, MODE_LONG, 0x1f1ff,     null_ss},
    {"ss-limit-null",  GUEST_SS_LIMIT,         SECTION_GUEST_SEGMENTS, MODE_LONG, LIMIT_EDGES, null_ss},
    {"tr-rights",           GUEST_TR_ACCESS_RIGHTS,   SECTION_GUEST_SEGMENTS, MODE_LONG,      EVERY_BIT, NULL},
    {"tr-rights-protected", GUEST_TR_ACCESS_RIGHTS,   SECTION_GUEST_SEGMENTS, MODE_PROTECTED, 0x1f1ff, NULL},
    {"ldtr-rights",         GUEST_LDTR_ACCESS_RIGHTS, SECTION_GUEST_SEGMENTS, MODE_LONG,      EVERY_BIT, usable_ldtr},
    {"tr-selector",         GUEST_TR_SELECTOR,        SECTION_GUEST_SEGMENTS, MODE_LONG,      0x8007,    NULL},
    {"ldtr-selector",       GUEST_LDTR_SELECTOR,      SECTION_GUEST_SEGMENTS, MODE_LONG,      0x8007,    usable_ldtr},
    {"tr-limit",            GUEST_TR_LIMIT,           SECTION_GUEST_SEGMENTS, MODE_LONG,      LIMIT_EDGES, NULL},
    {"ldtr-limit",          GUEST_LDTR_LIMIT,         SECTION_GUEST_SEGMENTS, MODE_LONG,      LIMIT_EDGES, usable_ldtr},
};
// clang-format on

// Type x DPL of CS against type and DPL of SS, with and without unrestricted guest.
static void code_against_stack(void)
{
    section = entry_section_title(SECTION_GUEST_SEGMENTS);
    for (unsigned type = 0; type < 16; type++)
        for (unsigned dpls = 0; dpls < 16; dpls++) {
            if (dpls % 4 % 3 || dpls / 4 % 3)
                continue; // the outer two are enough
            for (unsigned free = 0; free < 2; free++) {
                valid_state(MODE_PAGED);
                vm_set(GUEST_CS_ACCESS_RIGHTS,
                       (vm_get(GUEST_CS_ACCESS_RIGHTS) & ~0x6full) | type | (dpls % 4) << 5);
                vm_set(GUEST_SS_ACCESS_RIGHTS, (vm_get(GUEST_SS_ACCESS_RIGHTS) & ~0x60ull) | (dpls / 4) << 5);
                if (!free) {
                    restricted();
                    vm_set_bits(GUEST_CS_SELECTOR, dpls / 4); // what that asks of RPLs
                    vm_set_bits(GUEST_SS_SELECTOR, dpls / 4);
                }
                expect_judged(name_of("cs-type-%02u-dpl-%u-ss-dpl-%u%s", type, dpls % 4, dpls / 4,
                                      free ? "" : "-restricted"));
            }
        }
}

// ---- Activity x blocking x injection ----

static const struct {
    const char *name;
    uint32_t info;
} injected[] = {
    {"nothing",   0                                                                   },
    {"interrupt", EVENT_INFO_VALID | EVENT_EXTERNAL_INTERRUPT << 8 | 32               },
    {"nmi",       EVENT_INFO_VALID | EVENT_NMI << 8 | 2                               },
    {"db",        EVENT_INFO_VALID | EVENT_HARDWARE_EXCEPTION << 8 | EXC_DB           },
    {"mc",        EVENT_INFO_VALID | EVENT_HARDWARE_EXCEPTION << 8 | EXC_MC           },
    {"ud",        EVENT_INFO_VALID | EVENT_HARDWARE_EXCEPTION << 8 | EXC_UD           },
    {"int",       EVENT_INFO_VALID | EVENT_SOFTWARE_INTERRUPT << 8 | 32               },
    {"int1",      EVENT_INFO_VALID | EVENT_PRIVILEGED_SOFTWARE_EXCEPTION << 8 | EXC_DB},
    {"int3",      EVENT_INFO_VALID | EVENT_SOFTWARE_EXCEPTION << 8 | EXC_BP           },
};

static const struct {
    const char *name;
    uint32_t bits;
} blockings[] = {
    {"",            0                                   },
    {"-sti",        BLOCKING_BY_STI                     },
    {"-mov-ss",     BLOCKING_BY_MOV_SS                  },
    {"-sti-mov-ss", BLOCKING_BY_STI | BLOCKING_BY_MOV_SS},
    {"-nmi",        BLOCKING_BY_NMI                     },
    {"-smi",        BLOCKING_BY_SMI                     },
    {"-sti-nmi",    BLOCKING_BY_STI | BLOCKING_BY_NMI   },
    {"-mov-ss-nmi", BLOCKING_BY_MOV_SS | BLOCKING_BY_NMI},
};

static void activity(void)
{
    static const char *const states[] = {[ACTIVITY_ACTIVE] = "active",
                                         [ACTIVITY_HLT] = "hlt",
                                         [ACTIVITY_SHUTDOWN] = "shutdown",
                                         [ACTIVITY_WAIT_FOR_SIPI] = "wait-for-sipi"};
    section = entry_section_title(SECTION_NON_REGISTER);
    for (unsigned state = 0; state < array_size(states); state++)
        for (unsigned b = 0; b < array_size(blockings); b++)
            for (unsigned e = 0; e < array_size(injected); e++) {
                valid_state(MODE_LONG);
                vm_set_bits(GUEST_RFLAGS, RFLAGS_IF);
                vm_set(VM_ENTRY_INSTRUCTION_LENGTH, 1);
                vm_set(GUEST_ACTIVITY_STATE, state);
                vm_set(GUEST_INTERRUPTIBILITY_STATE, blockings[b].bits);
                vm_set(VM_ENTRY_INTERRUPTION_INFO, injected[e].info);
                expect_judged(name_of("%s%s-%s", states[state], blockings[b].name, injected[e].name));
            }
}

// BS of the pending debug exceptions against TF, BTF, blocking and HLT.
static void single_step(void)
{
    section = entry_section_title(SECTION_NON_REGISTER);
    for (unsigned row = 0; row < 32; row++) {
        unsigned why = row >> 3; // nothing, STI, MOV SS, HLT
        valid_state(MODE_LONG);
        load_debug();
        vm_set_bits(GUEST_RFLAGS, RFLAGS_IF | (row & 1 ? RFLAGS_TF : 0));
        vm_set(GUEST_DEBUGCTL, row & 2 ? DEBUGCTL_BTF : 0);
        vm_set(GUEST_PENDING_DEBUG_EXCEPTIONS, row & 4 ? PENDING_DEBUG_BS : 0);
        vm_set(GUEST_INTERRUPTIBILITY_STATE, why == 1 ? BLOCKING_BY_STI : why == 2 ? BLOCKING_BY_MOV_SS : 0);
        vm_set(GUEST_ACTIVITY_STATE, why == 3 ? ACTIVITY_HLT : ACTIVITY_ACTIVE);
        static const char *const whys[] = {"", "-sti", "-mov-ss", "-hlt"};
        expect_judged(name_of("step%s%s%s%s", whys[why], row & 1 ? "-tf" : "", row & 2 ? "-btf" : "",
                              row & 4 ? "-bs" : ""));
    }
}

// RFLAGS.IF and an interrupt to be injected, in each mode.
static void interrupts(void)
{
    section = entry_section_title(SECTION_GUEST_RIP);
    for (enum entry_mode mode = 0; mode < MODE_COUNT; mode++)
        for (unsigned flag = 0; flag < 2; flag++) {
            const char *name = name_of("inject-%s-if-%u", mode_names[mode], flag);
            if (!valid_state(mode)) {
                skipped(name, "the processor lacks unrestricted guest");
                continue;
            }
            vm_set(VM_ENTRY_INTERRUPTION_INFO, event_info(EVENT_EXTERNAL_INTERRUPT, 32, false));
            if (flag)
                vm_set_bits(GUEST_RFLAGS, RFLAGS_IF);
            expect_judged(name);
        }
}

// ---- VMCS link pointer, PDPTEs ----

static void link(void)
{
    vm_set(VMCS_LINK_POINTER, entry_pages);
    vm.value[AT_LINK_REVISION] = vmx_basic_revision(processor.caps.basic);
}
static void revision_bits(void)
{
    section = entry_section_title(SECTION_NON_REGISTER);
    for (unsigned bit = 0; bit < 32; bit++) {
        valid_state(MODE_LONG);
        link();
        vm.value[AT_LINK_REVISION] ^= 1ull << bit;
        expect_judged(name_of("link-revision-bit-%02u", bit));
    }
}

static void present_0(void)
{
    vm_set(GUEST_PDPTE0, 1);
}
static void present_1(void)
{
    vm_set(GUEST_PDPTE1, 1);
}
static void present_2(void)
{
    vm_set(GUEST_PDPTE2, 1);
}
static void present_3(void)
{
    vm_set(GUEST_PDPTE3, 1);
}

static void pointers(void)
{
    // clang-format off
    const struct sweep rows[] = {
        {"link",               VMCS_LINK_POINTER, SECTION_NON_REGISTER, MODE_LONG, PHYSICAL_BITS | 0xfff, link     },
        {"pdpte0",             GUEST_PDPTE0,      SECTION_PDPTES,       MODE_PAE,  PHYSICAL_BITS | 0xfff, present_0},
        {"pdpte1",             GUEST_PDPTE1,      SECTION_PDPTES,       MODE_PAE,  0xfff | HIGH_EDGES, present_1},
        {"pdpte2",             GUEST_PDPTE2,      SECTION_PDPTES,       MODE_PAE,  0xfff | HIGH_EDGES, present_2},
        {"pdpte3",             GUEST_PDPTE3,      SECTION_PDPTES,       MODE_PAE,  0xfff | HIGH_EDGES, present_3},
        {"pdpte0-not-present", GUEST_PDPTE0,      SECTION_PDPTES,       MODE_PAE,  HIGH_EDGES | 0xffe,    NULL     },
        {"pdpte0-long",        GUEST_PDPTE0,      SECTION_PDPTES,       MODE_LONG, 0x1ff, present_0},
    };
    // clang-format on
    entry_sweeps(rows);
}

BUCKET("checks on the guest state")
{
    entry_modes_enter();
    entry_cases(RULE_GUEST_CR0_MUST_BE_1, RULE_COUNT);
    entry_sweeps(registers);
    addresses();
    addresses_high();
    pat();
    paging_modes();
    entry_sweeps(segments);
    code_against_stack();
    activity();
    single_step();
    interrupts();
    revision_bits();
    pointers();
}
