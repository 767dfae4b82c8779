// What VM entry checks of the host state: the cases of all rules, then tables over every bit. A processor that takes a
// bad value loads it at the VM exit and may not survive that: this bucket runs last, and its log names the row.
#include "guests/vmx/lib/entry.h"

static void load_pat(void)
{
    vm_control(WORD_EXIT, EXIT_LOAD_PAT, true);
}
static void load_efer(void)
{
    vm_control(WORD_EXIT, EXIT_LOAD_EFER, true);
}

// Legal changes that no host lives through: five levels of paging over tables of four, and bit 63 of paging-structure
// entries reserved.
#define DEADLY_CR4  ((uint64_t)CR4_LA57)
#define DEADLY_EFER ((uint64_t)EFER_NXE)

#define SELECTOR(name, NAME)                                                                 \
    {                                                                                        \
#name "-selector", HOST_##NAME##_SELECTOR, SECTION_HOST_SEGMENTS, MODE_LONG, 7, NULL \
    }

// clang-format off
static const struct sweep registers[] = {
    {"cr0",  HOST_CR0,  SECTION_HOST_REGISTERS, MODE_LONG, EDGES_64,                NULL},
    {"cr4",  HOST_CR4,  SECTION_HOST_REGISTERS, MODE_LONG, EDGES_64 & ~DEADLY_CR4,  NULL},
    {"efer", HOST_EFER, SECTION_HOST_REGISTERS, MODE_LONG, EDGES_64 & ~DEADLY_EFER, load_efer},
    SELECTOR(es, ES), SELECTOR(cs, CS), SELECTOR(ss, SS), SELECTOR(ds, DS), SELECTOR(fs, FS), SELECTOR(gs, GS),
    SELECTOR(tr, TR),
    {"sysenter-cs", HOST_SYSENTER_CS, SECTION_HOST_REGISTERS, MODE_LONG, EVERY_BIT, NULL},
};
// clang-format on

// Bits that depend on the widths of the processor's addresses. The lowest bit that makes an address not canonical has a
// neighbour that is: the upper half.
static void addresses(void)
{
    // clang-format off
    const struct sweep rows[] = {
        {"cr3",          HOST_CR3,          SECTION_HOST_REGISTERS, MODE_LONG, PHYSICAL_BITS, NULL},
        {"sysenter-esp", HOST_SYSENTER_ESP, SECTION_HOST_REGISTERS, MODE_LONG, LINEAR_BITS,   NULL},
        {"sysenter-eip", HOST_SYSENTER_EIP, SECTION_HOST_REGISTERS, MODE_LONG, LINEAR_BITS,   NULL},
        {"fs-base",      HOST_FS_BASE,      SECTION_HOST_SEGMENTS,  MODE_LONG, LINEAR_BITS,   NULL},
        {"gs-base",      HOST_GS_BASE,      SECTION_HOST_SEGMENTS,  MODE_LONG, LINEAR_BITS,   NULL},
        {"tr-base",      HOST_TR_BASE,      SECTION_HOST_SEGMENTS,  MODE_LONG, LINEAR_BITS,   NULL},
        {"gdtr-base",    HOST_GDTR_BASE,    SECTION_HOST_SEGMENTS,  MODE_LONG, LINEAR_BITS,   NULL},
        {"idtr-base",    HOST_IDTR_BASE,    SECTION_HOST_SEGMENTS,  MODE_LONG, LINEAR_BITS,   NULL},
        {"rip",          HOST_RIP,          SECTION_ADDRESS_SPACE,  MODE_LONG, LINEAR_BITS,   NULL},
    };
    // clang-format on
    entry_sweeps(rows);
}

// The good neighbours of addresses: both halves' edges. IDTR and GDTR are left alone, as an NMI might come.
static void addresses_enter(void)
{
    static const struct {
        const char *name;
        uint32_t field;
        uint8_t section;
    } rows[] = {
        {"sysenter-esp", HOST_SYSENTER_ESP, SECTION_HOST_REGISTERS},
        {"sysenter-eip", HOST_SYSENTER_EIP, SECTION_HOST_REGISTERS},
        {"fs-base",      HOST_FS_BASE,      SECTION_HOST_SEGMENTS },
        {"gs-base",      HOST_GS_BASE,      SECTION_HOST_SEGMENTS },
        {"tr-base",      HOST_TR_BASE,      SECTION_HOST_SEGMENTS },
    };
    for (unsigned i = 0; i < array_size(rows); i++)
        for (unsigned upper = 0; upper < 2; upper++) {
            valid_state(MODE_LONG);
            vm_set(rows[i].field, upper ? LINEAR_BITS : ~LINEAR_BITS);
            section = entry_section_title(rows[i].section);
            expect_broken(name_of("%s-%s-half-edge", rows[i].name, upper ? "upper" : "lower"), RULE_COUNT);
        }
}

static void pat(void)
{
    section = entry_section_title(SECTION_HOST_REGISTERS);
    for (unsigned byte = 0; byte < 8; byte++)
        for (unsigned i = 0; i < array_size(pat_types); i++) {
            valid_state(MODE_LONG);
            load_pat();
            vm_set(HOST_PAT,
                   (vm_get(HOST_PAT) & ~(0xffull << 8 * byte)) | (uint64_t)pat_types[i] << 8 * byte);
            expect_judged(name_of("pat-byte-%u-type-%02x", byte, pat_types[i]));
        }
}

// With caps=control, until this is the only machine left: nobody else loses by what comes.
static void wait_for_others(void)
{
    enum { MACHINES = 256 };
    for (word_t id = 0; id < MACHINES; id++)
        while (id != start->vm_id) {
            static char name[32];
            sword_t got = hypercall(HC_CONTROL, CONTROL_NAME, id, (word_t)name, sizeof name, 0);
            if (got < 0 && got != -E_AGAIN)
                break;
            yield();
        }
}

BUCKET("checks on the host state")
{
    wait_for_others();
    entry_modes_enter();
    entry_dangerous = true;
    entry_cases(RULE_HOST_CR0_MUST_BE_1, RULE_GUEST_CR0_MUST_BE_1);
    entry_sweeps(registers);
    addresses();
    addresses_enter();
    pat();
}
