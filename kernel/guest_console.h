// What a machine prints, byte by byte, becomes whole log lines "# NAME| text". ANSI sequences are dropped,
// CR and CR LF end a line like LF, a line breaks after 512 bytes, and a partial line goes out after 100 ms.
// Bytes outside 20H..7EH go out as \xNN (kernel/tap.h), so nothing here can forge a point. Pure.
// No locking: what guards the machine's devices guards its console.
#pragma once
#include "arch/types.h"

enum { GUEST_LINE_MAX = 512, GUEST_PARTIAL_MS = 100 };

struct guest_console {
    const char *machine;
    tsc_t hold;     // how long a partial line may wait
    tsc_t deadline; // when the partial line goes out; ~0: there is none
    uint16_t length;
    uint16_t skipped; // bytes of the control string being dropped
    uint8_t state;    // enum escape of guest_console.c
    bool broken;      // the last line went out before its LF, which is swallowed if it comes next
    char line[GUEST_LINE_MAX];
};

// `machine` must live as long as the console.
void guest_console_init(struct guest_console *c, const char *machine, uint64_t tsc_hz);

// Takes bytes until the processor's log ring is full, or the bytes have cost some 12,000 instructions;
// returns how many it took. Fewer than n: the guest is to try again with the rest (-E_AGAIN if it is 0).
size_t guest_console_write(struct guest_console *c, const char *bytes, size_t n, tsc_t now);

// Sends a partial line that is due at `now`; c->deadline says when that is, 100 ms later when the ring is full.
void guest_console_poll(struct guest_console *c, tsc_t now);

// Sends what there is: the machine has ended.
void guest_console_flush(struct guest_console *c);
