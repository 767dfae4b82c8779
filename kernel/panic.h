// How panic() ends; arch/panic.h declares panic() itself. One processor panics: it stops the others by NMI,
// takes the consoles from whoever holds them and writes synchronously. A second processor's panic waits for
// ever, a panic inside panic() says its sentence and stops.
#pragma once
#include "arch/types.h"

struct exception_frame;

// Fatal exceptions come here from now on. As soon as there is an IDT.
void panic_init(void);

// panic() with the registers of an exception.
_Noreturn void panic_registers(const struct exception_frame *frame, const char *format, ...) noinline_cold
    printf_like(2, 3);

// Ends the machine after a panic; NULL, or if it returns: halt.
extern void (*panic_end)(void);
