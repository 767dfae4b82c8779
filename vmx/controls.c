#include "vmx/controls.h"

static const struct control_policy pin_policy[] = {
    {PIN_EXTERNAL_INTERRUPT_EXITING, CONTROL_REQUIRED, "interrupts of the box are the hypervisor's"         },
    {PIN_NMI_EXITING,                CONTROL_REQUIRED, "NMIs of the box are the hypervisor's"               },
    {PIN_VIRTUAL_NMIS,               CONTROL_WANTED,   "a guest's NMI blocking is kept apart from the box's"},
    {PIN_PREEMPTION_TIMER,           CONTROL_WANTED,
     "ends a turn without an interrupt; else the local APIC timer does"                                     },
    {PIN_POSTED_INTERRUPTS,          CONTROL_AVOIDED,  "no posted-interrupt descriptor exists"              },
};

static const struct control_policy primary_policy[] = {
    {PRIMARY_INTERRUPT_WINDOW_EXITING, CONTROL_AVOIDED,  "set only while an interrupt waits"                   },
    {PRIMARY_NMI_WINDOW_EXITING,       CONTROL_AVOIDED,  "set only while an NMI waits"                         },
    {PRIMARY_TSC_OFFSETTING,           CONTROL_REQUIRED, "a guest may set its TSC"                             },
    {PRIMARY_HLT_EXITING,              CONTROL_REQUIRED, "the halt is kept in the hypervisor"                  },
    {PRIMARY_MWAIT_EXITING,            CONTROL_REQUIRED, "MWAIT is hidden"                                     },
    {PRIMARY_MONITOR_EXITING,          CONTROL_REQUIRED, "MONITOR is hidden"                                   },
    {PRIMARY_RDPMC_EXITING,            CONTROL_REQUIRED, "the PMU is hidden"                                   },
    {PRIMARY_CR8_LOAD_EXITING,         CONTROL_REQUIRED, "CR8 is the box's task priority without a TPR shadow" },
    {PRIMARY_CR8_STORE_EXITING,        CONTROL_REQUIRED, "CR8 is the box's task priority without a TPR shadow" },
    {PRIMARY_UNCONDITIONAL_IO_EXITING, CONTROL_REQUIRED, "ports of the box are out of reach"                   },
    {PRIMARY_IO_BITMAPS,               CONTROL_AVOIDED,  "they would replace unconditional exiting"            },
    {PRIMARY_MSR_BITMAPS,              CONTROL_REQUIRED, "harmless MSRs need no exit"                          },
    {PRIMARY_ACTIVATE_SECONDARY,       CONTROL_REQUIRED, "EPT and unrestricted guest are there"                },
    {PRIMARY_CR3_LOAD_EXITING,         CONTROL_AVOIDED,  "EPT leaves CR3 to the guest"                         },
    {PRIMARY_CR3_STORE_EXITING,        CONTROL_AVOIDED,  "EPT leaves CR3 to the guest"                         },
    {PRIMARY_INVLPG_EXITING,           CONTROL_AVOIDED,  "EPT leaves paging to the guest"                      },
    {PRIMARY_RDTSC_EXITING,            CONTROL_AVOIDED,  "the TSC is the guest's clock"                        },
    {PRIMARY_MOV_DR_EXITING,           CONTROL_REQUIRED, "debug registers are switched from their first use on"},
    {PRIMARY_PAUSE_EXITING,            CONTROL_AVOIDED,  "spinning is the guest's business"                    },
    {PRIMARY_TPR_SHADOW,               CONTROL_AVOIDED,  "set in some modes of a local APIC only"              },
    {PRIMARY_MONITOR_TRAP_FLAG,        CONTROL_AVOIDED,  "single steps are the guest's own"                    },
    {PRIMARY_ACTIVATE_TERTIARY,        CONTROL_AVOIDED,  "nothing there is used"                               },
};

