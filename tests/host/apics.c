#include "tests/host/apics.h"

static tsc_t now(struct lapic *l)
{
    return tsc(apics_of(l)->now);
}

static void arm(struct lapic *l, tsc_t deadline)
{
    apics_of(l)->armed[l->id] = deadline.v;
}

static void kick(struct lapic *l)
{
    apics_of(l)->kicks[l->id]++;
}

static void eoi(struct lapic *l, uint8_t vector)
{
    apics_of(l)->eois++;
    apics_of(l)->eoi_vector = vector;
}

const struct lapic_ops apics_ops = {.now = now, .arm = arm, .kick = kick, .eoi = eoi};
