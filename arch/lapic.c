#include "arch/lapic.h"
#include "arch/cpu.h"
#include "arch/exception.h"
#include "arch/features.h"
#include "arch/log.h"
#include "arch/paging.h"
#include "arch/tsc.h"
#include "sdm/bits.h"
#include "sdm/msr.h"

// Registers by the low byte of their x2APIC MSR; on the page they are 16 bytes apart.
// SDM, "Local APIC Register Address Map" and "x2APIC Register Address Space".
enum reg {
    ID = 0x02,
    VERSION = 0x03,
    TPR = 0x08,
    EOI = 0x0b,
    LDR = 0x0d,
    SPURIOUS = 0x0f,
    IN_SERVICE = 0x10, // eight of 32 vectors each
    ESR = 0x28,
    LVT_CMCI = 0x2f,
    ICR = 0x30,
    ICR_HIGH = 0x31, // xAPIC only
    LVT_TIMER = 0x32,
    LVT_THERMAL = 0x33,
    LVT_PERF = 0x34,
    LVT_LINT0 = 0x35,
    LVT_LINT1 = 0x36,
    LVT_ERROR = 0x37,
    TIMER_INITIAL = 0x38,
    TIMER_CURRENT = 0x39,
    TIMER_DIVIDE = 0x3e,
};

enum {
    SPURIOUS_ENABLE = 1 << 8,
    LVT_MASKED = 1 << 16,
    LVT_TSC_DEADLINE = 2 << 17,
    DIVIDE_BY_16 = 3,
    ICR_PENDING = 1 << 12,
    ICR_ASSERT = 1 << 14,
};

static struct {
    volatile uint32_t *page; // NULL in x2APIC mode
    bool deadline;           // the timer compares with the TSC
    uint64_t timer_hz;       // of the counter behind its divider; 0: not calibrated
} lapic;

static void write_reg(enum reg reg, uint32_t value)
{
    if (lapic.page)
        lapic.page[(size_t)reg * 4] = value;
    else
        wrmsr(MSR_X2APIC_FIRST + reg, value);
}

static uint32_t read_reg(enum reg reg)
{
    return lapic.page ? lapic.page[(size_t)reg * 4] : (uint32_t)rdmsr(MSR_X2APIC_FIRST + reg);
}

uint32_t lapic_id(void)
{
    return lapic.page ? read_reg(ID) >> 24 : read_reg(ID);
}

void lapic_eoi(void)
{
    write_reg(EOI, 0);
}

int lapic_in_service(void)
{
    for (unsigned n = 8; n-- > 0;) {
        uint32_t vectors = read_reg((enum reg)(IN_SERVICE + n));
        if (vectors)
            return (int)(n * 32 + 31) - __builtin_clz(vectors);
    }
    return -1;
}

// The highest LVT entry decides which exist: SDM, "Local APIC Version Register".
static void mask_lvts(void)
{
    static const struct {
        uint8_t reg, number;
    } lvts[] = {
        {LVT_TIMER,   0},
        {LVT_LINT0,   1},
        {LVT_LINT1,   2},
        {LVT_ERROR,   3},
        {LVT_PERF,    4},
        {LVT_THERMAL, 5},
        {LVT_CMCI,    6}
    };
    const unsigned most = read_reg(VERSION) >> 16 & 0xff;
    for (unsigned i = 0; i < array_size(lvts); i++)
        if (lvts[i].number <= most)
            write_reg(lvts[i].reg, LVT_MASKED);
}

void lapic_init_cpu(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE), enable = APIC_BASE_ENABLE | (lapic.page ? 0 : APIC_BASE_X2APIC);
    if (!(base & APIC_BASE_ENABLE))
        wrmsr(MSR_APIC_BASE, base |= APIC_BASE_ENABLE); // x2APIC is reached by way of xAPIC only
    if ((base & enable) != enable)
        wrmsr(MSR_APIC_BASE, base | enable);
    mask_lvts();
    write_reg(TPR, 0);
    write_reg(SPURIOUS, SPURIOUS_ENABLE | VECTOR_SPURIOUS);
    write_reg(LVT_TIMER, lapic.deadline ? LVT_TSC_DEADLINE | VECTOR_TIMER : VECTOR_TIMER);
    __asm__ volatile("mfence" ::: "memory"); // the LVT's mode before any deadline: SDM, "TSC-Deadline Mode"
    write_reg(TIMER_INITIAL, 0);
    write_reg(TIMER_DIVIDE, DIVIDE_BY_16);
    write_reg(ESR, 0);
}

static void ignore(void)
{
}

bool lapic_init(hpa_t page)
{
    if (!cpu_has(FEATURE_APIC))
        return false;
    uint64_t base = rdmsr(MSR_APIC_BASE);
    if (!cpu_has(FEATURE_X2APIC)) {
        hpa_t at = hpa(base & ~(uint64_t)(PAGE_SIZE - 1) & ((1ull << features.physical_bits) - 1));
        if (page.v && page.v != at.v)
            log_warn("local APIC: MADT says %lx, IA32_APIC_BASE says %lx", page.v, at.v);
        lapic.page = device_map(at, PAGE_SIZE, CACHE_NONE);
        if (!lapic.page)
            return false;
    }
    lapic.deadline = cpu_has(FEATURE_TSC_DEADLINE);
    interrupt_set(VECTOR_KICK, ignore); // their arrival is all there is to them
    interrupt_set(VECTOR_TIMER, ignore);
    lapic_init_cpu();
    return true;
}

