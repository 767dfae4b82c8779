// What the exit-information fields say, decoded once into structs that name it: SDM volume 3, "VM Exits":
// "Exit Qualification", "Information for VM Exits Due to Vectored Events", "Information for VM Exits Due to
// Instruction Execution". And the VM-entry interruption information, built ("VM-Entry Controls for Event
// Injection"). Inline: the exit path uses them.
#pragma once
#include <stdbool.h>
#include <stdint.h>

static inline unsigned field_of(uint64_t value, unsigned low, unsigned bits)
{
    return (unsigned)(value >> low & ((1u << bits) - 1));
}
static inline bool bit_of(uint64_t value, unsigned bit)
{
    return value >> bit & 1;
}

// Control-register accesses.
enum cr_access_type { CR_MOV_TO, CR_MOV_FROM, CR_CLTS, CR_LMSW };
struct cr_access {
    uint8_t cr;   // 0, 3, 4 or 8
    uint8_t type; // enum cr_access_type
    uint8_t gpr;  // MOV: register number, 4 = RSP
    bool lmsw_memory;
    uint16_t lmsw_source;
};
static inline struct cr_access decode_cr_access(uint64_t q)
{
    return (struct cr_access){
        .cr = (uint8_t)field_of(q, 0, 4),
        .type = (uint8_t)field_of(q, 4, 2),
        .lmsw_memory = bit_of(q, 6),
        .gpr = (uint8_t)field_of(q, 8, 4),
        .lmsw_source = (uint16_t)field_of(q, 16, 16),
    };
}

// MOV DR.
struct dr_access {
    uint8_t dr, gpr;
    bool from_dr;
};
static inline struct dr_access decode_dr_access(uint64_t q)
{
    return (struct dr_access){(uint8_t)field_of(q, 0, 3), (uint8_t)field_of(q, 8, 4), bit_of(q, 4)};
}

// I/O instructions.
struct io_access {
    uint16_t port;
    uint8_t size; // bytes: 1, 2 or 4
    bool in, string, rep, immediate;
};
static inline struct io_access decode_io_access(uint64_t q)
{
    return (struct io_access){
        .port = (uint16_t)field_of(q, 16, 16),
        .size = (uint8_t)(field_of(q, 0, 3) + 1),
        .in = bit_of(q, 3),
        .string = bit_of(q, 4),
        .rep = bit_of(q, 5),
        .immediate = bit_of(q, 6),
    };
}

// EPT violations. The rights are those of the paging-structure entries AND-ed together.
struct ept_violation {
    bool read, write, fetch;                              // what the access was
    bool readable, writable, executable, user_executable; // what EPT would have allowed
    bool linear_valid;                                    // GUEST_LINEAR_ADDRESS holds the address
    bool translated; // of the linear address' translation; else of a guest page walk (if linear_valid)
    bool user, linear_writable, linear_nx; // only with EPT_CAP_ADVANCED_EXIT_INFO
    bool nmi_unblocking;                   // an IRET had unblocked NMIs
    bool shadow_stack;
    bool asynchronous; // not of the instruction at RIP: trace or event output
};
static inline struct ept_violation decode_ept_violation(uint64_t q)
{
    return (struct ept_violation){
        .read = bit_of(q, 0),
        .write = bit_of(q, 1),
        .fetch = bit_of(q, 2),
        .readable = bit_of(q, 3),
        .writable = bit_of(q, 4),
        .executable = bit_of(q, 5),
        .user_executable = bit_of(q, 6),
        .linear_valid = bit_of(q, 7),
        .translated = bit_of(q, 8),
        .user = bit_of(q, 9),
        .linear_writable = bit_of(q, 10),
        .linear_nx = bit_of(q, 11),
        .nmi_unblocking = bit_of(q, 12),
        .shadow_stack = bit_of(q, 13),
        .asynchronous = bit_of(q, 16),
    };
}

// Task switches.
enum task_switch_source { TASK_BY_CALL, TASK_BY_IRET, TASK_BY_JMP, TASK_BY_GATE };
struct task_switch {
    uint16_t selector; // of the TSS that the guest switches to
    uint8_t source;    // enum task_switch_source; BY_GATE: a task gate in the IDT
};
static inline struct task_switch decode_task_switch(uint64_t q)
{
    return (struct task_switch){(uint16_t)field_of(q, 0, 16), (uint8_t)field_of(q, 30, 2)};
}

// APIC accesses.
enum apic_access_type {
    APIC_LINEAR_READ = 0,
    APIC_LINEAR_WRITE = 1,
    APIC_LINEAR_FETCH = 2,
    APIC_LINEAR_EVENT = 3, // while an event was delivered
    APIC_LINEAR_MONITOR = 4,
    APIC_PHYSICAL_EVENT = 10,
    APIC_PHYSICAL_MONITOR = 11, // or trace output
    APIC_PHYSICAL_OTHER = 15,
};
struct apic_access {
    uint16_t offset; // within the APIC-access page, for linear accesses
    uint8_t type;    // enum apic_access_type
    bool asynchronous;
};
static inline struct apic_access decode_apic_access(uint64_t q)
{
    return (struct apic_access){(uint16_t)field_of(q, 0, 12), (uint8_t)field_of(q, 12, 4), bit_of(q, 16)};
}

