// The control words of the VMCS, a bit a row: SDM volume 3, "VM-Execution Control Fields", "VM-Exit Control
// Fields", "VM-Entry Control Fields". And what the capability MSRs say besides control bits: appendix
// "VMX Capability Reporting Facility".
#pragma once
#include "sdm/bits.h"
#include "sdm/vmcs_fields.h"

// clang-format off
// prefix of the constant, bit, name, words
#define PIN_CONTROL_BITS(X) \
    X(PIN_, 0,  EXTERNAL_INTERRUPT_EXITING,   "external-interrupt exiting") \
    X(PIN_, 3,  NMI_EXITING,                  "NMI exiting") \
    X(PIN_, 5,  VIRTUAL_NMIS,                 "virtual NMIs") \
    X(PIN_, 6,  PREEMPTION_TIMER,             "VMX preemption timer") \
    X(PIN_, 7,  POSTED_INTERRUPTS,            "posted interrupts")

#define PRIMARY_CONTROL_BITS(X) \
    X(PRIMARY_, 2,  INTERRUPT_WINDOW_EXITING, "interrupt-window exiting") \
    X(PRIMARY_, 3,  TSC_OFFSETTING,           "TSC offsetting") \
    X(PRIMARY_, 7,  HLT_EXITING,              "HLT exiting") \
    X(PRIMARY_, 9,  INVLPG_EXITING,           "INVLPG exiting") \
    X(PRIMARY_, 10, MWAIT_EXITING,            "MWAIT exiting") \
    X(PRIMARY_, 11, RDPMC_EXITING,            "RDPMC exiting") \
    X(PRIMARY_, 12, RDTSC_EXITING,            "RDTSC exiting") \
    X(PRIMARY_, 15, CR3_LOAD_EXITING,         "CR3-load exiting") \
    X(PRIMARY_, 16, CR3_STORE_EXITING,        "CR3-store exiting") \
    X(PRIMARY_, 17, ACTIVATE_TERTIARY,        "tertiary controls") \
    X(PRIMARY_, 19, CR8_LOAD_EXITING,         "CR8-load exiting") \
    X(PRIMARY_, 20, CR8_STORE_EXITING,        "CR8-store exiting") \
    X(PRIMARY_, 21, TPR_SHADOW,               "TPR shadow") \
    X(PRIMARY_, 22, NMI_WINDOW_EXITING,       "NMI-window exiting") \
    X(PRIMARY_, 23, MOV_DR_EXITING,           "MOV-DR exiting") \
    X(PRIMARY_, 24, UNCONDITIONAL_IO_EXITING, "unconditional I/O exiting") \
    X(PRIMARY_, 25, IO_BITMAPS,               "I/O bitmaps") \
    X(PRIMARY_, 27, MONITOR_TRAP_FLAG,        "monitor trap flag") \
    X(PRIMARY_, 28, MSR_BITMAPS,              "MSR bitmaps") \
    X(PRIMARY_, 29, MONITOR_EXITING,          "MONITOR exiting") \
    X(PRIMARY_, 30, PAUSE_EXITING,            "PAUSE exiting") \
    X(PRIMARY_, 31, ACTIVATE_SECONDARY,       "secondary controls")

