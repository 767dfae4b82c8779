// Every field of the VMCS: SDM volume 3, appendix "Field Encoding in VMCS". One list a width, because the
// width decides the type that names a field: vmx/ builds vmread16(enum vmcs16) ... from these, and asking for
// a field by the wrong width does not compile (-Wenum-conversion). The unit test holds list, width and group
// against the bits of each encoding (SDM volume 3, "VMREAD, VMWRITE, and Encodings of VMCS Fields").
//
// A row: name, encoding, group (enum vmcs_group), what it needs to exist (VMCS_NEEDS below).
#pragma once
#include <stdbool.h>
#include <stdint.h>

// clang-format off
#define VMCS_FIELDS_16(X) \
    X(VIRTUAL_PROCESSOR_ID,              0x0000, CONTROL, VPID) \
    X(POSTED_INTERRUPT_VECTOR,           0x0002, CONTROL, POSTED_INTERRUPTS) \
    X(EPTP_INDEX,                        0x0004, CONTROL, EPT_VIOLATION_VE) \
    X(HLAT_PREFIX_SIZE,                  0x0006, CONTROL, HLAT) \
    X(LAST_PID_POINTER_INDEX,            0x0008, CONTROL, IPI_VIRTUALIZATION) \
    X(GUEST_ES_SELECTOR,                 0x0800, GUEST, ALWAYS) \
    X(GUEST_CS_SELECTOR,                 0x0802, GUEST, ALWAYS) \
    X(GUEST_SS_SELECTOR,                 0x0804, GUEST, ALWAYS) \
    X(GUEST_DS_SELECTOR,                 0x0806, GUEST, ALWAYS) \
    X(GUEST_FS_SELECTOR,                 0x0808, GUEST, ALWAYS) \
    X(GUEST_GS_SELECTOR,                 0x080a, GUEST, ALWAYS) \
    X(GUEST_LDTR_SELECTOR,               0x080c, GUEST, ALWAYS) \
    X(GUEST_TR_SELECTOR,                 0x080e, GUEST, ALWAYS) \
    X(GUEST_INTERRUPT_STATUS,            0x0810, GUEST, VIRTUAL_INTERRUPT_DELIVERY) \
    X(GUEST_PML_INDEX,                   0x0812, GUEST, PML) \
    X(GUEST_UINV,                        0x0814, GUEST, UINV) \
    X(HOST_ES_SELECTOR,                  0x0c00, HOST, ALWAYS) \
    X(HOST_CS_SELECTOR,                  0x0c02, HOST, ALWAYS) \
    X(HOST_SS_SELECTOR,                  0x0c04, HOST, ALWAYS) \
    X(HOST_DS_SELECTOR,                  0x0c06, HOST, ALWAYS) \
    X(HOST_FS_SELECTOR,                  0x0c08, HOST, ALWAYS) \
    X(HOST_GS_SELECTOR,                  0x0c0a, HOST, ALWAYS) \
    X(HOST_TR_SELECTOR,                  0x0c0c, HOST, ALWAYS)

