// Groups of the apic guest's points. Those of `shared` run in xAPIC and in x2APIC mode, under either's name.
#pragma once
#include "guests/lib/apic.h"
#include "guests/lib/guest.h"

// clang-format off
#define SHARED_GROUPS(X) X(registers) X(delivery) X(windows) X(nmi) X(timer) X(level)
#define OTHER_GROUPS(X) X(page) X(base) X(msrs) X(pic)
// clang-format on
#define X(group)                   \
    unsigned group##_points(void); \
    void group##_test(void);
SHARED_GROUPS(X)
OTHER_GROUPS(X)
#undef X

// "xapic-NAME" or "x2apic-NAME", valid until the next call.
const char *named(const char *name);

// What arrived, in order: vectors from 32 on, each given to `during` if there is one before its EOI.
enum { SEEN_MAX = 64 };
struct seen {
    unsigned count;
    uint8_t vector[SEEN_MAX];
    word_t ip[SEEN_MAX];
    void (*during)(uint8_t vector);
};
extern volatile struct seen seen;
void seen_reset(void (*during)(uint8_t vector));
// Those vectors in that order, and no others.
void check_seen(const char *name, const uint8_t *expected, unsigned n);
#define CHECK_SEEN(name, ...) \
    check_seen(name, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
#define CHECK_NOTHING_SEEN(name) check_seen(name, (const uint8_t *)"", 0)

// TSC ticks for which the tests wait for what must not come, and which counts may be late by.
enum { SOON = 20000, LATE = 200000 };
// With interrupts on until `count` arrived or `ticks` passed.
void wait_seen(unsigned count, uint64_t ticks);