#define SECONDARY_CONTROL_BITS(X) \
    X(SECONDARY_, 0,  APIC_ACCESSES,              "virtualized APIC accesses") \
    X(SECONDARY_, 1,  EPT,                        "EPT") \
    X(SECONDARY_, 2,  DESCRIPTOR_TABLE_EXITING,   "descriptor-table exiting") \
    X(SECONDARY_, 3,  RDTSCP,                     "RDTSCP enable") \
    X(SECONDARY_, 4,  X2APIC_MODE,                "virtualized x2APIC mode") \
    X(SECONDARY_, 5,  VPID,                       "VPID") \
    X(SECONDARY_, 6,  WBINVD_EXITING,             "WBINVD exiting") \
    X(SECONDARY_, 7,  UNRESTRICTED_GUEST,         "unrestricted guest") \
    X(SECONDARY_, 8,  APIC_REGISTERS,             "APIC-register virtualization") \
    X(SECONDARY_, 9,  VIRTUAL_INTERRUPT_DELIVERY, "virtual-interrupt delivery") \
    X(SECONDARY_, 10, PAUSE_LOOP_EXITING,         "PAUSE-loop exiting") \
    X(SECONDARY_, 11, RDRAND_EXITING,             "RDRAND exiting") \
    X(SECONDARY_, 12, INVPCID,                    "INVPCID enable") \
    X(SECONDARY_, 13, VM_FUNCTIONS,               "VM functions") \
    X(SECONDARY_, 14, VMCS_SHADOWING,             "VMCS shadowing") \
    X(SECONDARY_, 15, ENCLS_EXITING,              "ENCLS exiting") \
    X(SECONDARY_, 16, RDSEED_EXITING,             "RDSEED exiting") \
    X(SECONDARY_, 17, PML,                        "page-modification logging") \
    X(SECONDARY_, 18, EPT_VIOLATION_VE,           "EPT-violation #VE") \
    X(SECONDARY_, 19, CONCEAL_FROM_PT,            "VMX concealed from PT") \
    X(SECONDARY_, 20, XSAVES,                     "XSAVES/XRSTORS enable") \
    X(SECONDARY_, 21, PASID_TRANSLATION,          "PASID translation") \
    X(SECONDARY_, 22, MODE_BASED_EXECUTE,         "mode-based execute control for EPT") \
    X(SECONDARY_, 23, SUB_PAGE_PERMISSIONS,       "sub-page write permissions for EPT") \
    X(SECONDARY_, 24, PT_GUEST_PHYSICAL,          "PT by guest-physical addresses") \
    X(SECONDARY_, 25, TSC_SCALING,                "TSC scaling") \
    X(SECONDARY_, 26, USER_WAIT,                  "user wait and pause enable") \
    X(SECONDARY_, 27, PCONFIG,                    "PCONFIG enable") \
    X(SECONDARY_, 28, ENCLV_EXITING,              "ENCLV exiting") \
    X(SECONDARY_, 29, EPC_VIRTUALIZATION,         "EPC virtualization") \
    X(SECONDARY_, 30, BUS_LOCK_DETECTION,         "VMM bus-lock detection") \
    X(SECONDARY_, 31, INSTRUCTION_TIMEOUT,        "instruction timeout")

#define TERTIARY_CONTROL_BITS(X) \
    X(TERTIARY_, 0, LOADIWKEY_EXITING,         "LOADIWKEY exiting") \
    X(TERTIARY_, 1, HLAT,                      "HLAT") \
    X(TERTIARY_, 2, EPT_PAGING_WRITE,          "EPT paging-write control") \
    X(TERTIARY_, 3, GUEST_PAGING_VERIFICATION, "guest-paging verification") \
    X(TERTIARY_, 4, IPI_VIRTUALIZATION,        "IPI virtualization") \
    X(TERTIARY_, 6, MSR_LISTS,                 "RDMSRLIST/WRMSRLIST enable") \
    X(TERTIARY_, 7, SPEC_CTRL,                 "virtualized IA32_SPEC_CTRL")

#define EXIT_CONTROL_BITS(X) \
    X(EXIT_, 2,  SAVE_DEBUG_CONTROLS,      "save debug controls on exit") \
    X(EXIT_, 9,  HOST_ADDRESS_SPACE_SIZE,  "64-bit host") \
    X(EXIT_, 12, LOAD_PERF_GLOBAL_CTRL,    "load IA32_PERF_GLOBAL_CTRL on exit") \
    X(EXIT_, 15, ACKNOWLEDGE_INTERRUPT,    "acknowledge interrupt on exit") \
    X(EXIT_, 18, SAVE_PAT,                 "save IA32_PAT on exit") \
    X(EXIT_, 19, LOAD_PAT,                 "load IA32_PAT on exit") \
    X(EXIT_, 20, SAVE_EFER,                "save IA32_EFER on exit") \
    X(EXIT_, 21, LOAD_EFER,                "load IA32_EFER on exit") \
    X(EXIT_, 22, SAVE_PREEMPTION_TIMER,    "save VMX preemption-timer value on exit") \
    X(EXIT_, 23, CLEAR_BNDCFGS,            "clear IA32_BNDCFGS on exit") \
    X(EXIT_, 24, CONCEAL_FROM_PT,          "VM exits concealed from PT") \
    X(EXIT_, 25, CLEAR_RTIT_CTL,           "clear IA32_RTIT_CTL on exit") \
    X(EXIT_, 26, CLEAR_LBR_CTL,            "clear IA32_LBR_CTL on exit") \
    X(EXIT_, 27, CLEAR_UINV,               "clear UINV on exit") \
    X(EXIT_, 28, LOAD_CET,                 "load CET state on exit") \
    X(EXIT_, 29, LOAD_PKRS,                "load PKRS on exit") \
    X(EXIT_, 30, SAVE_PERF_GLOBAL_CTRL,    "save IA32_PERF_GLOBAL_CTRL on exit") \
    X(EXIT_, 31, ACTIVATE_SECONDARY,       "secondary VM-exit controls")