#define VMCS_FIELDS_64(X) \
    X(IO_BITMAP_A,                       0x2000, CONTROL, IO_BITMAPS) \
    X(IO_BITMAP_B,                       0x2002, CONTROL, IO_BITMAPS) \
    X(MSR_BITMAP,                        0x2004, CONTROL, MSR_BITMAPS) \
    X(VM_EXIT_MSR_STORE_ADDRESS,         0x2006, CONTROL, ALWAYS) \
    X(VM_EXIT_MSR_LOAD_ADDRESS,          0x2008, CONTROL, ALWAYS) \
    X(VM_ENTRY_MSR_LOAD_ADDRESS,         0x200a, CONTROL, ALWAYS) \
    X(EXECUTIVE_VMCS_POINTER,            0x200c, CONTROL, ALWAYS) \
    X(PML_ADDRESS,                       0x200e, CONTROL, PML) \
    X(TSC_OFFSET,                        0x2010, CONTROL, ALWAYS) \
    X(VIRTUAL_APIC_ADDRESS,              0x2012, CONTROL, TPR_SHADOW) \
    X(APIC_ACCESS_ADDRESS,               0x2014, CONTROL, APIC_ACCESSES) \
    X(POSTED_INTERRUPT_DESCRIPTOR,       0x2016, CONTROL, POSTED_INTERRUPTS) \
    X(VM_FUNCTION_CONTROLS,              0x2018, CONTROL, VM_FUNCTIONS) \
    X(EPT_POINTER,                       0x201a, CONTROL, EPT) \
    X(EOI_EXIT_BITMAP_0,                 0x201c, CONTROL, VIRTUAL_INTERRUPT_DELIVERY) \
    X(EOI_EXIT_BITMAP_1,                 0x201e, CONTROL, VIRTUAL_INTERRUPT_DELIVERY) \
    X(EOI_EXIT_BITMAP_2,                 0x2020, CONTROL, VIRTUAL_INTERRUPT_DELIVERY) \
    X(EOI_EXIT_BITMAP_3,                 0x2022, CONTROL, VIRTUAL_INTERRUPT_DELIVERY) \
    X(EPTP_LIST_ADDRESS,                 0x2024, CONTROL, EPTP_SWITCHING) \
    X(VMREAD_BITMAP,                     0x2026, CONTROL, VMCS_SHADOWING) \
    X(VMWRITE_BITMAP,                    0x2028, CONTROL, VMCS_SHADOWING) \
    X(VE_INFORMATION_ADDRESS,            0x202a, CONTROL, EPT_VIOLATION_VE) \
    X(XSS_EXITING_BITMAP,                0x202c, CONTROL, XSAVES) \
    X(ENCLS_EXITING_BITMAP,              0x202e, CONTROL, ENCLS_EXITING) \
    X(SPPT_POINTER,                      0x2030, CONTROL, SPP) \
    X(TSC_MULTIPLIER,                    0x2032, CONTROL, TSC_SCALING) \
    X(TERTIARY_CONTROLS,                 0x2034, CONTROL, TERTIARY) \
    X(ENCLV_EXITING_BITMAP,              0x2036, CONTROL, ENCLV_EXITING) \
    X(LOW_PASID_DIRECTORY,               0x2038, CONTROL, PASID_TRANSLATION) \
    X(HIGH_PASID_DIRECTORY,              0x203a, CONTROL, PASID_TRANSLATION) \
    X(SHARED_EPT_POINTER,                0x203c, CONTROL, SHARED_EPT) \
    X(PCONFIG_EXITING_BITMAP,            0x203e, CONTROL, PCONFIG) \
    X(HLAT_POINTER,                      0x2040, CONTROL, HLAT) \
    X(PID_POINTER_TABLE_ADDRESS,         0x2042, CONTROL, IPI_VIRTUALIZATION) \
    X(SECONDARY_VM_EXIT_CONTROLS,        0x2044, CONTROL, SECONDARY_EXIT) \
    X(SPEC_CTRL_MASK,                    0x204a, CONTROL, SPEC_CTRL) \
    X(SPEC_CTRL_SHADOW,                  0x204c, CONTROL, SPEC_CTRL) \
    X(INJECTED_EVENT_DATA,                0x2052, CONTROL, GUEST_FRED) \
    X(GUEST_PHYSICAL_ADDRESS,            0x2400, EXIT_INFO, EPT) \
    X(ORIGINAL_EVENT_DATA,                0x2404, EXIT_INFO, GUEST_FRED) \
    X(VMCS_LINK_POINTER,                 0x2800, GUEST, ALWAYS) \
    X(GUEST_DEBUGCTL,                    0x2802, GUEST, ALWAYS) \
    X(GUEST_PAT,                         0x2804, GUEST, GUEST_PAT) \
    X(GUEST_EFER,                        0x2806, GUEST, GUEST_EFER) \
    X(GUEST_PERF_GLOBAL_CTRL,            0x2808, GUEST, GUEST_PERF_GLOBAL_CTRL) \
    X(GUEST_PDPTE0,                      0x280a, GUEST, EPT) \
    X(GUEST_PDPTE1,                      0x280c, GUEST, EPT) \
    X(GUEST_PDPTE2,                      0x280e, GUEST, EPT) \
    X(GUEST_PDPTE3,                      0x2810, GUEST, EPT) \
    X(GUEST_BNDCFGS,                     0x2812, GUEST, GUEST_BNDCFGS) \
    X(GUEST_RTIT_CTL,                    0x2814, GUEST, GUEST_RTIT_CTL) \
    X(GUEST_LBR_CTL,                     0x2816, GUEST, GUEST_LBR_CTL) \
    X(GUEST_PKRS,                        0x2818, GUEST, GUEST_PKRS) \
    X(GUEST_FRED_CONFIG,                  0x281a, GUEST, GUEST_FRED) \
    X(GUEST_FRED_RSP1,                    0x281c, GUEST, GUEST_FRED) \
    X(GUEST_FRED_RSP2,                    0x281e, GUEST, GUEST_FRED) \
    X(GUEST_FRED_RSP3,                    0x2820, GUEST, GUEST_FRED) \
    X(GUEST_FRED_STACK_LEVELS,            0x2822, GUEST, GUEST_FRED) \
    X(GUEST_FRED_SSP1,                    0x2824, GUEST, GUEST_FRED) \
    X(GUEST_FRED_SSP2,                    0x2826, GUEST, GUEST_FRED) \
    X(GUEST_FRED_SSP3,                    0x2828, GUEST, GUEST_FRED) \
    X(HOST_PAT,                          0x2c00, HOST, HOST_PAT) \
    X(HOST_EFER,                         0x2c02, HOST, HOST_EFER) \
    X(HOST_PERF_GLOBAL_CTRL,             0x2c04, HOST, HOST_PERF_GLOBAL_CTRL) \
    X(HOST_PKRS,                         0x2c06, HOST, HOST_PKRS) \
    X(HOST_FRED_CONFIG,                   0x2c08, HOST, HOST_FRED) \
    X(HOST_FRED_RSP1,                     0x2c0a, HOST, HOST_FRED) \
    X(HOST_FRED_RSP2,                     0x2c0c, HOST, HOST_FRED) \
    X(HOST_FRED_RSP3,                     0x2c0e, HOST, HOST_FRED) \
    X(HOST_FRED_STACK_LEVELS,             0x2c10, HOST, HOST_FRED) \
    X(HOST_FRED_SSP1,                     0x2c12, HOST, HOST_FRED) \
    X(HOST_FRED_SSP2,                     0x2c14, HOST, HOST_FRED) \
    X(HOST_FRED_SSP3,                     0x2c16, HOST, HOST_FRED)

