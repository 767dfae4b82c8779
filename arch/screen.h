// The log on the screen: VGA text memory or a linear RGB framebuffer of 24 or 32 bits a pixel. Text goes
// into a ring of lines in RAM; screen_refresh() repaints the cells that changed, a bounded number a call, so
// fast output scrolls past unpainted. Pure but for the memory it is given. No locking: the caller holds
// the drain lock.
#pragma once
#include "boot/multiboot2.h"

// Bytes of the framebuffer that are to be mapped (write access); 0 when it is none that can be used.
uint64_t framebuffer_bytes(const struct framebuffer *fb);

// Takes the screen; `base` is where framebuffer_bytes() of it are mapped. False: it cannot be used.
bool screen_open(const struct framebuffer *fb, void *base);

// Adds text; lines wrap at the right edge.
void screen_put(const char *bytes, size_t n);

// Repaints for about `budget` units of some 6 instructions; it must exceed what comparing a row takes (2
// units for 8 cells). Beyond the budget it goes by at most one cell. True: not all is painted yet.
bool screen_refresh(uint32_t budget);