static const struct control_policy secondary_policy[] = {
    {SECONDARY_EPT,                        CONTROL_REQUIRED, "it keeps machines apart"                     },
    {SECONDARY_UNRESTRICTED_GUEST,         CONTROL_REQUIRED, "guests start in real mode and without paging"},
    {SECONDARY_VPID,                       CONTROL_WANTED,   "the TLB survives exits"                      },
    {SECONDARY_RDTSCP,                     CONTROL_WANTED,   "RDTSCP is shown to guests"                   },
    {SECONDARY_INVPCID,                    CONTROL_WANTED,   "INVPCID is shown to guests"                  },
    {SECONDARY_WBINVD_EXITING,             CONTROL_WANTED,   "WBINVD would empty everybody's caches"       },
    {SECONDARY_CONCEAL_FROM_PT,            CONTROL_UNWANTED, "nothing is traced"                           },
    {SECONDARY_APIC_ACCESSES,              CONTROL_AVOIDED,  "set in some modes of a local APIC only"      },
    {SECONDARY_X2APIC_MODE,                CONTROL_AVOIDED,  "set in some modes of a local APIC only"      },
    {SECONDARY_APIC_REGISTERS,             CONTROL_AVOIDED,  "set in some modes of a local APIC only"      },
    {SECONDARY_VIRTUAL_INTERRUPT_DELIVERY, CONTROL_AVOIDED,  "set in some modes of a local APIC only"      },
    {SECONDARY_VM_FUNCTIONS,               CONTROL_AVOIDED,  "VMFUNC is hidden"                            },
    {SECONDARY_VMCS_SHADOWING,             CONTROL_AVOIDED,  "VMX is hidden"                               },
    {SECONDARY_PML,                        CONTROL_WANTED,   "the dirty log is noted by the processor"     },
    {SECONDARY_EPT_VIOLATION_VE,           CONTROL_AVOIDED,  "no #VE page exists"                          },
    {SECONDARY_XSAVES,                     CONTROL_AVOIDED,  "XSAVES is hidden: IA32_XSS is not switched"  },
    {SECONDARY_TSC_SCALING,                CONTROL_AVOIDED,  "guests see the box's TSC frequency"          },
};

// What APIC virtualization is made of: all of it or nothing, so that there are two ways to test and not many.
static const struct control_policy apicv_primary_policy[] = {
    {PRIMARY_TPR_SHADOW,        CONTROL_REQUIRED, "the virtual-APIC page hangs on it"},
    {PRIMARY_CR8_LOAD_EXITING,  CONTROL_AVOIDED,  "the TPR shadow takes CR8"         },
    {PRIMARY_CR8_STORE_EXITING, CONTROL_AVOIDED,  "the TPR shadow takes CR8"         },
};

static const struct control_policy apicv_secondary_policy[] = {
    {SECONDARY_APIC_ACCESSES,              CONTROL_REQUIRED, "guests start in xAPIC mode"           },
    {SECONDARY_X2APIC_MODE,                CONTROL_REQUIRED, "guests see x2APIC"                    },
    {SECONDARY_APIC_REGISTERS,             CONTROL_REQUIRED, "registers are read in memory"         },
    {SECONDARY_VIRTUAL_INTERRUPT_DELIVERY, CONTROL_REQUIRED, "EOI and self-IPI are to make no exits"},
};

// By mode: what is set in the primary and the secondary controls, and what is not in the primary ones. A disabled APIC
// has no help: the processor would take self-IPIs that such a one does not accept. But while others of the machine
// need the APIC-access page, nobody may reach it as memory.
enum { CR8_EXITING = PRIMARY_CR8_LOAD_EXITING | PRIMARY_CR8_STORE_EXITING };
enum { DELIVERY = SECONDARY_APIC_REGISTERS | SECONDARY_VIRTUAL_INTERRUPT_DELIVERY };
static const struct {
    uint32_t primary, not_primary, secondary;
} apic_help[APIC_HELP_COUNT] = {
    [APIC_HELP_PAGE_EXITS] = {0,                  0,           SECONDARY_APIC_ACCESSES           },
    [APIC_HELP_PAGE] = {PRIMARY_TPR_SHADOW, CR8_EXITING, SECONDARY_APIC_ACCESSES | DELIVERY},
    [APIC_HELP_MSRS] = {PRIMARY_TPR_SHADOW, CR8_EXITING, SECONDARY_X2APIC_MODE | DELIVERY  },
};

static const struct control_policy exit_policy[] = {
    {EXIT_SAVE_DEBUG_CONTROLS,     CONTROL_REQUIRED, "DR7 and DEBUGCTL belong to the guest"},
    {EXIT_HOST_ADDRESS_SPACE_SIZE, CONTROL_REQUIRED, "the hypervisor is 64-bit"            },
    {EXIT_ACKNOWLEDGE_INTERRUPT,   CONTROL_REQUIRED, "the exit gives the vector"           },
    {EXIT_SAVE_PAT,                CONTROL_REQUIRED, "a guest has its own PAT"             },
    {EXIT_LOAD_PAT,                CONTROL_REQUIRED, "a guest has its own PAT"             },
    {EXIT_SAVE_EFER,               CONTROL_REQUIRED, "a guest has its own EFER"            },
    {EXIT_LOAD_EFER,               CONTROL_REQUIRED, "a guest has its own EFER"            },
    {EXIT_SAVE_PREEMPTION_TIMER,   CONTROL_WANTED,   "the rest of a turn survives exits"   },
    {EXIT_CONCEAL_FROM_PT,         CONTROL_UNWANTED, "nothing is traced"                   },
};

