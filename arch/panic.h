// The end of the hypervisor, for broken invariants only: nothing that a guest, a module, firmware or a
// command line says may lead here. The implementation (kernel/panic.c) stops the other processors by NMI
// and prints registers and a symbolised backtrace on every console. Host tests bring their own.
#pragma once
#include "arch/types.h"

_Noreturn void panic(const char *format, ...) noinline_cold printf_like(1, 2);

struct exception_frame;
// The same, for an exception `name` that nobody fixes up, with its registers.
_Noreturn void panic_exception(const struct exception_frame *frame, const char *name) noinline_cold;

#define assert(cond)                                                         \
    do {                                                                     \
        if (unlikely(!(cond)))                                               \
            panic("%s:%d: assertion failed: %s", __FILE__, __LINE__, #cond); \
    } while (0)
