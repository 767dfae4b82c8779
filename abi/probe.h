// The probe: VMX itself in the hands of a test guest. docs/probe.md explains it; guests/vmx/lib/probe.h is a library
// on top. A machine with caps=probe is trusted with the box.
//
// HC_PROBE (enum probe_op, first, second), from 64-bit mode at CPL 0. E_DENIED without the right, E_INVALID for an
// unknown operation or flag, E_BAD_ADDRESS for a buffer that is not all RAM of the machine, and what is said below.
// Buffers lie at multiples of 8.
#pragma once
#include <stdint.h>

// Numbers never change meaning; 7 was an operation up to ABI 3.
// clang-format off
#define PROBE_OPS(X) \
    X(OPEN, 0)       /* (landing: address of a VMCALL, gpa of a page): gives this vCPU a second VMCS, or its template anew; */ \
                     /* E_NO_MEMORY */ \
    X(TEMPLATE, 1)   /* (gpa of struct probe_field[], count <= PROBE_FIELDS_MAX): fills in what the template has */ \
    X(ATTEMPT, 2)    /* (gpa of struct probe_attempt): one VM entry */ \
    X(RUN, 3)        /* (gpa of struct probe_step[], count <= PROBE_STEPS_MAX): VMX instructions in root operation */ \
    X(ADDRESS, 4)    /* (gpa) -> physical address of one's own page, plus the offset; E_BAD_ADDRESS */ \
    X(MSR, 5)        /* (index, gpa of uint64_t): RDMSR on the box; E_NOT_FOUND: #GP */ \
    X(CPUID, 6)      /* (leaf, plus subleaf << 32; gpa of uint32_t[4]): EAX EBX ECX EDX of CPUID on the box */ \
    X(PROCESSOR, 8)  /* () -> number of the processor that this vCPU runs on */ \
    X(VMCS, 9)       /* () -> physical address of the VMCS that attempts enter */ \
    X(FLUSH, 10)     /* (): what is in the log has left when it returns, should the next attempt be the box's last */ \
    X(BASE, 11)      /* (gpa of struct probe_field[], count): these values become the template's; E_INVALID for host */ \
                     /* state and VM-exit controls */
// clang-format on

enum probe_op {
#define X(name, number) PROBE_##name = (number),
    PROBE_OPS(X)
#undef X
        PROBE_OP_COUNT
};

enum { PROBE_FIELDS_MAX = 224, PROBE_STEPS_MAX = 64, PROBE_MSRS_MAX = 4096 };

// A VMCS field by its encoding.
enum probe_field_flag {
    PROBE_SET = 0,
    PROBE_XOR = 1,    // `value` is what differs from the template
    PROBE_ABSENT = 2, // result: the field is not in the SDM's list, or does not exist on this processor
};
struct probe_field {
    uint32_t field;
    uint32_t flags; // enum probe_field_flag
    uint64_t value;
};

enum probe_flag {
    PROBE_RESUME = 1 << 0, // by VMRESUME; without, by VMLAUNCH
    PROBE_MOV_SS = 1 << 1, // right behind a MOV to SS
    // The VMCS as the last attempt left it, launch state included, and only these fields written. Without, it is
    // cleared, filled from the template, and translations of its VPID and of EPT are dropped.
    PROBE_KEEP = 1 << 2,
    PROBE_NO_VMCS = 1 << 3,   // no VMCS is current
    PROBE_INTERRUPT = 1 << 4, // an external interrupt, PROBE_VECTOR, is pending at the entry
    PROBE_CACHED = 1 << 6,    // translations are not dropped before the entry
    // Another processor sends this one the signal while the subject runs: at most one of the three. E_UNSUPPORTED:
    // there is no other processor, or nothing but the signal would end the run; E_AGAIN: the other one was busy.
    PROBE_SEND_NMI = 1 << 7,
    PROBE_SEND_INIT = 1 << 8,
    PROBE_SEND_SIPI = 1 << 9, // with PROBE_SIPI_VECTOR; again and again, until the run has ended
    PROBE_SIGNALS = PROBE_SEND_NMI | PROBE_SEND_INIT | PROBE_SEND_SIPI,
    PROBE_NMIS_BLOCKED =
        1 << 10, // NMIs are blocked in the processor right before the entry, whatever that loads
    PROBE_FLAGS = ((1 << 11) - 1) & ~(1 << 5), // 5 was one up to ABI 3
};
enum { PROBE_VECTOR = 0xef, PROBE_SIPI_VECTOR = 0x9a };

enum probe_outcome {
    PROBE_NOTHING,      // the instruction did nothing: RFLAGS are as before it
    PROBE_FAIL_INVALID, // CF
    PROBE_FAIL_VALID,   // ZF: `error`
    PROBE_FAILED_ENTRY, // an exit with bit 31 of the reason: `reason` and `qualification` count
    PROBE_ENTERED,      // any other exit
};

