// The local APIC of the processor that executes these functions, in xAPIC or x2APIC mode.
#pragma once
#include "guests/lib/cpu.h"

// Registers by bits 11:4 of their offset in the page (SDM, "Local APIC Register Address Map").
enum apic_register {
    APIC_ID = 0x02,
    APIC_VERSION = 0x03,
    APIC_TPR = 0x08,
    APIC_PPR = 0x0a,
    APIC_EOI = 0x0b,
    APIC_LDR = 0x0d,
    APIC_DFR = 0x0e,
    APIC_SVR = 0x0f,
    APIC_ISR = 0x10,
    APIC_TMR = 0x18,
    APIC_IRR = 0x20,
    APIC_ESR = 0x28,
    APIC_ICR = 0x30,
    APIC_ICR_HIGH = 0x31,
    APIC_LVT_TIMER = 0x32,
    APIC_LVT_THERMAL = 0x33,
    APIC_LVT_PMC = 0x34,
    APIC_LVT_LINT0 = 0x35,
    APIC_LVT_LINT1 = 0x36,
    APIC_LVT_ERROR = 0x37,
    APIC_INITIAL_COUNT = 0x38,
    APIC_CURRENT_COUNT = 0x39,
    APIC_DIVIDE = 0x3e,
    APIC_SELF_IPI = 0x3f,
};

enum { APIC_PAGE = 0xfee00000, IOAPIC_PAGE = 0xfec00000 };
#ifdef GUEST_WITH_SDM
#include "sdm/msr.h"
#else
enum { MSR_APIC_BASE = 0x1b, MSR_TSC_DEADLINE = 0x6e0 };
#endif
enum { MSR_X2APIC = 0x800 };
enum { BASE_BSP = 0x100, BASE_X2APIC = 0x400, BASE_ENABLE = 0x800 };
enum { SVR_ENABLE = 0x100, LVT_MASKED = 0x10000 };
enum { TIMER_ONE_SHOT = 0, TIMER_PERIODIC = 0x20000, TIMER_DEADLINE = 0x40000 };
enum { DIVIDE_BY_1 = 0x0b, DIVIDE_BY_2 = 0, DIVIDE_BY_16 = 3 };
// Halves of the ICR (SDM, "Interrupt Command Register (ICR)").
enum {
    ICR_NMI = 4 << 8,
    ICR_INIT = 5 << 8,
    ICR_SIPI = 6 << 8,
    ICR_LOGICAL = 1 << 11,
    ICR_ASSERT = 1 << 14,
    ICR_SELF = 1 << 18,
    ICR_ALL = 2 << 18,
    ICR_OTHERS = 3 << 18,
};

// Makes the APIC page and the I/O APIC's reachable where paging does not show them.
void apic_map(void);
bool apic_is_x2(void); // IA32_APIC_BASE says so
// The mode that the functions below use, which is the one that the APIC is in: enables it, with spurious vector
// 255 and nothing masked by priority. From xAPIC mode on.
void apic_enable(bool x2apic);

extern bool apic_x2; // what apic_enable() was told last

static inline volatile uint32_t *apic_at(enum apic_register reg)
{
    return (volatile uint32_t *)((word_t)APIC_PAGE + reg * 16u);
}
static inline uint32_t apic_read(enum apic_register reg)
{
    return apic_x2 ? (uint32_t)rdmsr(MSR_X2APIC + reg) : *apic_at(reg);
}
static inline void apic_write(enum apic_register reg, uint32_t value)
{
    if (apic_x2)
        wrmsr(MSR_X2APIC + reg, value);
    else
        *apic_at(reg) = value;
}
static inline void apic_eoi(void)
{
    apic_write(APIC_EOI, 0);
}
// To the APIC with this ID; shorthands and ICR_LOGICAL make something else of `destination`.
void apic_send(uint32_t destination, uint32_t icr);
// A fixed interrupt for this processor itself.
static inline void apic_self(uint8_t vector)
{
    apic_send(0, ICR_SELF | vector);
}
uint32_t apic_id(void);
// Bit `vector` of the 256-bit register that begins at `first`.
bool apic_bit(enum apic_register first, uint8_t vector);

static inline void interrupts_on(void)
{
    __asm__ volatile("sti" : : : "memory");
}
static inline void interrupts_off(void)
{
    __asm__ volatile("cli" : : : "memory");
}
// Lets in whatever waits, one after the other.
static inline void interrupts_window(void)
{
    __asm__ volatile("sti; nop; nop; cli" : : : "memory");
}
// Halts until an interrupt came; with interrupts off before and after.
static inline void halt_once(void)
{
    __asm__ volatile("sti; hlt; cli" : : : "memory");
}
static inline void pause(void)
{
    __asm__ volatile("pause" : : : "memory");
}
