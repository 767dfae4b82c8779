// Opens the consoles that the options name and the box has.
#pragma once
#include "arch/types.h"

struct framebuffer;

// `wanted`: bits of enum console (kernel/options.h). `screen`: the loader's framebuffer, mapped at `base`
// (framebuffer_bytes() of it), or NULL. Says in the log which are used; the report begins. Boot processor only.
void consoles_open(uint32_t wanted, const struct framebuffer *screen, void *base);

// What their serial ports receive goes to kernel/input.h from now on; says in the log which do. `route` leads an ISA
// interrupt to a vector of this processor, or returns false.
void consoles_listen(bool (*route)(uint8_t irq, uint8_t vector));

// For a panic before consoles_open(): takes COM1 if no console is open yet.
void consoles_rescue(void);
