// What VM entry checks of the VM-execution, VM-exit and VM-entry controls: the cases of all rules, then tables over
// every bit of every field that has rules.
#include "guests/vmx/lib/entry.h"

// ---- Control words: each bit the other way than in a valid state that has what the bit takes for granted ----

struct word {
    const char *name;
    uint32_t field;
    uint8_t word; // enum vmcs_control_word
    uint8_t section;
    uint8_t bits;
    void (*activate)(void);
};

static void activate_secondary(void)
{
    vm_set_bits(PRIMARY_CONTROLS, PRIMARY_ACTIVATE_SECONDARY);
}
static void activate_tertiary(void)
{
    vm_set_bits(PRIMARY_CONTROLS, PRIMARY_ACTIVATE_TERTIARY);
}
static void activate_exit2(void)
{
    vm_set_bits(VM_EXIT_CONTROLS, EXIT_ACTIVATE_SECONDARY);
}
static void activate_functions(void)
{
    vm_control(WORD_SECONDARY, SECONDARY_VM_FUNCTIONS, true);
}

static const struct word words[] = {
    {"pin",       PIN_BASED_CONTROLS,         WORD_PIN,       SECTION_EXECUTION, 32, NULL              },
    {"primary",   PRIMARY_CONTROLS,           WORD_PRIMARY,   SECTION_EXECUTION, 32, NULL              },
    {"secondary", SECONDARY_CONTROLS,         WORD_SECONDARY, SECTION_EXECUTION, 32, activate_secondary},
    {"tertiary",  TERTIARY_CONTROLS,          WORD_TERTIARY,  SECTION_EXECUTION, 64, activate_tertiary },
    {"exit",      VM_EXIT_CONTROLS,           WORD_EXIT,      SECTION_EXIT,      32, NULL              },
    {"exit2",     SECONDARY_VM_EXIT_CONTROLS, WORD_EXIT2,     SECTION_EXIT,      64, activate_exit2    },
    {"entry",     VM_ENTRY_CONTROLS,          WORD_ENTRY,     SECTION_ENTRY,     32, NULL              },
    {"function",  VM_FUNCTION_CONTROLS,       WORD_FUNCTION,  SECTION_EXECUTION, 64, activate_functions},
};

// What a control needs besides, and what goes with it when it is turned off.
static const struct need {
    uint8_t word;
    uint64_t bit;
    bool on; // which way the row turns it
    uint8_t other_word;
    uint64_t other;
    bool other_on;
} needs[] = {
    {WORD_PIN,       PIN_NMI_EXITING,                      false, WORD_PIN,       PIN_VIRTUAL_NMIS,                     false},
    {WORD_PIN,       PIN_POSTED_INTERRUPTS,                true,  WORD_PRIMARY,   PRIMARY_TPR_SHADOW,                   true },
    {WORD_PIN,       PIN_POSTED_INTERRUPTS,                true,  WORD_SECONDARY, SECONDARY_VIRTUAL_INTERRUPT_DELIVERY, true },
    {WORD_SECONDARY, SECONDARY_X2APIC_MODE,                true,  WORD_PRIMARY,   PRIMARY_TPR_SHADOW,                   true },
    {WORD_SECONDARY, SECONDARY_APIC_REGISTERS,             true,  WORD_PRIMARY,   PRIMARY_TPR_SHADOW,                   true },
    {WORD_SECONDARY, SECONDARY_VIRTUAL_INTERRUPT_DELIVERY, true,  WORD_PRIMARY,   PRIMARY_TPR_SHADOW,                   true },
    {WORD_SECONDARY, SECONDARY_EPT,                        false, WORD_SECONDARY, SECONDARY_UNRESTRICTED_GUEST,         false},
    {WORD_TERTIARY,  TERTIARY_IPI_VIRTUALIZATION,          true,  WORD_PRIMARY,   PRIMARY_TPR_SHADOW,                   true },
    {WORD_EXIT,      EXIT_SAVE_PREEMPTION_TIMER,           true,  WORD_PIN,       PIN_PREEMPTION_TIMER,                 true },
};

static void mend(uint8_t word, uint64_t bit, bool on)
{
    for (unsigned i = 0; i < array_size(needs); i++)
        if (needs[i].word == word && needs[i].bit == bit && needs[i].on == on)
            vm_control(needs[i].other_word, needs[i].other, needs[i].other_on);
}

static void word_row(const struct word *w, unsigned bit)
{
    const char *name = name_of("%s-bit-%02u", w->name, bit);
    uint64_t mask = 1ull << bit;
    // Without this one it is another valid state.
    bool other = w->word == WORD_ENTRY && mask == ENTRY_IA32E_MODE_GUEST;
    section = entry_section_title(w->section);
    valid_state(other ? MODE_PAE : MODE_LONG);
    if (w->activate)
        w->activate();
    if (!other)
        vm_xor(w->field, mask);
    mend(w->word, mask, vm_get(w->field) & mask);
    expect_judged(name);
}