static const struct control_policy entry_policy[] = {
    {ENTRY_LOAD_DEBUG_CONTROLS,     CONTROL_REQUIRED, "DR7 and DEBUGCTL belong to the guest"},
    {ENTRY_LOAD_PAT,                CONTROL_REQUIRED, "a guest has its own PAT"             },
    {ENTRY_LOAD_EFER,               CONTROL_REQUIRED, "a guest has its own EFER"            },
    {ENTRY_IA32E_MODE_GUEST,        CONTROL_UNWANTED, "set when a guest enters long mode"   },
    {ENTRY_ENTRY_TO_SMM,            CONTROL_AVOIDED,  "there is no SMM monitor"             },
    {ENTRY_DEACTIVATE_DUAL_MONITOR, CONTROL_AVOIDED,  "there is no SMM monitor"             },
    {ENTRY_CONCEAL_FROM_PT,         CONTROL_UNWANTED, "nothing is traced"                   },
};

struct word {
    enum vmcs_control_word word;
    const struct control_policy *rows;
    unsigned count;
    uint32_t *out;
};

static enum error resolve(const struct vmx_caps *caps, const struct word *w, unsigned count,
                          struct reason *why)
{
    for (const struct word *end = w + count; w < end; w++) {
        struct control_capability can = vmx_caps_control(caps, w->word);
        struct control_result r = control_resolve(&can, w->rows, w->count);
        *w->out = (uint32_t)r.value;
        if (r.refusal) {
            control_refusal_text(why->text, sizeof(why->text), w->word, &r);
            return E_UNSUPPORTED;
        }
    }
    return E_OK;
}

// Capabilities without a control of their own. Unrestricted guests switch paging without an exit: the processor has to
// keep track of long mode.
static enum error check_capabilities(const struct vmx_caps *caps, struct reason *why)
{
    const struct {
        uint64_t have, bit;
        const char *sentence;
    } needs[] = {
        {caps->misc,     VMX_MISC_SAVE_LMA,       "VM exits do not save the long-mode state of a guest"},
        {caps->basic,    VMX_BASIC_INS_OUTS_INFO, "VM exits do not describe INS and OUTS"              },
        {caps->ept_vpid, EPT_CAP_WALK_4,          "no 4-level EPT"                                     },
        {caps->ept_vpid, EPT_CAP_WB,              "no write-back EPT structures"                       },
        {caps->ept_vpid, EPT_CAP_INVEPT,          "no INVEPT"                                          },
        {caps->ept_vpid, EPT_CAP_INVEPT_ALL,      "no INVEPT of all contexts"                          },
    };
    for (unsigned i = 0; i < array_size(needs); i++)
        if (!(needs[i].have & needs[i].bit))
            return reason_set(why, E_UNSUPPORTED, "%s", needs[i].sentence);
    return E_OK;
}

// VPIDs are of use only where the translations of one can be dropped.
static bool can_flush_vpid(uint64_t ept_vpid)
{
    return ept_vpid & EPT_CAP_INVVPID && ept_vpid & (EPT_CAP_INVVPID_SINGLE | EPT_CAP_INVVPID_ALL);
}

enum error controls_negotiate(const struct vmx_caps *caps, struct controls *out, struct reason *why)
{
    const struct word words[] = {
        {WORD_PRIMARY,   primary_policy,   array_size(primary_policy),   &out->primary  },
        {WORD_SECONDARY, secondary_policy, array_size(secondary_policy), &out->secondary},
        {WORD_PIN,       pin_policy,       array_size(pin_policy),       &out->pin      },
        {WORD_EXIT,      exit_policy,      array_size(exit_policy),      &out->exit     },
        {WORD_ENTRY,     entry_policy,     array_size(entry_policy),     &out->entry    },
    };
    enum error e = resolve(caps, words, array_size(words), why);
    if (e)
        return e;
    if (!can_flush_vpid(caps->ept_vpid))
        out->secondary &= ~(uint32_t)SECONDARY_VPID;
    if (!(caps->ept_vpid & EPT_CAP_ACCESSED_DIRTY)) // what is noted is that a dirty flag was set
        out->secondary &= ~(uint32_t)SECONDARY_PML;
    out->apicv = false;
    out->apic[APIC_HELP_NONE].primary = out->primary;
    out->apic[APIC_HELP_NONE].secondary = 0;
    return check_capabilities(caps, why);
}

enum error controls_negotiate_apicv(const struct vmx_caps *caps, struct controls *out, struct reason *why)
{
    uint32_t unused;
    const struct word words[] = {
        {WORD_PRIMARY,   apicv_primary_policy,   array_size(apicv_primary_policy),   &unused},
        {WORD_SECONDARY, apicv_secondary_policy, array_size(apicv_secondary_policy), &unused},
    };
    enum error e = resolve(caps, words, array_size(words), why);
    if (e)
        return e;
    for (unsigned i = 0; i < APIC_HELP_COUNT; i++) {
        out->apic[i].primary = (out->primary | apic_help[i].primary) & ~apic_help[i].not_primary;
        out->apic[i].secondary = apic_help[i].secondary;
    }
    out->apicv = true;
    return E_OK;
}
