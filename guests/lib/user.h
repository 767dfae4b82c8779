// CPL 3, and compatibility mode: 64-bit guests only. From user_prepare() on the GDT is this library's, and CPL 3 may
// use the first 2 MiB.
#pragma once
#include "guests/lib/exception.h"

void user_prepare(void);

struct user_end {
    uint8_t vector; // of the exception that ended it
    word_t ax;
};
// Runs code at CPL 3, interrupts off, on a stack of its own. It must fault or run into an INT3.
struct user_end user_run(const void *code);
// The same from CPL 0 in compatibility mode: the code, below 4 GiB, returns by a far RET with EAX.
uint32_t compatibility_run(const void *code);
