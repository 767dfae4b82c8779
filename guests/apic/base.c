// IA32_APIC_BASE: states, transitions, moving the page (SDM, "x2APIC State Transitions"). Leaves x2APIC mode off.
#include "guests/apic/apic.h"

enum { CPUID_APIC = 1 << 9, MOVED_PAGE = (int)0xfee34000 };

unsigned base_points(void)
{
    return 15;
}

static uint32_t flags(void)
{
    return (uint32_t)rdmsr(MSR_APIC_BASE) & 0xfff;
}

static uint64_t page_and(uint32_t with)
{
    return APIC_PAGE | BASE_BSP | with;
}

static void refuse(const char *name, uint64_t value)
{
    check_fault(name, FAULT_GP, try_wrmsr(MSR_APIC_BASE, value));
}

static void accept(const char *name, uint64_t value)
{
    check_fault(name, FAULT_NONE, try_wrmsr(MSR_APIC_BASE, value));
}

static bool cpuid_shows_apic(void)
{
    return cpuid(1, 0).edx & CPUID_APIC;
}

static void check_off(void)
{
    accept("base-xapic-to-off", page_and(0));
    check(!cpuid_shows_apic(), "base-off-cpuid", "expected CPUID.1:EDX.APIC clear\ngot it set");
    refuse("base-off-to-x2apic", page_and(BASE_ENABLE | BASE_X2APIC));
    refuse("base-off-to-invalid", page_and(BASE_X2APIC));
    accept("base-off-to-xapic", page_and(BASE_ENABLE));
    check(cpuid_shows_apic(), "base-on-cpuid", "expected CPUID.1:EDX.APIC set\ngot it clear");
    check_bits("base-off-forgets-svr", SVR_ENABLE, 0, apic_read(APIC_SVR));
}

static void check_moved(void)
{
    accept("base-moved", (uint32_t)MOVED_PAGE | BASE_BSP | BASE_ENABLE);
    volatile uint32_t *version = (volatile uint32_t *)((word_t)(uint32_t)MOVED_PAGE + APIC_VERSION * 16);
    check_bits("base-moved-version", 0xff, 0x14, *version);
    accept("base-moved-back", page_and(BASE_ENABLE));
}

void base_test(void)
{
    check_equal("base-bsp-enabled", BASE_BSP | BASE_ENABLE, flags());
    refuse("base-xapic-to-invalid", page_and(BASE_X2APIC));
    refuse("base-reserved-bit", page_and(BASE_ENABLE | 1));
    refuse("base-beyond-physical", page_and(BASE_ENABLE) | 1ull << 52);
    check_moved();
    check_off();
    apic_enable(true);
    refuse("base-x2apic-to-xapic", page_and(BASE_ENABLE));
}
