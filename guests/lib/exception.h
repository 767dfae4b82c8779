// Exceptions: an IDT that catches all of them, and ways to expect one.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "guests/lib/cpu.h"

enum vector {
    VECTOR_DE = 0,
    VECTOR_DB = 1,
    VECTOR_NMI = 2,
    VECTOR_BP = 3,
    VECTOR_UD = 6,
    VECTOR_NM = 7,
    VECTOR_DF = 8,
    VECTOR_NP = 11,
    VECTOR_SS = 12,
    VECTOR_GP = 13,
    VECTOR_PF = 14,
    VECTOR_NONE = 255,
};

struct fault {
    uint8_t vector;    // VECTOR_NONE: there was none
    word_t error_code; // 0 where the vector has none
    word_t ip;
    word_t address; // CR2 where it is #PF
};
#define FAULT_NONE ((struct fault){.vector = VECTOR_NONE})
#define FAULT_UD   ((struct fault){.vector = VECTOR_UD})
#define FAULT_GP   ((struct fault){.vector = VECTOR_GP})

// What the stubs push, lowest address first.
struct frame {
#ifdef __x86_64__
    word_t r15, r14, r13, r12, r11, r10, r9, r8;
#endif
    word_t di, si, bp, bx, dx, cx, ax;
    word_t vector, error_code;
    word_t ip, cs, flags;
#ifdef __x86_64__
    word_t sp, ss;
#endif
};

// Sees an exception first. True: handled, return to (perhaps changed) frame->ip.
typedef bool exception_handler(struct frame *f);

// Makes and loads an IDT that points at the library. crt0 has done it when main() runs.
void exceptions_init(void);
// Loads it on another processor.
void exceptions_load(void);
// Installs a handler in front of catch_exception(); NULL removes it. The first one for a vector from 32 on extends
// the IDT's limit, which ends there before.
void exception_handle(unsigned v, exception_handler *handler);
// Code of the guest's own for a vector, called by the processor itself. exception_handle() of some vector from 32 on
// is needed too, for the limit.
void gate_set(unsigned v, const void *entry);
// Lets `vector` be raised by INT n from CPL 3.
void exception_open_to_users(enum vector v);

// Calls fn(arg); the exception that ended it early, or FAULT_NONE. RFLAGS are restored. Nests.
struct fault catch_exception(void (*fn)(void *), void *arg);

const char *fault_name(uint8_t vector); // "#GP", "no exception"

struct fault try_rdmsr(uint32_t index, uint64_t *value);
struct fault try_wrmsr(uint32_t index, uint64_t value);
struct fault try_xsetbv(uint32_t index, uint64_t value);
struct fault try_write_cr0(word_t value);
struct fault try_write_cr4(word_t value);
// Executes machine code as a function; it ends with RET. All registers but the stack pointer are its own.
struct fault try_code(const void *code);