static void all_words(void)
{
    for (unsigned i = 0; i < array_size(words); i++)
        if (!field_exists(words[i].field))
            skipped(words[i].name, "the processor has no such control word");
        else
            for (unsigned bit = 0; bit < words[i].bits; bit++)
                word_row(&words[i], bit);
}

// ---- Addresses: every low bit, and every bit that the processor does not have ----

static void use_io_bitmaps(void)
{
    vm_control(WORD_PRIMARY, PRIMARY_IO_BITMAPS, true);
}
static void use_msr_bitmaps(void)
{
    vm_control(WORD_PRIMARY, PRIMARY_MSR_BITMAPS, true);
}
static void use_tpr_shadow(void)
{
    vm_control(WORD_PRIMARY, PRIMARY_TPR_SHADOW, true);
    vm_set(VIRTUAL_APIC_ADDRESS, entry_pages);
}
static void use_apic_page(void)
{
    vm_control(WORD_SECONDARY, SECONDARY_APIC_ACCESSES, true);
}
static void use_eptp_list(void)
{
    activate_functions();
    vm_control(WORD_FUNCTION, FUNCTION_EPTP_SWITCHING, true);
}
static void use_shadowing(void)
{
    vm_control(WORD_SECONDARY, SECONDARY_VMCS_SHADOWING, true);
}
static void use_ve(void)
{
    vm_control(WORD_SECONDARY, SECONDARY_EPT_VIOLATION_VE, true);
}
static void use_pml(void)
{
    vm_control(WORD_SECONDARY, SECONDARY_PML, true);
}
static void use_msr_store(void)
{
    vm_set(VM_EXIT_MSR_STORE_COUNT, 1);
    vm_set(VM_EXIT_MSR_STORE_ADDRESS, entry_pages);
}
static void use_msr_exit_load(void)
{
    vm_set(VM_EXIT_MSR_LOAD_COUNT, 1);
    vm_set(VM_EXIT_MSR_LOAD_ADDRESS, entry_pages + ENTRY_CASE_MSR_PAGE * 4096);
}
static void use_msr_entry_load(void)
{
    vm_set(VM_ENTRY_MSR_LOAD_COUNT, 1);
    vm_set(VM_ENTRY_MSR_LOAD_ADDRESS, entry_pages + ENTRY_CASE_MSR_PAGE * 4096);
}
static void use_vpid(void)
{
    vm_control(WORD_SECONDARY, SECONDARY_VPID, true);
    vm_set(VIRTUAL_PROCESSOR_ID, 0);
}

static const struct address {
    const char *name;
    uint32_t field;
    uint8_t section;
    uint8_t word;
    uint32_t control; // that makes it count; 0: a count does
    void (*use)(void);
} addresses[] = {
    {"io-bitmap-a",     IO_BITMAP_A,               SECTION_EXECUTION, WORD_PRIMARY,   PRIMARY_IO_BITMAPS,         use_io_bitmaps    },
    {"io-bitmap-b",     IO_BITMAP_B,               SECTION_EXECUTION, WORD_PRIMARY,   PRIMARY_IO_BITMAPS,         use_io_bitmaps    },
    {"msr-bitmap",      MSR_BITMAP,                SECTION_EXECUTION, WORD_PRIMARY,   PRIMARY_MSR_BITMAPS,        use_msr_bitmaps   },
    {"virtual-apic",    VIRTUAL_APIC_ADDRESS,      SECTION_EXECUTION, WORD_PRIMARY,   PRIMARY_TPR_SHADOW,
     use_tpr_shadow                                                                                                                 },
    {"apic-access",     APIC_ACCESS_ADDRESS,       SECTION_EXECUTION, WORD_SECONDARY, SECONDARY_APIC_ACCESSES,
     use_apic_page                                                                                                                  },
    {"eptp-list",       EPTP_LIST_ADDRESS,         SECTION_EXECUTION, WORD_FUNCTION,  FUNCTION_EPTP_SWITCHING,
     use_eptp_list                                                                                                                  },
    {"vmread-bitmap",   VMREAD_BITMAP,             SECTION_EXECUTION, WORD_SECONDARY, SECONDARY_VMCS_SHADOWING,
     use_shadowing                                                                                                                  },
    {"vmwrite-bitmap",  VMWRITE_BITMAP,            SECTION_EXECUTION, WORD_SECONDARY, SECONDARY_VMCS_SHADOWING,
     use_shadowing                                                                                                                  },
    {"ve-information",  VE_INFORMATION_ADDRESS,    SECTION_EXECUTION, WORD_SECONDARY, SECONDARY_EPT_VIOLATION_VE,
     use_ve                                                                                                                         },
    {"pml",             PML_ADDRESS,               SECTION_EXECUTION, WORD_SECONDARY, SECONDARY_PML,              use_pml           },
    {"msr-store-area",  VM_EXIT_MSR_STORE_ADDRESS, SECTION_EXIT,      WORD_NONE,      0,                          use_msr_store     },
    {"msr-load-area",   VM_EXIT_MSR_LOAD_ADDRESS,  SECTION_EXIT,      WORD_NONE,      0,                          use_msr_exit_load },
    {"entry-load-area", VM_ENTRY_MSR_LOAD_ADDRESS, SECTION_ENTRY,     WORD_NONE,      0,                          use_msr_entry_load},
};