#define VMCS_FIELDS_32(X) \
    X(PIN_BASED_CONTROLS,                0x4000, CONTROL, ALWAYS) \
    X(PRIMARY_CONTROLS,                  0x4002, CONTROL, ALWAYS) \
    X(EXCEPTION_BITMAP,                  0x4004, CONTROL, ALWAYS) \
    X(PAGE_FAULT_ERROR_CODE_MASK,        0x4006, CONTROL, ALWAYS) \
    X(PAGE_FAULT_ERROR_CODE_MATCH,       0x4008, CONTROL, ALWAYS) \
    X(CR3_TARGET_COUNT,                  0x400a, CONTROL, ALWAYS) \
    X(VM_EXIT_CONTROLS,                  0x400c, CONTROL, ALWAYS) \
    X(VM_EXIT_MSR_STORE_COUNT,           0x400e, CONTROL, ALWAYS) \
    X(VM_EXIT_MSR_LOAD_COUNT,            0x4010, CONTROL, ALWAYS) \
    X(VM_ENTRY_CONTROLS,                 0x4012, CONTROL, ALWAYS) \
    X(VM_ENTRY_MSR_LOAD_COUNT,           0x4014, CONTROL, ALWAYS) \
    X(VM_ENTRY_INTERRUPTION_INFO,        0x4016, CONTROL, ALWAYS) \
    X(VM_ENTRY_EXCEPTION_ERROR_CODE,     0x4018, CONTROL, ALWAYS) \
    X(VM_ENTRY_INSTRUCTION_LENGTH,       0x401a, CONTROL, ALWAYS) \
    X(TPR_THRESHOLD,                     0x401c, CONTROL, TPR_SHADOW) \
    X(SECONDARY_CONTROLS,                0x401e, CONTROL, SECONDARY) \
    X(PLE_GAP,                           0x4020, CONTROL, PAUSE_LOOP) \
    X(PLE_WINDOW,                        0x4022, CONTROL, PAUSE_LOOP) \
    X(INSTRUCTION_TIMEOUT,               0x4024, CONTROL, INSTRUCTION_TIMEOUT) \
    X(VM_INSTRUCTION_ERROR,              0x4400, EXIT_INFO, ALWAYS) \
    X(EXIT_REASON,                       0x4402, EXIT_INFO, ALWAYS) \
    X(VM_EXIT_INTERRUPTION_INFO,         0x4404, EXIT_INFO, ALWAYS) \
    X(VM_EXIT_INTERRUPTION_ERROR_CODE,   0x4406, EXIT_INFO, ALWAYS) \
    X(IDT_VECTORING_INFO,                0x4408, EXIT_INFO, ALWAYS) \
    X(IDT_VECTORING_ERROR_CODE,          0x440a, EXIT_INFO, ALWAYS) \
    X(VM_EXIT_INSTRUCTION_LENGTH,        0x440c, EXIT_INFO, ALWAYS) \
    X(VM_EXIT_INSTRUCTION_INFO,          0x440e, EXIT_INFO, ALWAYS) \
    X(GUEST_ES_LIMIT,                    0x4800, GUEST, ALWAYS) \
    X(GUEST_CS_LIMIT,                    0x4802, GUEST, ALWAYS) \
    X(GUEST_SS_LIMIT,                    0x4804, GUEST, ALWAYS) \
    X(GUEST_DS_LIMIT,                    0x4806, GUEST, ALWAYS) \
    X(GUEST_FS_LIMIT,                    0x4808, GUEST, ALWAYS) \
    X(GUEST_GS_LIMIT,                    0x480a, GUEST, ALWAYS) \
    X(GUEST_LDTR_LIMIT,                  0x480c, GUEST, ALWAYS) \
    X(GUEST_TR_LIMIT,                    0x480e, GUEST, ALWAYS) \
    X(GUEST_GDTR_LIMIT,                  0x4810, GUEST, ALWAYS) \
    X(GUEST_IDTR_LIMIT,                  0x4812, GUEST, ALWAYS) \
    X(GUEST_ES_ACCESS_RIGHTS,            0x4814, GUEST, ALWAYS) \
    X(GUEST_CS_ACCESS_RIGHTS,            0x4816, GUEST, ALWAYS) \
    X(GUEST_SS_ACCESS_RIGHTS,            0x4818, GUEST, ALWAYS) \
    X(GUEST_DS_ACCESS_RIGHTS,            0x481a, GUEST, ALWAYS) \
    X(GUEST_FS_ACCESS_RIGHTS,            0x481c, GUEST, ALWAYS) \
    X(GUEST_GS_ACCESS_RIGHTS,            0x481e, GUEST, ALWAYS) \
    X(GUEST_LDTR_ACCESS_RIGHTS,          0x4820, GUEST, ALWAYS) \
    X(GUEST_TR_ACCESS_RIGHTS,            0x4822, GUEST, ALWAYS) \
    X(GUEST_INTERRUPTIBILITY_STATE,      0x4824, GUEST, ALWAYS) \
    X(GUEST_ACTIVITY_STATE,              0x4826, GUEST, ALWAYS) \
    X(GUEST_SMBASE,                      0x4828, GUEST, ALWAYS) \
    X(GUEST_SYSENTER_CS,                 0x482a, GUEST, ALWAYS) \
    X(PREEMPTION_TIMER_VALUE,            0x482e, GUEST, PREEMPTION_TIMER) \
    X(HOST_SYSENTER_CS,                  0x4c00, HOST, ALWAYS)

