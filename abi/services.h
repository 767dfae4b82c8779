// Services of the hypervisor by message. A machine with `ipc=micronova` on its line has a port out to the hypervisor
// and one in from it, which it finds by that name and uses like any other (docs/ipc.md, "The hypervisor as a peer").
#pragma once
#include "abi/micronova.h"

#define HYPERVISOR_PEER "micronova"

// Word 0 of a request: operation in bits 0-7, service in bits 8-14, bit 15 zero, from bit 16 on a tag of the sender's
// choice. Words 1 to 3: arguments, in the order named below; more of them are not looked at.
// The answer: word 0 as it was; word 1: the result, zero or more, or an enum error negated; words 2 and 3 as named
// behind "->". What is called a value stands whole in word 2, and its upper 32 bits once more in word 3, for machines
// whose words have 32 bits.
// An event: word 0 of the request that asked for it, with SERVICE_EVENT; words 1 to 3 as named behind "then".
// Result of an unknown service or operation, or with bit 15: E_UNKNOWN_CALL.
#define SERVICES(X) \
    X(CONSOLE, 0)   \
    X(CLOCK, 1)     \
    X(CONTROL, 2)   \
    X(BALLOON, 3)   \
    X(MEMORY, 4)

enum service {
#define X(name, number) SERVICE_##name = (number),
    SERVICES(X)
#undef X
        SERVICE_COUNT
};

enum {
    SERVICE_OPS = 8, // of a service, at most
    SERVICE_SHIFT = 8,
    SERVICE_EVENT = 1 << 15,
    SERVICE_TAG_SHIFT = 16,
};

// X(service, operation, number): enumerator ASK_service_operation. Numbers never change meaning. Errors and rights:
// docs/ipc.md.
// clang-format off
#define SERVICE_OPERATIONS(X)                                                                                                \
    X(CONSOLE, WRITE, 0)   /* (bytes, text: words 2 and 3, lowest byte first) -> result: bytes taken, perhaps not all */     \
    X(CONSOLE, LISTEN, 1)  /* (1 or 0), then nothing: input of the box waits for READ, instead of going to the serial port */\
    X(CONSOLE, READ, 2)    /* () -> result: how many bytes; the bytes, lowest first */                                       \
    X(CLOCK, NOW, 0)       /* () -> value: nanoseconds since the hypervisor took over from GRUB */                           \
    X(CLOCK, RATE, 1)      /* () -> value: TSC ticks a second */                                                             \
    X(CLOCK, DATE, 2)      /* () -> value: microseconds since 1970-01-01 00:00 UTC */                                        \
    X(CLOCK, ALARM, 3)     /* (microseconds <= WAIT_FOREVER), then once the vCPU, value: as NOW. One a vCPU */               \
    X(CLOCK, CANCEL, 4)    /* (): of this vCPU, also an alarm that is over and not yet taken */                              \
    X(CONTROL, NAME, 0)    /* these six as HC_CONTROL's of that name: enum control_op */                                     \
    X(CONTROL, PAUSE, 1)                                                                                                     \
    X(CONTROL, RESUME, 2)                                                                                                    \
    X(CONTROL, RESET, 3)                                                                                                     \
    X(CONTROL, DESTROY, 4)                                                                                                   \
    X(CONTROL, TICKS, 5)                                                                                                     \
    X(CONTROL, WATCH, 6)   /* (1 or 0), then id, enum ending, exit code of each machine that ends or has ended */            \
    X(BALLOON, GIVE, 0)    /* these four as HC_MEMORY's of that name: enum memory_op */                                      \
    X(BALLOON, TAKE, 1)                                                                                                      \
    X(BALLOON, FIGURE, 2)                                                                                                    \
    X(BALLOON, WANT, 3)                                                                                                      \
    X(BALLOON, WATCH, 4)   /* (1 or 0), then target, pages held: the target has changed */                                   \
    X(MEMORY, USAGE, 0)    /* () -> pages of the box that it has, all that it costs; pages of RAM that it holds */           \
    X(MEMORY, WATCH, 1)    /* (1 or 0) -> result 1: memory of the box is short; pages free; then the same when that changes */
// clang-format on

enum service_operation {
#define X(service, name, number) ASK_##service##_##name = SERVICE_##service << SERVICE_SHIFT | (number),
    SERVICE_OPERATIONS(X)
#undef X
};