#define ENTRY_CONTROL_BITS(X) \
    X(ENTRY_, 2,  LOAD_DEBUG_CONTROLS,     "load debug controls on entry") \
    X(ENTRY_, 9,  IA32E_MODE_GUEST,        "IA-32e mode guest") \
    X(ENTRY_, 10, ENTRY_TO_SMM,            "entry to SMM") \
    X(ENTRY_, 11, DEACTIVATE_DUAL_MONITOR, "deactivate dual-monitor treatment") \
    X(ENTRY_, 13, LOAD_PERF_GLOBAL_CTRL,   "load IA32_PERF_GLOBAL_CTRL on entry") \
    X(ENTRY_, 14, LOAD_PAT,                "load IA32_PAT on entry") \
    X(ENTRY_, 15, LOAD_EFER,               "load IA32_EFER on entry") \
    X(ENTRY_, 16, LOAD_BNDCFGS,            "load IA32_BNDCFGS on entry") \
    X(ENTRY_, 17, CONCEAL_FROM_PT,         "VM entries concealed from PT") \
    X(ENTRY_, 18, LOAD_RTIT_CTL,           "load IA32_RTIT_CTL on entry") \
    X(ENTRY_, 19, LOAD_UINV,               "load UINV on entry") \
    X(ENTRY_, 20, LOAD_CET,                "load CET state on entry") \
    X(ENTRY_, 21, LOAD_LBR_CTL,            "load IA32_LBR_CTL on entry") \
    X(ENTRY_, 22, LOAD_PKRS,               "load PKRS on entry") \
    X(ENTRY_, 23, LOAD_FRED,               "load FRED state on entry")

#define EXIT2_CONTROL_BITS(X) \
    X(EXIT2_, 0, SAVE_FRED,                 "save FRED state on exit") \
    X(EXIT2_, 1, LOAD_FRED,                 "load FRED state on exit") \
    X(EXIT2_, 3, BUSY_SHADOW_STACK,         "prematurely busy shadow stack")

#define VM_FUNCTION_BITS(X) \
    X(FUNCTION_, 0, EPTP_SWITCHING, "EPTP switching")

// IA32_VMX_EPT_VPID_CAP (SDM volume 3, "VPID and EPT Capabilities").
#define EPT_VPID_CAP_BITS(X) \
    X(EPT_CAP_, 0,  EXECUTE_ONLY,            "execute-only pages") \
    X(EPT_CAP_, 6,  WALK_4,                  "4-level EPT") \
    X(EPT_CAP_, 7,  WALK_5,                  "5-level EPT") \
    X(EPT_CAP_, 8,  UC,                      "EPT structures uncached") \
    X(EPT_CAP_, 14, WB,                      "EPT structures write-back") \
    X(EPT_CAP_, 16, PAGE_2M,                 "2-MB pages") \
    X(EPT_CAP_, 17, PAGE_1G,                 "1-GB pages") \
    X(EPT_CAP_, 20, INVEPT,                  "INVEPT") \
    X(EPT_CAP_, 21, ACCESSED_DIRTY,          "EPT accessed and dirty flags") \
    X(EPT_CAP_, 22, ADVANCED_EXIT_INFO,      "advanced EPT-violation information") \
    X(EPT_CAP_, 23, SUPERVISOR_SHADOW_STACK, "supervisor shadow-stack control") \
    X(EPT_CAP_, 25, INVEPT_SINGLE,           "INVEPT single-context") \
    X(EPT_CAP_, 26, INVEPT_ALL,              "INVEPT all-context") \
    X(EPT_CAP_, 32, INVVPID,                 "INVVPID") \
    X(EPT_CAP_, 40, INVVPID_ADDRESS,         "INVVPID individual-address") \
    X(EPT_CAP_, 41, INVVPID_SINGLE,          "INVVPID single-context") \
    X(EPT_CAP_, 42, INVVPID_ALL,             "INVVPID all-context") \
    X(EPT_CAP_, 43, INVVPID_SINGLE_NOT_GLOBAL, "INVVPID single-context-retaining-globals")

// IA32_VMX_BASIC and IA32_VMX_MISC, single bits (SDM volume 3, "Basic VMX Information", "Miscellaneous Data").
#define VMX_BASIC_BITS(X) \
    X(VMX_BASIC_, 48, ADDRESSES_32,        "VMX structures below 4 GB") \
    X(VMX_BASIC_, 49, DUAL_MONITOR,        "dual-monitor treatment") \
    X(VMX_BASIC_, 54, INS_OUTS_INFO,       "instruction information for INS and OUTS") \
    X(VMX_BASIC_, 55, TRUE_CONTROLS,       "TRUE capability MSRs") \
    X(VMX_BASIC_, 56, ANY_ERROR_CODE,      "hardware exceptions injected with or without error code") \
    X(VMX_BASIC_, 58, NESTED_EXCEPTION,    "hardware exceptions injected as nested ones")