// What is read after an exit: member, field.
// clang-format off
#define PROBE_EXIT_FIELDS(X) \
    X(reason,             EXIT_REASON) \
    X(qualification,      EXIT_QUALIFICATION) \
    X(interruption,       VM_EXIT_INTERRUPTION_INFO) \
    X(interruption_error, VM_EXIT_INTERRUPTION_ERROR_CODE) \
    X(vectoring,          IDT_VECTORING_INFO) \
    X(vectoring_error,    IDT_VECTORING_ERROR_CODE) \
    X(length,             VM_EXIT_INSTRUCTION_LENGTH) \
    X(information,        VM_EXIT_INSTRUCTION_INFO) \
    X(linear,             GUEST_LINEAR_ADDRESS) \
    X(physical,           GUEST_PHYSICAL_ADDRESS) \
    X(rip,                GUEST_RIP) \
    X(rflags,             GUEST_RFLAGS) \
    X(interruptibility,   GUEST_INTERRUPTIBILITY_STATE) \
    X(pending_debug,      GUEST_PENDING_DEBUG_EXCEPTIONS)
// clang-format on

struct probe_attempt {
    uint32_t flags; // enum probe_flag
    uint32_t writes,
        reads;        // fields[0 .. writes) before the entry, fields[writes .. writes + reads) behind it
    uint32_t outcome; // enum probe_outcome
    uint64_t fields;  // gpa of struct probe_field[]; writes + reads <= PROBE_FIELDS_MAX
    // RAX RCX RDX RBX RSP RBP RSI RDI R8-R15, in and out; RSP is a field. Not given back after an attempt that
    // changed host state or VM-exit controls.
    uint64_t gpr[16];
    // RFLAGS behind a VM-entry instruction that failed; all six status flags were set.
    uint64_t instruction_flags;
    uint64_t error; // VM-instruction error, with PROBE_FAIL_VALID
    uint64_t ticks; // TSC from before the entry until after the exit
    // IA32_EFER and IA32_PAT behind the exit, if the attempt changed host state or VM-exit controls, or loads MSRs on exit.
    uint64_t efer, pat;
    uint64_t sent; // 1: the signal was sent before the run had ended
#define X(member, field) uint64_t member;
    PROBE_EXIT_FIELDS(X)
#undef X
};

// One VMX instruction in root operation. A sequence begins without a current VMCS and ends with every region that it
// loaded cleared; what it did to VMX operation itself is undone.
// clang-format off
#define PROBE_INSTRUCTIONS(X) \
    X(VMXON)    /* operand: physical address */ \
    X(VMXOFF) \
    X(VMCLEAR)  /* operand: physical address */ \
    X(VMPTRLD)  /* operand: physical address */ \
    X(VMPTRST)  /* -> value */ \
    X(VMREAD)   /* operand: field -> value */ \
    X(VMWRITE)  /* operand: field; value */ \
    X(VMLAUNCH) /* only while no VMCS is current, else -E_DENIED */ \
    X(VMRESUME) /* the same */ \
    X(INVEPT)   /* operand: type; value, value2: descriptor */ \
    X(INVVPID)  /* operand: type; value, value2: descriptor */ \
    X(VMCALL) \
    X(VMFUNC)   /* EAX = operand */ \
    X(WRMSR)    /* operand: MSR; value: bits to flip in it. Only where #GP is due: VMX capability MSRs, and */ \
                /* IA32_FEATURE_CONTROL while it is locked; else -E_DENIED */ \
    X(MOV_CR0)  /* operand: bits to flip. Only NE and what IA32_VMX_CR0_FIXED1 forbids, in VMX operation */ \
    X(MOV_CR4)  /* the same for VMXE and IA32_VMX_CR4_FIXED1 */
// clang-format on
enum probe_instruction {
#define X(name) PROBE_DO_##name,
    PROBE_INSTRUCTIONS(X)
#undef X
        PROBE_DO_COUNT
};

enum probe_step_flag {
    PROBE_STEP_VMXON_REGION = 1 << 0,  // operand: the box's own VMXON region, XOR `operand`
    PROBE_STEP_UNMAPPED = 1 << 1,      // the memory operand lies where nothing is mapped
    PROBE_STEP_NONCANONICAL = 1 << 2,  // the memory operand's address is not canonical
    PROBE_STEP_WITHOUT_VMXE = 1 << 3,  // CR4.VMXE is 0 (only outside VMX operation)
    PROBE_STEP_WITHOUT_NE = 1 << 4,    // CR0.NE is 0 (only outside VMX operation)
    PROBE_STEP_MEMORY = 1 << 5,        // VMREAD, VMWRITE: the form with a memory operand
    PROBE_STEP_CPL3 = 1 << 6,          // at CPL 3 of 64-bit mode; with no other flag but VMXON_REGION
    PROBE_STEP_COMPATIBILITY = 1 << 7, // in compatibility mode, at CPL 0; the same
    PROBE_STEP_FLAGS = (1 << 8) - 1,
};

enum { PROBE_NO_FAULT = 255 };
struct probe_step {
    uint16_t instruction; // enum probe_instruction
    uint16_t flags;       // enum probe_step_flag
    uint32_t rflags;      // behind it; all six status flags were set before
    uint64_t operand, value, value2;
    uint32_t error;              // VM-instruction error, when ZF is set
    uint32_t vector, error_code; // of its exception; PROBE_NO_FAULT
    uint32_t reserved;
};
