#include "guests/fuzz-devices/fuzz.h"

enum apic_mode apic_mode(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE);
    return !(base & BASE_ENABLE) ? MODE_OFF : base & BASE_X2APIC ? MODE_X2APIC : MODE_XAPIC;
}

void local_write(enum apic_mode mode, uint32_t reg, uint32_t v)
{
    if (mode == MODE_X2APIC)
        wrmsr(MSR_X2APIC + reg, v);
    else if (mode == MODE_XAPIC)
        *apic_at((enum apic_register)reg) = v;
}

uint32_t local_read(enum apic_mode mode, uint32_t reg)
{
    if (mode == MODE_X2APIC)
        return (uint32_t)rdmsr(MSR_X2APIC + reg);
    return mode == MODE_XAPIC ? *apic_at((enum apic_register)reg) : 0;
}

void local_send(enum apic_mode mode, uint32_t to, uint32_t icr)
{
    if (mode == MODE_X2APIC) {
        wrmsr(MSR_X2APIC + APIC_ICR, (uint64_t)to << 32 | icr);
        return;
    }
    local_write(mode, APIC_ICR_HIGH, to << 24);
    local_write(mode, APIC_ICR, icr);
}

void apic_recover(void)
{
    if (apic_mode() == MODE_OFF)
        wrmsr(MSR_APIC_BASE, APIC_PAGE | BASE_ENABLE);
    enum apic_mode mode = apic_mode();
    local_write(mode, APIC_SVR, SVR_ENABLE | 0xff);
    local_write(mode, APIC_TPR, 0);
}

// The page stays where it is: an APIC that moved onto RAM could not be reached.
void apic_change_mode(uint32_t random)
{
    static const uint16_t flags[] = {BASE_ENABLE, BASE_ENABLE | BASE_X2APIC, 0, BASE_X2APIC};
    wrmsr(MSR_APIC_BASE, APIC_PAGE | flags[random % array_size(flags)]);
}