#define VMX_MISC_BITS(X) \
    X(VMX_MISC_, 5,  SAVE_LMA,             "IA-32e mode guest saved on exit") \
    X(VMX_MISC_, 6,  ACTIVITY_HLT,         "activity state HLT") \
    X(VMX_MISC_, 7,  ACTIVITY_SHUTDOWN,    "activity state shutdown") \
    X(VMX_MISC_, 8,  ACTIVITY_SIPI,        "activity state wait-for-SIPI") \
    X(VMX_MISC_, 14, PT_IN_VMX,            "PT in VMX operation") \
    X(VMX_MISC_, 15, SMBASE_IN_SMM,        "RDMSR of IA32_SMBASE in SMM") \
    X(VMX_MISC_, 28, SMM_MONITOR_BIT2,     "IA32_SMM_MONITOR_CTL bit 2") \
    X(VMX_MISC_, 29, VMWRITE_ANY,          "VMWRITE to exit-information fields") \
    X(VMX_MISC_, 30, LENGTH_0,             "software events injected with length 0")

// control word, prefix, list, words for the control word
#define CONTROL_WORDS(X) \
    X(PIN,       PIN,       PIN_CONTROL_BITS,       "pin-based controls") \
    X(PRIMARY,   PRIMARY,   PRIMARY_CONTROL_BITS,   "primary controls") \
    X(SECONDARY, SECONDARY, SECONDARY_CONTROL_BITS, "secondary controls") \
    X(TERTIARY,  TERTIARY,  TERTIARY_CONTROL_BITS,  "tertiary controls") \
    X(EXIT,      EXIT,      EXIT_CONTROL_BITS,      "VM-exit controls") \
    X(ENTRY,     ENTRY,     ENTRY_CONTROL_BITS,     "VM-entry controls") \
    X(FUNCTION,  FUNCTION,  VM_FUNCTION_BITS,       "VM functions") \
    X(EXIT2,     EXIT2,     EXIT2_CONTROL_BITS,     "secondary VM-exit controls")
// clang-format on

// Each ends in a member at bit 63, for the reason that sdm/bits.h gives.
#define CONTROL_BIT_TO_ENUM(prefix, bit, name, words) prefix##name = 1ull << (bit),
#define CONTROL_WORD_TO_ENUM(word, PREFIX, list, words) \
    enum { list(CONTROL_BIT_TO_ENUM) PREFIX##_64BIT = 1ull << 63 };
CONTROL_WORDS(CONTROL_WORD_TO_ENUM)
#undef CONTROL_WORD_TO_ENUM
enum { EPT_VPID_CAP_BITS(CONTROL_BIT_TO_ENUM) EPT_CAP_64BIT = 1ull << 63 };
enum { VMX_BASIC_BITS(CONTROL_BIT_TO_ENUM) VMX_BASIC_64BIT = 1ull << 63 };
enum { VMX_MISC_BITS(CONTROL_BIT_TO_ENUM) VMX_MISC_64BIT = 1ull << 63 };

// Words of each control bit, by control word. WORD_NONE and WORD_SEAM have none.
struct control_word_info {
    const char *words;
    struct bit_table bits;
};
extern const struct control_word_info control_words[WORD_COUNT];
extern const struct bit_table ept_vpid_cap_bits, vmx_basic_bits, vmx_misc_bits;

// "unrestricted guest"; "unnamed control" for a bit that is not in the list.
const char *control_name(enum vmcs_control_word word, unsigned bit);

static inline uint32_t vmx_basic_revision(uint64_t basic)
{
    return basic & 0x7fffffff;
}
static inline uint32_t vmx_basic_region_size(uint64_t basic) // bytes, 1 to 4096
{
    return basic >> 32 & 0x1fff;
}
static inline unsigned vmx_basic_memory_type(uint64_t basic) // enum memory_type
{
    return basic >> 50 & 15;
}
// The VMX preemption timer counts down by 1 whenever bit `rate` of the TSC changes.
static inline unsigned vmx_misc_timer_rate(uint64_t misc)
{
    return misc & 31;
}
static inline unsigned vmx_misc_cr3_targets(uint64_t misc)
{
    return misc >> 16 & 0x1ff;
}
static inline unsigned vmx_misc_msr_list_max(uint64_t misc) // recommended maximum of entries in an MSR list
{
    return 512 * ((misc >> 25 & 7) + 1);
}