#define VMCS_FIELDS_NAT(X) \
    X(CR0_GUEST_HOST_MASK,               0x6000, CONTROL, ALWAYS) \
    X(CR4_GUEST_HOST_MASK,               0x6002, CONTROL, ALWAYS) \
    X(CR0_READ_SHADOW,                   0x6004, CONTROL, ALWAYS) \
    X(CR4_READ_SHADOW,                   0x6006, CONTROL, ALWAYS) \
    X(CR3_TARGET_VALUE_0,                0x6008, CONTROL, ALWAYS) \
    X(CR3_TARGET_VALUE_1,                0x600a, CONTROL, ALWAYS) \
    X(CR3_TARGET_VALUE_2,                0x600c, CONTROL, ALWAYS) \
    X(CR3_TARGET_VALUE_3,                0x600e, CONTROL, ALWAYS) \
    X(EXIT_QUALIFICATION,                0x6400, EXIT_INFO, ALWAYS) \
    X(IO_RCX,                            0x6402, EXIT_INFO, ALWAYS) \
    X(IO_RSI,                            0x6404, EXIT_INFO, ALWAYS) \
    X(IO_RDI,                            0x6406, EXIT_INFO, ALWAYS) \
    X(IO_RIP,                            0x6408, EXIT_INFO, ALWAYS) \
    X(GUEST_LINEAR_ADDRESS,              0x640a, EXIT_INFO, ALWAYS) \
    X(GUEST_CR0,                         0x6800, GUEST, ALWAYS) \
    X(GUEST_CR3,                         0x6802, GUEST, ALWAYS) \
    X(GUEST_CR4,                         0x6804, GUEST, ALWAYS) \
    X(GUEST_ES_BASE,                     0x6806, GUEST, ALWAYS) \
    X(GUEST_CS_BASE,                     0x6808, GUEST, ALWAYS) \
    X(GUEST_SS_BASE,                     0x680a, GUEST, ALWAYS) \
    X(GUEST_DS_BASE,                     0x680c, GUEST, ALWAYS) \
    X(GUEST_FS_BASE,                     0x680e, GUEST, ALWAYS) \
    X(GUEST_GS_BASE,                     0x6810, GUEST, ALWAYS) \
    X(GUEST_LDTR_BASE,                   0x6812, GUEST, ALWAYS) \
    X(GUEST_TR_BASE,                     0x6814, GUEST, ALWAYS) \
    X(GUEST_GDTR_BASE,                   0x6816, GUEST, ALWAYS) \
    X(GUEST_IDTR_BASE,                   0x6818, GUEST, ALWAYS) \
    X(GUEST_DR7,                         0x681a, GUEST, ALWAYS) \
    X(GUEST_RSP,                         0x681c, GUEST, ALWAYS) \
    X(GUEST_RIP,                         0x681e, GUEST, ALWAYS) \
    X(GUEST_RFLAGS,                      0x6820, GUEST, ALWAYS) \
    X(GUEST_PENDING_DEBUG_EXCEPTIONS,    0x6822, GUEST, ALWAYS) \
    X(GUEST_SYSENTER_ESP,                0x6824, GUEST, ALWAYS) \
    X(GUEST_SYSENTER_EIP,                0x6826, GUEST, ALWAYS) \
    X(GUEST_S_CET,                       0x6828, GUEST, GUEST_CET) \
    X(GUEST_SSP,                         0x682a, GUEST, GUEST_CET) \
    X(GUEST_INTERRUPT_SSP_TABLE_ADDRESS, 0x682c, GUEST, GUEST_CET) \
    X(HOST_CR0,                          0x6c00, HOST, ALWAYS) \
    X(HOST_CR3,                          0x6c02, HOST, ALWAYS) \
    X(HOST_CR4,                          0x6c04, HOST, ALWAYS) \
    X(HOST_FS_BASE,                      0x6c06, HOST, ALWAYS) \
    X(HOST_GS_BASE,                      0x6c08, HOST, ALWAYS) \
    X(HOST_TR_BASE,                      0x6c0a, HOST, ALWAYS) \
    X(HOST_GDTR_BASE,                    0x6c0c, HOST, ALWAYS) \
    X(HOST_IDTR_BASE,                    0x6c0e, HOST, ALWAYS) \
    X(HOST_SYSENTER_ESP,                 0x6c10, HOST, ALWAYS) \
    X(HOST_SYSENTER_EIP,                 0x6c12, HOST, ALWAYS) \
    X(HOST_RSP,                          0x6c14, HOST, ALWAYS) \
    X(HOST_RIP,                          0x6c16, HOST, ALWAYS) \
    X(HOST_S_CET,                        0x6c18, HOST, HOST_CET) \
    X(HOST_SSP,                          0x6c1a, HOST, HOST_CET) \
    X(HOST_INTERRUPT_SSP_TABLE_ADDRESS,  0x6c1c, HOST, HOST_CET)