// Addresses of pages that do not count may be anything.
static void ignored(const struct address *a)
{
    valid_state(MODE_LONG);
    vm_set(a->field, ~0ull);
    expect_broken(name_of("%s-ignored", a->name), RULE_COUNT);
}

static void address_fields(void)
{
    for (unsigned i = 0; i < array_size(addresses); i++) {
        const struct address *a = &addresses[i];
        section = entry_section_title(a->section);
        if (a->control && !can(a->word, a->control)) {
            skipped(a->name, "the processor lacks the control that makes it count");
            continue;
        }
        ignored(a);
        struct sweep s = {a->name, a->field, a->section, MODE_LONG, PHYSICAL_BITS | 0xfff, a->use};
        entry_sweep(&s);
    }
}

// ---- Numbers ----

static void cr3_targets(void)
{
    section = entry_section_title(SECTION_EXECUTION);
    for (unsigned count = 0; count <= 5; count++) {
        valid_state(MODE_LONG);
        vm_set(CR3_TARGET_COUNT, count);
        expect_judged(name_of("cr3-targets-%u", count));
    }
}

// The threshold against bits 7:4 of VTPR, as high as may be and one above.
static void tpr_thresholds(void)
{
    section = entry_section_title(SECTION_EXECUTION);
    for (unsigned class = 0; class < 16; class ++)
        for (unsigned above = 0; above < 2 && class + above < 16; above++) {
            const char *name = name_of("tpr-class-%u-threshold-%s", class, above ? "above" : "equal");
            valid_state(MODE_LONG);
            if (!can(WORD_PRIMARY, PRIMARY_TPR_SHADOW)) {
                skipped(name, "the processor lacks TPR shadows");
                continue;
            }
            use_tpr_shadow();
            vm.value[AT_VTPR] = class << 4 | 15;
            vm_set(TPR_THRESHOLD, class + above);
            expect_judged(name);
        }
}

static void use_apic_page_and_shadow(void)
{
    use_tpr_shadow();
    use_apic_page(); // then VTPR is not looked at
}
static void use_store_only(void)
{
    use_msr_store();
    vm_set(VM_EXIT_MSR_STORE_COUNT, 0);
}

static const struct sweep numbers[] = {
    {"cr3-target-count",  CR3_TARGET_COUNT,            SECTION_EXECUTION, MODE_LONG, EVERY_BIT, NULL                    },
    {"tpr-threshold",     TPR_THRESHOLD,               SECTION_EXECUTION, MODE_LONG, EVERY_BIT, use_apic_page_and_shadow},
    {"vpid",              VIRTUAL_PROCESSOR_ID,        SECTION_EXECUTION, MODE_LONG, EVERY_BIT, use_vpid                },
    {"unused-store-area", VM_EXIT_MSR_STORE_ADDRESS,   SECTION_EXIT,      MODE_LONG, 0xf,       use_store_only          },
    {"unused-length",     VM_ENTRY_INSTRUCTION_LENGTH, SECTION_ENTRY,     MODE_LONG, EVERY_BIT, NULL                    },
};

// ---- The EPT pointer ----

static void ept_pointers(void)
{
    section = entry_section_title(SECTION_EXECUTION);
    if (!can(WORD_SECONDARY, SECONDARY_EPT)) {
        skipped("eptp", "the processor lacks EPT");
        return;
    }
    for (unsigned value = 0; value < 8; value++) {
        valid_state(MODE_LONG);
        vm_set(EPT_POINTER, (vm_get(EPT_POINTER) & ~7ull) | value);
        expect_judged(name_of("eptp-type-%u", value));
        valid_state(MODE_LONG);
        vm_set(EPT_POINTER, (vm_get(EPT_POINTER) & ~0x38ull) | value << 3);
        // Five levels that begin at a table of the fourth lead nowhere, which is no matter of the entry.
        expect_judged(name_of("eptp-levels-%u", value + 1));
    }
    static const struct sweep low = {"eptp", EPT_POINTER, SECTION_EXECUTION, MODE_LONG, 0xfc0, NULL};
    struct sweep high = low;
    high.bits = PHYSICAL_BITS;
    entry_sweep(&low);
    entry_sweep(&high);
}

