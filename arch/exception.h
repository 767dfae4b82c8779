// Exceptions and physical interrupts. One shared IDT; stubs (arch/exception.asm) push a struct
// exception_frame and call exception_dispatch. The hypervisor runs with interrupts off: interrupts arrive
// here only while a processor is idle, else by a VM exit whose vector goes to interrupt_dispatch.
// Owned here: the IDT, the handler table (written at start-up only), counters of stray vectors.
#pragma once
#include "arch/types.h"
#include "arch/vectors.h"

// What a stub leaves on the stack, lowest address first.
struct exception_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t vector, error; // error is 0 where the processor pushes none
    uint64_t rip, cs, rflags, rsp, ss;
};

// Fills the IDT. Once, on the boot processor, before descriptors_load.
void exception_init(void);

// Names `handler` for a vector >= 20H. At start-up only; NULL makes the vector a stray again.
void interrupt_set(uint8_t vector, void (*handler)(void));
// Runs the handler of `vector` and ends the interrupt at the local APIC. From the IDT stub and from an
// external-interrupt exit with "acknowledge interrupt on exit". A vector without handler is counted.
void interrupt_dispatch(uint8_t vector);
// How often a vector arrived that nobody had claimed, on all processors together; the spurious one counts here.
uint32_t interrupt_strays(uint8_t vector);

// NMI, from the IDT and from NMI exits; NULL: dropped. It may run anywhere: no locks, no log.
extern void (*nmi_handler)(const struct exception_frame *frame);

// Where execution goes on when the instruction at label `from` of an asm statement faults, instead of a
// panic. Both are labels of that statement: EXCEPTION_FIXUP("1b", "2f").
#define EXCEPTION_FIXUP(from, to) ".pushsection .fixups, \"a\"\n\t.quad " from ", " to "\n\t.popsection\n\t"
