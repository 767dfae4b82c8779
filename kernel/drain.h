// The way from the rings to the consoles: the oldest record of all rings becomes lines, and each sink takes
// them at its own pace before the next ones. Pure; the caller holds the drain lock.
#pragma once
#include "kernel/tap.h"

enum { SINKS_MAX = 3, RINGS_MAX = 64 };

// A console. `put` takes what it can without waiting, all if the device is dead, and returns how much that was.
struct sink {
    size_t (*put)(void *self, const char *bytes, size_t n);
    // Does work that `put` put off, for at most some 6 instructions a unit; true: more is left. May be NULL.
    bool (*refresh)(void *self, uint32_t units);
    void (*settle)(void *self); // waits until all that was put can be seen; gives up on a dead device
    void *self;
};

struct drain {
    struct tap tap;
    struct log_ring *rings[RINGS_MAX];
    uint32_t ring_count, sink_count;
    struct sink sinks[SINKS_MAX];
    size_t taken[SINKS_MAX]; // bytes of the record each sink has
    size_t length;           // of the record in transit
    uint32_t steps;          // drain_step() so far: while text flows, only some of them refresh
    char line[TAP_LINE_MAX]; // its line, or lines
};

// Moves about `max_bytes`, waiting for nothing, for some 100 instructions a byte at most (half of them to
// refresh screens). True: something is left.
bool drain_step(struct drain *d, size_t max_bytes);

// A whole text, past the rings, to all sinks.
void drain_text(struct drain *d, const char *text, size_t length);
// Everything in the rings that is ready goes out.
void drain_all(struct drain *d);
void drain_settle(struct drain *d);
// Waits until `r`, one of the rings, has room for a record of `length` bytes, or no record is ready.
void drain_for_room(struct drain *d, const struct log_ring *r, size_t length);