// ---- Event injection ----

// A case of the table: type x vector x error code, in real mode, protected mode and IA-32e mode.
static void event_row(const char *name, enum entry_mode mode, uint32_t info, uint32_t error_code,
                      uint32_t length)
{
    section = entry_section_title(SECTION_ENTRY);
    if (!valid_state(mode)) {
        skipped(name, "the processor lacks the mode");
        return;
    }
    vm_set(VM_ENTRY_INTERRUPTION_INFO, info);
    vm_set(VM_ENTRY_EXCEPTION_ERROR_CODE, error_code);
    vm_set(VM_ENTRY_INSTRUCTION_LENGTH, length);
    if ((info >> 8 & 7) == EVENT_EXTERNAL_INTERRUPT)
        vm_set_bits(GUEST_RFLAGS, RFLAGS_IF);
    expect_judged(name);
}

static void event_types(enum entry_mode mode)
{
    static const uint8_t vectors[] = {0, 2, 3, 6, 13, 32, 255};
    for (unsigned type = 0; type < 8; type++)
        for (unsigned i = 0; i < array_size(vectors); i++)
            for (unsigned code = 0; code < 2; code++)
                event_row(name_of("event-%s-type-%u-vector-%03u%s", mode_names[mode], type, vectors[i],
                                  code ? "-code" : ""),
                          mode,
                          EVENT_INFO_VALID | type << 8 | vectors[i] | (code ? EVENT_INFO_ERROR_CODE : 0u), 0,
                          1);
}

static void event_exceptions(enum entry_mode mode)
{
    for (unsigned vector = 0; vector < 32; vector++)
        for (unsigned code = 0; code < 2; code++)
            event_row(name_of("exception-%s-%02u%s", mode_names[mode], vector, code ? "-code" : ""), mode,
                      event_info(EVENT_HARDWARE_EXCEPTION, (uint8_t)vector, code), 0, 0);
}

static void event_bits(void)
{
    for (unsigned bit = 12; bit < 31; bit++) {
        event_row(name_of("event-info-bit-%02u", bit), MODE_LONG,
                  event_info(EVENT_HARDWARE_EXCEPTION, EXC_UD, false) | 1u << bit, 0, 0);
        event_row(name_of("event-info-bit-%02u-not-valid", bit), MODE_LONG, 1u << bit, 0, 0);
    }
    for (unsigned bit = 0; bit < 32; bit++)
        event_row(name_of("event-code-bit-%02u", bit), MODE_LONG,
                  event_info(EVENT_HARDWARE_EXCEPTION, EXC_GP, true), 1u << bit, 0);
    event_row("event-code-unused", MODE_LONG, event_info(EVENT_HARDWARE_EXCEPTION, EXC_UD, false), ~0u, 0);
}

static void event_lengths(void)
{
    static const uint32_t lengths[] = {0, 1, 2, 15, 16, 32, 0x80000000, 0xffffffff};
    static const struct {
        const char *name;
        uint8_t type, vector;
    } events[] = {
        {"interrupt",            EVENT_EXTERNAL_INTERRUPT,            32    },
        {"nmi",                  EVENT_NMI,                           2     },
        {"exception",            EVENT_HARDWARE_EXCEPTION,            EXC_UD},
        {"software-interrupt",   EVENT_SOFTWARE_INTERRUPT,            32    },
        {"privileged-exception", EVENT_PRIVILEGED_SOFTWARE_EXCEPTION, EXC_DB},
        {"software-exception",   EVENT_SOFTWARE_EXCEPTION,            EXC_BP},
    };
    static const enum entry_mode event_modes[] = {MODE_REAL, MODE_LONG};
    for (unsigned m = 0; m < array_size(event_modes); m++)
        for (unsigned e = 0; e < array_size(events); e++)
            for (unsigned l = 0; l < array_size(lengths); l++)
                event_row(name_of("length-%s-%s-%x", mode_names[event_modes[m]], events[e].name, lengths[l]),
                          event_modes[m], event_info(events[e].type, events[e].vector, false), 0, lengths[l]);
}

static void events(void)
{
    event_types(MODE_LONG);
    event_types(MODE_REAL);
    event_exceptions(MODE_PROTECTED);
    event_exceptions(MODE_V86);
    event_exceptions(MODE_LONG);
    event_exceptions(MODE_REAL);
    event_bits();
    event_lengths();
}

BUCKET("checks on VMX controls")
{
    entry_modes_enter();
    entry_cases(0, RULE_HOST_CR0_MUST_BE_1);
    all_words();
    address_fields();
    cr3_targets();
    tpr_thresholds();
    entry_sweeps(numbers);
    ept_pointers();
    events();
}
