// VM-instruction error numbers: SDM volume 3, "VM Instruction Error Numbers". The sentences are ours.
#pragma once
#include <stdint.h>

// clang-format off
#define VM_ERRORS(X) \
    X(1,  VMCALL_IN_ROOT,            "VMCALL in VMX root operation") \
    X(2,  VMCLEAR_ADDRESS,           "VMCLEAR of an address that is unaligned or too wide") \
    X(3,  VMCLEAR_VMXON_POINTER,     "VMCLEAR of the VMXON region") \
    X(4,  VMLAUNCH_NOT_CLEAR,        "VMLAUNCH of a VMCS that was launched before") \
    X(5,  VMRESUME_NOT_LAUNCHED,     "VMRESUME of a VMCS that was not launched") \
    X(6,  VMRESUME_AFTER_VMXOFF,     "VMRESUME after VMXOFF and VMXON") \
    X(7,  ENTRY_CONTROLS,            "VM entry with invalid control fields") \
    X(8,  ENTRY_HOST_STATE,          "VM entry with invalid host-state fields") \
    X(9,  VMPTRLD_ADDRESS,           "VMPTRLD of an address that is unaligned or too wide") \
    X(10, VMPTRLD_VMXON_POINTER,     "VMPTRLD of the VMXON region") \
    X(11, VMPTRLD_REVISION,          "VMPTRLD of a region with the wrong VMCS revision") \
    X(12, UNSUPPORTED_FIELD,         "VMREAD or VMWRITE of a field that does not exist here") \
    X(13, READ_ONLY_FIELD,           "VMWRITE to a read-only field") \
    X(15, VMXON_IN_ROOT,             "VMXON in VMX root operation") \
    X(16, EXECUTIVE_POINTER,         "VM entry with an invalid executive-VMCS pointer") \
    X(17, EXECUTIVE_NOT_LAUNCHED,    "VM entry with an executive VMCS that was not launched") \
    X(18, EXECUTIVE_NOT_VMXON,       "VM entry that leaves the dual-monitor treatment with a wrong executive pointer") \
    X(19, VMCALL_NOT_CLEAR,          "VMCALL to the SMM monitor with a VMCS that is not clear") \
    X(20, VMCALL_EXIT_CONTROLS,      "VMCALL to the SMM monitor with invalid VM-exit controls") \
    X(22, VMCALL_MSEG_REVISION,      "VMCALL with the wrong MSEG revision") \
    X(23, VMXOFF_DUAL_MONITOR,       "VMXOFF under the dual-monitor treatment") \
    X(24, VMCALL_SMM_FEATURES,       "VMCALL with invalid features of the SMM monitor") \
    X(25, EXECUTIVE_CONTROLS,        "VM entry that returns from SMM to invalid execution controls") \
    X(26, ENTRY_MOV_SS,              "VM entry while MOV SS blocks events") \
    X(28, INVALIDATE_OPERAND,        "INVEPT or INVVPID with an invalid operand")
// clang-format on

#define VM_ERROR_TO_ENUM(number, name, words) VM_ERROR_##name = number,
enum vm_error { VM_ERROR_NONE, VM_ERRORS(VM_ERROR_TO_ENUM) VM_ERROR_COUNT };
#undef VM_ERROR_TO_ENUM

const char *vm_error_words(uint32_t number); // "unknown VM-instruction error" for one that is not in the list
