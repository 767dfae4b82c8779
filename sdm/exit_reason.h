// Basic exit reasons: SDM volume 3, appendix "VMX Basic Exit Reasons", and the flags beside them ("Basic
// VM-Exit Information").
#pragma once
#include <stdbool.h>
#include <stdint.h>

// clang-format off
#define EXIT_REASONS(X) \
    X(0,  EXCEPTION_OR_NMI,       "exception or NMI") \
    X(1,  EXTERNAL_INTERRUPT,     "external interrupt") \
    X(2,  TRIPLE_FAULT,           "triple fault") \
    X(3,  INIT_SIGNAL,            "INIT signal") \
    X(4,  SIPI,                   "start-up IPI") \
    X(5,  IO_SMI,                 "SMI after an I/O instruction") \
    X(6,  OTHER_SMI,              "SMI") \
    X(7,  INTERRUPT_WINDOW,       "interrupt window") \
    X(8,  NMI_WINDOW,             "NMI window") \
    X(9,  TASK_SWITCH,            "task switch") \
    X(10, CPUID,                  "CPUID") \
    X(11, GETSEC,                 "GETSEC") \
    X(12, HLT,                    "HLT") \
    X(13, INVD,                   "INVD") \
    X(14, INVLPG,                 "INVLPG") \
    X(15, RDPMC,                  "RDPMC") \
    X(16, RDTSC,                  "RDTSC") \
    X(17, RSM,                    "RSM") \
    X(18, VMCALL,                 "VMCALL") \
    X(19, VMCLEAR,                "VMCLEAR") \
    X(20, VMLAUNCH,               "VMLAUNCH") \
    X(21, VMPTRLD,                "VMPTRLD") \
    X(22, VMPTRST,                "VMPTRST") \
    X(23, VMREAD,                 "VMREAD") \
    X(24, VMRESUME,               "VMRESUME") \
    X(25, VMWRITE,                "VMWRITE") \
    X(26, VMXOFF,                 "VMXOFF") \
    X(27, VMXON,                  "VMXON") \
    X(28, CR_ACCESS,              "control-register access") \
    X(29, MOV_DR,                 "MOV DR") \
    X(30, IO_INSTRUCTION,         "I/O instruction") \
    X(31, RDMSR,                  "RDMSR") \
    X(32, WRMSR,                  "WRMSR") \
    X(33, INVALID_GUEST_STATE,    "VM-entry failure due to invalid guest state") \
    X(34, MSR_LOADING,            "VM-entry failure due to MSR loading") \
    X(36, MWAIT,                  "MWAIT") \
    X(37, MONITOR_TRAP_FLAG,      "monitor trap flag") \
    X(39, MONITOR,                "MONITOR") \
    X(40, PAUSE,                  "PAUSE") \
    X(41, ENTRY_MACHINE_CHECK,    "VM-entry failure due to machine-check event") \
    X(43, TPR_BELOW_THRESHOLD,    "TPR below threshold") \
    X(44, APIC_ACCESS,            "APIC access") \
    X(45, VIRTUALIZED_EOI,        "virtualized EOI") \
    X(46, GDTR_IDTR_ACCESS,       "access to GDTR or IDTR") \
    X(47, LDTR_TR_ACCESS,         "access to LDTR or TR") \
    X(48, EPT_VIOLATION,          "EPT violation") \
    X(49, EPT_MISCONFIGURATION,   "EPT misconfiguration") \
    X(50, INVEPT,                 "INVEPT") \
    X(51, RDTSCP,                 "RDTSCP") \
    X(52, PREEMPTION_TIMER,       "VMX preemption timer expired") \
    X(53, INVVPID,                "INVVPID") \
    X(54, WBINVD,                 "WBINVD or WBNOINVD") \
    X(55, XSETBV,                 "XSETBV") \
    X(56, APIC_WRITE,             "APIC write") \
    X(57, RDRAND,                 "RDRAND") \
    X(58, INVPCID,                "INVPCID") \
    X(59, VMFUNC,                 "VMFUNC") \
    X(60, ENCLS,                  "ENCLS") \
    X(61, RDSEED,                 "RDSEED") \
    X(62, PML_FULL,               "page-modification log full") \
    X(63, XSAVES,                 "XSAVES") \
    X(64, XRSTORS,                "XRSTORS") \
    X(65, PCONFIG,                "PCONFIG") \
    X(66, SPP,                    "sub-page permission event") \
    X(67, UMWAIT,                 "UMWAIT") \
    X(68, TPAUSE,                 "TPAUSE") \
    X(69, LOADIWKEY,              "LOADIWKEY") \
    X(70, ENCLV,                  "ENCLV") \
    X(72, ENQCMD_PASID,           "ENQCMD PASID translation failure") \
    X(73, ENQCMDS_PASID,          "ENQCMDS PASID translation failure") \
    X(74, BUS_LOCK,               "bus lock") \
    X(75, INSTRUCTION_TIMEOUT,    "instruction timeout") \
    X(76, SEAMCALL,               "SEAMCALL") \
    X(77, TDCALL,                 "TDCALL") \
    X(78, RDMSRLIST,              "RDMSRLIST") \
    X(79, WRMSRLIST,              "WRMSRLIST")
// clang-format on

#define REASON_TO_ENUM(number, name, words) REASON_##name = number,
enum exit_reason { EXIT_REASONS(REASON_TO_ENUM) REASON_COUNT };
#undef REASON_TO_ENUM

// The EXIT_REASON field around the basic reason.
enum {
    REASON_BASIC = 0xffff, // mask
    REASON_PENDING_MTF = 1 << 28,
    REASON_FROM_VMX_ROOT = 1 << 29,
};
#define REASON_ENTRY_FAILURE 0x80000000u

// Takes the whole EXIT_REASON field or a basic reason. "unknown exit reason" for one that is not in the list.
const char *exit_reason_words(uint32_t reason);
bool exit_reason_known(uint32_t reason); // is it in the list?