#define VMCS_FIELDS(X) VMCS_FIELDS_16(X) VMCS_FIELDS_64(X) VMCS_FIELDS_32(X) VMCS_FIELDS_NAT(X)

// A field that is not there on every processor exists where one of up to two controls can be set:
// name, control word and bit, control word and bit (enum vmcs_control_word; NONE: no second one).
#define VMCS_NEEDS(X) \
    X(VPID,                       SECONDARY, 5,  NONE, 0) \
    X(POSTED_INTERRUPTS,          PIN, 7,        NONE, 0) \
    X(EPT_VIOLATION_VE,           SECONDARY, 18, NONE, 0) \
    X(HLAT,                       TERTIARY, 1,   NONE, 0) \
    X(IPI_VIRTUALIZATION,         TERTIARY, 4,   NONE, 0) \
    X(SPEC_CTRL,                  TERTIARY, 7,   NONE, 0) \
    X(VIRTUAL_INTERRUPT_DELIVERY, SECONDARY, 9,  NONE, 0) \
    X(PML,                        SECONDARY, 17, NONE, 0) \
    X(IO_BITMAPS,                 PRIMARY, 25,   NONE, 0) \
    X(MSR_BITMAPS,                PRIMARY, 28,   NONE, 0) \
    X(TPR_SHADOW,                 PRIMARY, 21,   NONE, 0) \
    X(SECONDARY,                  PRIMARY, 31,   NONE, 0) \
    X(TERTIARY,                   PRIMARY, 17,   NONE, 0) \
    X(APIC_ACCESSES,              SECONDARY, 0,  NONE, 0) \
    X(EPT,                        SECONDARY, 1,  NONE, 0) \
    X(PAUSE_LOOP,                 SECONDARY, 10, NONE, 0) \
    X(VM_FUNCTIONS,               SECONDARY, 13, NONE, 0) \
    X(EPTP_SWITCHING,             FUNCTION, 0,   NONE, 0) \
    X(VMCS_SHADOWING,             SECONDARY, 14, NONE, 0) \
    X(ENCLS_EXITING,              SECONDARY, 15, NONE, 0) \
    X(XSAVES,                     SECONDARY, 20, NONE, 0) \
    X(PASID_TRANSLATION,          SECONDARY, 21, NONE, 0) \
    X(SPP,                        SECONDARY, 23, NONE, 0) \
    X(TSC_SCALING,                SECONDARY, 25, NONE, 0) \
    X(PCONFIG,                    SECONDARY, 27, NONE, 0) \
    X(ENCLV_EXITING,              SECONDARY, 28, NONE, 0) \
    X(INSTRUCTION_TIMEOUT,        SECONDARY, 31, NONE, 0) \
    X(SHARED_EPT,                 SEAM, 0,       NONE, 0) \
    X(PREEMPTION_TIMER,           PIN, 6,        NONE, 0) \
    X(SECONDARY_EXIT,             EXIT, 31,      NONE, 0) \
    X(GUEST_PAT,                  ENTRY, 14,     EXIT, 18) \
    X(GUEST_EFER,                 ENTRY, 15,     EXIT, 20) \
    X(GUEST_PERF_GLOBAL_CTRL,     ENTRY, 13,     EXIT, 30) \
    X(GUEST_BNDCFGS,              ENTRY, 16,     EXIT, 23) \
    X(GUEST_RTIT_CTL,             ENTRY, 18,     EXIT, 25) \
    X(GUEST_LBR_CTL,              ENTRY, 21,     EXIT, 26) \
    X(GUEST_PKRS,                 ENTRY, 22,     NONE, 0) \
    X(GUEST_CET,                  ENTRY, 20,     NONE, 0) \
    X(UINV,                       ENTRY, 19,     EXIT, 27) \
    X(HOST_PAT,                   EXIT, 19,      NONE, 0) \
    X(HOST_EFER,                  EXIT, 21,      NONE, 0) \
    X(HOST_PERF_GLOBAL_CTRL,      EXIT, 12,      NONE, 0) \
    X(HOST_PKRS,                  EXIT, 29,      NONE, 0) \
    X(HOST_CET,                   EXIT, 28,      NONE, 0) \
    X(GUEST_FRED,                 ENTRY, 23,     EXIT2, 0) \
    X(HOST_FRED,                  EXIT2, 1,      NONE, 0)
