#include "guests/lib/apic.h"

bool apic_x2;

// The loader maps as many GiB as there is memory; the devices stand below 4 GiB, in the fourth one.
void apic_map(void)
{
#ifdef __x86_64__
    enum { PRESENT = 1, WRITE = 2, UNCACHED = 0x10, LARGE = 0x80, ENTRIES = 512 };
    static uint64_t last_gib[ENTRIES] __attribute__((aligned(4096)));
    uint64_t *pml4 = (uint64_t *)(read_cr3() & ~0xfffull);
    uint64_t *pdpt = (uint64_t *)(pml4[0] & ~0xfffull);
    if (pdpt[3] & PRESENT)
        return;
    for (uint64_t i = 0; i < ENTRIES; i++)
        last_gib[i] = (3ull << 30 | i << 21) | PRESENT | WRITE | UNCACHED | LARGE;
    pdpt[3] = (uint64_t)last_gib | PRESENT | WRITE;
#endif
}

bool apic_is_x2(void)
{
    return rdmsr(MSR_APIC_BASE) & BASE_X2APIC;
}

void apic_enable(bool x2apic)
{
    if (x2apic && !apic_is_x2())
        wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | BASE_X2APIC);
    apic_x2 = x2apic;
    apic_write(APIC_SVR, SVR_ENABLE | 0xff);
    apic_write(APIC_TPR, 0);
}

void apic_send(uint32_t destination, uint32_t icr)
{
    if (apic_x2) {
        wrmsr(MSR_X2APIC + APIC_ICR, (uint64_t)destination << 32 | icr);
        return;
    }
    *apic_at(APIC_ICR_HIGH) = destination << 24;
    *apic_at(APIC_ICR) = icr;
}

uint32_t apic_id(void)
{
    uint32_t id = apic_read(APIC_ID);
    return apic_x2 ? id : id >> 24;
}

bool apic_bit(enum apic_register first, uint8_t vector)
{
    return apic_read((enum apic_register)(first + vector / 32)) >> vector % 32 & 1;
}
