// A machine's local APICs on a clock that the test turns; what they ask of the hypervisor is recorded.
#pragma once
#include <string.h>
#include "dev/lapic.h"

enum { APICS = 4 };

struct apics {
    struct lapic_bus bus;
    struct lapic lapic[APICS];
    struct lapic *pointers[APICS];
    uint32_t regs[APICS][1024];
    uint64_t now;
    uint64_t armed[APICS];
    unsigned kicks[APICS], eois;
    uint8_t eoi_vector;
};

extern const struct lapic_ops apics_ops;

static inline struct apics *apics_of(struct lapic *l)
{
    return container_of(l->bus, struct apics, bus);
}

static inline void apics_create(struct apics *a, uint32_t count)
{
    memset(a, 0, sizeof *a);
    a->bus = (struct lapic_bus){&apics_ops, a->pointers, count, (1ull << 36) - 1, {100}};
    for (uint32_t i = 0; i < count; i++) {
        a->pointers[i] = &a->lapic[i];
        a->armed[i] = ~0ull;
        lapic_create(&a->lapic[i], a->regs[i], i, &a->bus);
    }
}