// clang-format on

enum vmcs_width { VMCS_WIDTH_16, VMCS_WIDTH_64, VMCS_WIDTH_32, VMCS_WIDTH_NAT }; // encoding bits 14:13
enum vmcs_group { VMCS_CONTROL, VMCS_EXIT_INFO, VMCS_GUEST, VMCS_HOST };         // encoding bits 11:10
enum vmcs_control_word {
    WORD_NONE,
    WORD_PIN,
    WORD_PRIMARY,
    WORD_SECONDARY,
    WORD_TERTIARY,
    WORD_EXIT,
    WORD_ENTRY,
    WORD_FUNCTION, // VM-function controls
    WORD_EXIT2,    // secondary VM-exit controls
    WORD_SEAM,     // SEAM root operation, where Micronova never runs: the field is only named
    WORD_COUNT
};

#define VMCS_TO_ENUM(name, encoding, group, needs) name = (encoding),
enum vmcs16 { VMCS_FIELDS_16(VMCS_TO_ENUM) };
enum vmcs64 { VMCS_FIELDS_64(VMCS_TO_ENUM) };
enum vmcs32 { VMCS_FIELDS_32(VMCS_TO_ENUM) };
enum vmcsnat { VMCS_FIELDS_NAT(VMCS_TO_ENUM) };
#undef VMCS_TO_ENUM