// VM-entry failures due to invalid guest state. For MSR loading the qualification is the entry, from 1.
enum entry_failure {
    ENTRY_FAILURE_PLAIN = 0,
    ENTRY_FAILURE_PDPTE = 2,
    ENTRY_FAILURE_NMI = 3,  // NMI injected while STI blocks
    ENTRY_FAILURE_LINK = 4, // VMCS link pointer
};

// Vectored events: VM-exit interruption information, IDT-vectoring information, VM-entry interruption
// information.
enum event_type {
    EVENT_EXTERNAL_INTERRUPT = 0,
    EVENT_RESERVED = 1,
    EVENT_NMI = 2,
    EVENT_HARDWARE_EXCEPTION = 3,
    EVENT_SOFTWARE_INTERRUPT = 4,
    EVENT_PRIVILEGED_SOFTWARE_EXCEPTION = 5, // INT1
    EVENT_SOFTWARE_EXCEPTION = 6,            // INT3, INTO
    EVENT_OTHER = 7,                         // at entry: by vector, as below
};
enum { OTHER_MTF, OTHER_SYSCALL, OTHER_SYSENTER }; // the latter two under FRED
enum {
    EVENT_INFO_ERROR_CODE = 1 << 11,
    EVENT_INFO_NMI_UNBLOCKING = 1 << 12, // exits only
    EVENT_INFO_NESTED = 1 << 13,         // entries only: encountered while another event was delivered
    EVENT_INFO_RESERVED = 0x7ffff000,    // of the VM-entry field, but for NESTED where IA32_VMX_BASIC has it
};
#define EVENT_INFO_VALID 0x80000000u

struct event {
    bool valid;
    uint8_t vector;
    uint8_t type; // enum event_type
    bool error_code, nmi_unblocking;
};
static inline struct event decode_event(uint32_t info)
{
    return (struct event){
        .valid = bit_of(info, 31),
        .vector = (uint8_t)field_of(info, 0, 8),
        .type = (uint8_t)field_of(info, 8, 3),
        .error_code = bit_of(info, 11),
        .nmi_unblocking = bit_of(info, 12),
    };
}
// VM_ENTRY_INTERRUPTION_INFO for an event to inject.
static inline uint32_t event_info(enum event_type type, uint8_t vector, bool error_code)
{
    return EVENT_INFO_VALID | (error_code ? EVENT_INFO_ERROR_CODE : 0) | (uint32_t)type << 8 | vector;
}
// IDT-vectoring information, made to inject the same event again: what is undefined there is reserved here.
static inline uint32_t event_reinject(uint32_t idt_vectoring_info)
{
    return idt_vectoring_info & ~(uint32_t)EVENT_INFO_RESERVED;
}
// Does injecting this type use VM_ENTRY_INSTRUCTION_LENGTH?
static inline bool event_has_length(enum event_type type)
{
    return type >= EVENT_SOFTWARE_INTERRUPT && type <= EVENT_SOFTWARE_EXCEPTION;
}

// VM-exit instruction information. Its tables share one frame; which members mean something depends on the
// instruction that exited.
enum segment_register { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS };
enum descriptor_instruction { INSTR_SGDT, INSTR_SIDT, INSTR_LGDT, INSTR_LIDT };
enum task_register_instruction { INSTR_SLDT, INSTR_STR, INSTR_LLDT, INSTR_LTR };
struct instruction_info {
    uint8_t scale;        // 1, 2, 4, 8
    uint8_t reg1;         // register operand, where is_register
    uint8_t address_size; // bytes: 2, 4, 8
    uint8_t operand_size; // RDRAND, RDSEED: bytes, 2, 4, 8
    bool operand_32;      // LGDT, LIDT, SGDT, SIDT outside 64-bit mode: 32-bit operand size
    bool is_register;
    uint8_t segment; // enum segment_register
    uint8_t index, base, reg2;
    bool has_index, has_base;
    uint8_t identity; // enum descriptor_instruction or task_register_instruction
};
static inline struct instruction_info decode_instruction_info(uint32_t info)
{
    return (struct instruction_info){
        .scale = (uint8_t)(1u << field_of(info, 0, 2)),
        .reg1 = (uint8_t)field_of(info, 3, 4),
        .address_size = (uint8_t)(2u << field_of(info, 7, 3)),
        .operand_size = (uint8_t)(2u << field_of(info, 11, 2)),
        .operand_32 = bit_of(info, 11),
        .is_register = bit_of(info, 10),
        .segment = (uint8_t)field_of(info, 15, 3),
        .index = (uint8_t)field_of(info, 18, 4),
        .has_index = !bit_of(info, 22),
        .base = (uint8_t)field_of(info, 23, 4),
        .has_base = !bit_of(info, 27),
        .reg2 = (uint8_t)field_of(info, 28, 4),
        .identity = (uint8_t)field_of(info, 28, 2),
    };
}
