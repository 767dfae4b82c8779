// Code in other modes: a GDT with a segment for each, and calls into them. One file a group of points.
#pragma once
#include "guests/lib/guest.h"

enum selector {
    CODE64 = 0x10,
    DATA = 0x18,
    CODE32 = 0x20,
    CODE16 = 0x28,     // base anywhere, limit 4 GiB
    SHORT_DATA = 0x30, // SHORT_BYTES from `buffer`
    READ_ONLY = 0x38,
    EXECUTE_ONLY = 0x40, // 32 bit
};
enum { SHORT_BYTES = 16 };

struct call { // call.asm knows the offsets
    uint64_t ax, cx, dx, si, di, flags;
    uint16_t ds, es;
    uint32_t offset;
    uint16_t cs;
};

void modes_call(struct call *c);

// What ended a call early.
struct ending {
    uint8_t vector;
    word_t error_code, address;
};

// Runs `length` bytes in segment c->cs, with the base of the 16-bit one set so that they stand at `offset`
// there.
struct ending modes_run(struct call *c, const char *bytes, unsigned length, uint32_t offset);

#define GROUPS(X) X(strings) X(wrap) X(debug) X(delivery)
#define X(group)                   \
    unsigned group##_points(void); \
    void group##_test(void);
GROUPS(X)
#undef X

extern uint8_t buffer[8192]; // page-aligned; its second page is unmapped while strings run
enum { CODE_ROOM = 64 };
extern uint8_t modes_code[CODE_ROOM]; // where modes_run() puts them: but in CODE16, offset and linear address
extern word_t fresh_memory;           // nobody has been there
