// Test points. A guest says first how many it will deliver, then delivers them; every point carries what was
// expected and what was got, so that a failure explains itself in the log.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "guests/lib/exception.h"

void tap_plan(unsigned points);

// One point. `format` says what was expected and got; it is shown when the point is not ok.
bool check(bool ok, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
bool check_equal(const char *name, uint64_t expected, uint64_t got);
// Only the bits of `mask` count.
bool check_bits(const char *name, uint64_t mask, uint64_t expected, uint64_t got);
// An exception or its absence (FAULT_NONE); the error code counts where the vector has one.
bool check_fault(const char *name, struct fault expected, struct fault got);
void skip(const char *name, const char *reason);

// Counts points that the guest delivered by hypercalls of its own.
void tap_count(unsigned points);

// What main() returns: 0 when as many points as planned were delivered and all were ok.
int tap_end(void);