#define VMCS_TO_COUNT(name, encoding, group, needs) +1
enum { VMCS_FIELD_COUNT = 0 VMCS_FIELDS(VMCS_TO_COUNT) };
#undef VMCS_TO_COUNT

#define NEEDS_TO_ENUM(name, word, bit, word2, bit2) NEEDS_##name,
enum vmcs_needs { NEEDS_ALWAYS, VMCS_NEEDS(NEEDS_TO_ENUM) NEEDS_COUNT };
#undef NEEDS_TO_ENUM

struct vmcs_need {
    struct {
        uint8_t word, bit; // enum vmcs_control_word
    } control[2];
};
extern const struct vmcs_need vmcs_needs[NEEDS_COUNT];

struct vmcs_field {
    uint16_t encoding;
    uint16_t name; // where its name begins: vmcs_field_name()
    uint8_t needs; // enum vmcs_needs
};
extern const struct vmcs_field vmcs_fields[VMCS_FIELD_COUNT]; // in ascending order of encodings

static inline enum vmcs_width vmcs_width(uint32_t encoding)
{
    return (enum vmcs_width)(encoding >> 13 & 3);
}
static inline enum vmcs_group vmcs_group(uint32_t encoding)
{
    return (enum vmcs_group)(encoding >> 10 & 3);
}
// The encoding's index (bits 9:1), what IA32_VMX_VMCS_ENUM bounds.
static inline unsigned vmcs_index(uint32_t encoding)
{
    return encoding >> 1 & 0x1ff;
}
// The upper half of a 64-bit field has an encoding of its own (bit 0, the access type).
static inline uint32_t vmcs_high(enum vmcs64 field)
{
    return field | 1u;
}

const struct vmcs_field *vmcs_field_find(uint32_t encoding); // NULL: not in the list
const char *vmcs_field_name(uint32_t encoding); // "GUEST_RIP"; "unknown field" if not in the list