// In xAPIC mode the high half goes first and the low half sends.
void lapic_send(uint32_t apic_id, enum ipi ipi, uint8_t vector)
{
    const uint32_t command = ICR_ASSERT | ipi | vector;
    if (!lapic.page) {
        // WRMSR to the x2APIC does not serialise: what was stored before must be seen before the IPI.
        __asm__ volatile("mfence; lfence" ::: "memory");
        wrmsr(MSR_X2APIC_ICR, (uint64_t)apic_id << 32 | command);
        return;
    }
    if (apic_id >= 255) // all, or none that firmware can mean
        return;
    for (unsigned patience = 100000; patience && read_reg(ICR) & ICR_PENDING; patience--)
        cpu_pause();
    write_reg(ICR_HIGH, apic_id << 24);
    write_reg(ICR, command);
}

void pcpu_kick(struct pcpu *p)
{
    p->kick = 1;
    if (p != this_pcpu())
        lapic_send(p->apic_id, IPI_FIXED, VECTOR_KICK);
}

void lapic_timer_calibrate(void)
{
    enum { SAMPLE_US = 1000 };
    if (lapic.deadline)
        return;
    write_reg(LVT_TIMER, LVT_MASKED | VECTOR_TIMER);
    write_reg(TIMER_INITIAL, ~0u);
    tsc_wait_us(SAMPLE_US);
    lapic.timer_hz = (uint64_t)(~0u - read_reg(TIMER_CURRENT)) * (1000000 / SAMPLE_US);
    write_reg(TIMER_INITIAL, 0);
    write_reg(LVT_TIMER, VECTOR_TIMER);
}

static void arm_counter(tsc_t deadline)
{
    if (deadline.v == ~0ull) {
        write_reg(TIMER_INITIAL, 0);
        return;
    }
    uint64_t now = rdtsc().v, wait = deadline.v > now ? deadline.v - now : 0;
    uint64_t seconds = wait / tsc_hz, rest = wait % tsc_hz;
    uint64_t count =
        seconds < 3600 ? seconds * lapic.timer_hz + rest * (lapic.timer_hz >> 8) / (tsc_hz >> 8) : ~0ull;
    write_reg(TIMER_INITIAL,
              (uint32_t)max_u64(min_u64(count, 0xffffffff), 1)); // too long: woken early, armed again
}

void lapic_timer_arm(tsc_t deadline)
{
    if (lapic.deadline)
        wrmsr(MSR_TSC_DEADLINE, deadline.v == ~0ull ? 0 : max_u64(deadline.v, 1)); // 0 disarms
    else
        arm_counter(deadline);
}

// Masked pins can still deliver a spurious IRQ 7 or 15, so the pair gets vectors away from the exceptions.
void pic_mask(void)
{
    enum { MASTER = 0x20, SLAVE = 0xa0, ICW1 = 0x11, ICW4_8086 = 1, CASCADE_IRQ = 2 };
    out8(MASTER, ICW1);
    out8(SLAVE, ICW1);
    out8(MASTER + 1, VECTOR_PIC);
    out8(SLAVE + 1, VECTOR_PIC + 8);
    out8(MASTER + 1, 1 << CASCADE_IRQ);
    out8(SLAVE + 1, CASCADE_IRQ);
    out8(MASTER + 1, ICW4_8086);
    out8(SLAVE + 1, ICW4_8086);
    out8(MASTER + 1, 0xff);
    out8(SLAVE + 1, 0xff);
}

// I/O APIC: an index register and a window 16 bytes above it; two registers a pin from 10H on.
enum { IOAPIC_WINDOW = 4, IOAPIC_VERSION = 1, IOAPIC_PINS = 0x10 };

static void ioapic_write(volatile uint32_t *page, uint32_t reg, uint32_t value)
{
    page[0] = reg;
    page[IOAPIC_WINDOW] = value;
}

// How many pins it has; 0: nothing answers there.
static uint32_t ioapic_pins(volatile uint32_t *page)
{
    page[0] = IOAPIC_VERSION;
    uint32_t last = page[IOAPIC_WINDOW] >> 16 & 0xff;
    return last > 239 ? 0 : last + 1;
}

void ioapic_mask(hpa_t base)
{
    volatile uint32_t *page = device_map(base, 32, CACHE_NONE);
    if (!page)
        return;
    for (uint32_t pin = 0, pins = ioapic_pins(page); pin < pins; pin++)
        ioapic_write(page, IOAPIC_PINS + 2 * pin, LVT_MASKED);
}

// ACPI specification, "MPS INTI Flags": where nothing is said, as the ISA bus has it: high, edge.
bool ioapic_route(hpa_t base, uint32_t pin, uint16_t flags, uint8_t vector)
{
    enum {
        POLARITY = 3,
        TRIGGER = 3 << 2,
        ACTIVE_LOW = 3,
        LEVEL = 3 << 2,
        ENTRY_LOW = 1 << 13,
        ENTRY_LEVEL = 1 << 15
    };
    volatile uint32_t *page = device_map(base, 32, CACHE_NONE);
    if (!page || pin >= ioapic_pins(page))
        return false;
    uint32_t low = (flags & POLARITY) == ACTIVE_LOW ? ENTRY_LOW : 0;
    uint32_t level = (flags & TRIGGER) == LEVEL ? ENTRY_LEVEL : 0;
    ioapic_write(page, IOAPIC_PINS + 2 * pin + 1, lapic_id() << 24);
    ioapic_write(page, IOAPIC_PINS + 2 * pin, low | level | vector);
    return true;
}
