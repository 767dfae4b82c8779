// Whether what the capability MSRs say contradicts itself: guests and host tests ask, the hypervisor does not.
#include "sdm/vmx_caps.h"

// Two controls of which the first makes no sense where the second cannot be 1: VM entry would refuse the
// pair (SDM volume 3, "Checks on VMX Controls").
static const struct {
    uint8_t word, needs_word;
    uint64_t bit, needs_bit;
} dependencies[] = {
    {WORD_PIN,       WORD_PIN,       PIN_VIRTUAL_NMIS,                     PIN_NMI_EXITING                     },
    {WORD_PRIMARY,   WORD_PIN,       PRIMARY_NMI_WINDOW_EXITING,           PIN_VIRTUAL_NMIS                    },
    {WORD_EXIT,      WORD_PIN,       EXIT_SAVE_PREEMPTION_TIMER,           PIN_PREEMPTION_TIMER                },
    {WORD_PIN,       WORD_SECONDARY, PIN_POSTED_INTERRUPTS,                SECONDARY_VIRTUAL_INTERRUPT_DELIVERY},
    {WORD_PIN,       WORD_EXIT,      PIN_POSTED_INTERRUPTS,                EXIT_ACKNOWLEDGE_INTERRUPT          },
    {WORD_SECONDARY, WORD_PRIMARY,   SECONDARY_X2APIC_MODE,                PRIMARY_TPR_SHADOW                  },
    {WORD_SECONDARY, WORD_PRIMARY,   SECONDARY_APIC_REGISTERS,             PRIMARY_TPR_SHADOW                  },
    {WORD_SECONDARY, WORD_PRIMARY,   SECONDARY_VIRTUAL_INTERRUPT_DELIVERY, PRIMARY_TPR_SHADOW                  },
    {WORD_SECONDARY, WORD_PIN,       SECONDARY_VIRTUAL_INTERRUPT_DELIVERY, PIN_EXTERNAL_INTERRUPT_EXITING      },
    {WORD_SECONDARY, WORD_SECONDARY, SECONDARY_UNRESTRICTED_GUEST,         SECONDARY_EPT                       },
    {WORD_SECONDARY, WORD_SECONDARY, SECONDARY_PML,                        SECONDARY_EPT                       },
    {WORD_SECONDARY, WORD_SECONDARY, SECONDARY_MODE_BASED_EXECUTE,         SECONDARY_EPT                       },
    {WORD_SECONDARY, WORD_SECONDARY, SECONDARY_SUB_PAGE_PERMISSIONS,       SECONDARY_EPT                       },
    {WORD_SECONDARY, WORD_SECONDARY, SECONDARY_EPT_VIOLATION_VE,           SECONDARY_EPT                       },
    {WORD_FUNCTION,  WORD_SECONDARY, FUNCTION_EPTP_SWITCHING,              SECONDARY_EPT                       },
};

// Rules that concern one value: what is written is the contradiction, found where `broken` holds.
// clang-format off
#define CAPS_RULES(X)                                                                                        \
    X(c->basic >> 31 & 1, "IA32_VMX_BASIC: bit 31 is not 0")                                                 \
    X(!vmx_basic_region_size(c->basic) || vmx_basic_region_size(c->basic) > 4096,                            \
      "IA32_VMX_BASIC: a VMCS region of 0 or of more than 4096 bytes")                                       \
    X(vmx_basic_memory_type(c->basic) != MT_WB && vmx_basic_memory_type(c->basic) != MT_UC,                  \
      "IA32_VMX_BASIC: memory type neither UC nor WB")                                                       \
    X(c->cr0_fixed0 & ~c->cr0_fixed1, "IA32_VMX_CR0_FIXED0: a bit fixed to 0 and to 1")                      \
    X(c->cr4_fixed0 & ~c->cr4_fixed1, "IA32_VMX_CR4_FIXED0: a bit fixed to 0 and to 1")                      \
    X(!(c->cr4_fixed1 & CR4_VMXE), "IA32_VMX_CR4_FIXED1: VMXE fixed to 0")                                   \
    X((uint32_t)c->secondary, "IA32_VMX_PROCBASED_CTLS2: a control that cannot be 0")                        \
    X(vmx_misc_cr3_targets(c->misc) > 256, "IA32_VMX_MISC: more than 256 CR3 targets")                       \
    X(c->vmcs_enum & 1, "IA32_VMX_VMCS_ENUM: bit 0 is not 0")                                                \
    X((c->secondary >> 32 & SECONDARY_EPT) && !(c->ept_vpid & (EPT_CAP_WALK_4 | EPT_CAP_WALK_5)),            \
      "EPT without a page-walk length")                                                                      \
    X((c->secondary >> 32 & SECONDARY_EPT) && !(c->ept_vpid & (EPT_CAP_UC | EPT_CAP_WB)),                    \
      "EPT without a memory type for its structures")                                                        \
    X((c->ept_vpid & EPT_CAP_INVEPT) && !(c->ept_vpid & (EPT_CAP_INVEPT_SINGLE | EPT_CAP_INVEPT_ALL)),       \
      "INVEPT without a type")
// clang-format on

static unsigned check_values(const struct vmx_caps *c, line_fn line, void *context)
{
    unsigned found = 0;
#define RULE_TO_CHECK(broken, sentence) \
    if (broken)                         \
        line(context, sentence), found++;
    CAPS_RULES(RULE_TO_CHECK)
#undef RULE_TO_CHECK
    return found;
}

static unsigned check_control_word(const struct vmx_caps *c, enum vmcs_control_word word, line_fn line,
                                   void *context)
{
    struct control_capability can = vmx_caps_control(c, word);
    uint64_t stuck = can.must_be_1 & ~can.may_be_1, stricter = can.must_be_1 & ~can.default1;
    if (!stuck && !stricter)
        return 0;
    char buf[128];
    format(buf, sizeof(buf), "%s: %s: %lxh", control_words[word].words,
           stuck ? "can be neither 0 nor 1" : "the TRUE MSR forces what the other does not",
           stuck ? stuck : stricter);
    line(context, buf);
    return 1;
}

static unsigned check_dependency(const struct vmx_caps *c, unsigned row, line_fn line, void *context)
{
    uint8_t word = dependencies[row].word, needs = dependencies[row].needs_word;
    if (!vmx_caps_can(c, word, dependencies[row].bit) || vmx_caps_can(c, needs, dependencies[row].needs_bit))
        return 0;
    char buf[128];
    format(buf, sizeof(buf), "%s without %s",
           control_name(word, (unsigned)__builtin_ctzll(dependencies[row].bit)),
           control_name(needs, (unsigned)__builtin_ctzll(dependencies[row].needs_bit)));
    line(context, buf);
    return 1;
}

unsigned vmx_caps_check(const struct vmx_caps *c, line_fn line, void *context)
{
    unsigned found = check_values(c, line, context);
    for (unsigned word = WORD_PIN; word < WORD_COUNT; word++)
        found += check_control_word(c, word, line, context);
    for (unsigned i = 0; i < sizeof(dependencies) / sizeof(dependencies[0]); i++)
        found += check_dependency(c, i, line, context);
    return found;
}
