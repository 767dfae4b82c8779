#include "guests/fuzz-devices/fuzz.h"

enum { PIC_VECTORS = 0x30, PIC_CASCADE = 2, PIT_PERIODIC = 0x34, PIT_HALF_MS = 597, PIT_ONE_SHOT = 0x30 };
enum { RTC_A = 0x0a, RTC_B = 0x0b, RTC_C = 0x0c, RTC_1024_HZ = 0x26, RTC_PERIODIC = 0x42, RTC_QUIET = 2 };
enum { UART_IER = UART + 1, UART_LCR = UART + 3, UART_MCR = UART + 4, UART_THRE = 2, UART_LOOP_OUT2 = 0x18 };
enum {
    IOAPIC_VECTORS = 0x50,
    IOAPIC_PIT = 2,
    LINT0_EXTINT = 0x700,
    LVTS = 6,
    SPOKEN = 0x91,
    WAIT_TICKS = 20000000
};

static const uint8_t used_pins[] = {IOAPIC_PIT, 4, 8}; // UART, clock

static void ioapic_write(uint32_t index, uint32_t v)
{
    volatile uint32_t *page = (volatile uint32_t *)(word_t)(uint32_t)IOAPIC_PAGE;
    page[0] = index;
    page[IOAPIC_WINDOW / 4] = v;
}

static void pic_set(uint8_t mask)
{
    static const uint8_t words[] = {PIC_VECTORS, 1 << PIC_CASCADE, 1};
    outb(ELCR, 0);
    outb(ELCR + 1, 0);
    outb(PIC1, 0x11);
    outb(PIC2, 0x11);
    for (unsigned i = 0; i < array_size(words); i++) {
        outb(PIC1 + 1, words[i]);
        outb(PIC2 + 1, i == 0 ? PIC_VECTORS + 8 : i == 1 ? PIC_CASCADE : 1);
    }
    outb(PIC1 + 1, mask);
    outb(PIC2 + 1, mask);
}

static void pit_set(uint8_t mode, uint16_t count)
{
    outb(PIT + 3, mode);
    outb(PIT, (uint8_t)count);
    outb(PIT, (uint8_t)(count >> 8));
}

static void rtc_set(uint8_t b)
{
    outb(RTC, RTC_A);
    outb(RTC + 1, RTC_1024_HZ);
    outb(RTC, RTC_B);
    outb(RTC + 1, b);
    outb(RTC, RTC_C);
    (void)inb(RTC + 1);
}

static void uart_set(uint8_t interrupts)
{
    outb(UART_LCR, 3);
    outb(UART_IER, interrupts);
    outb(UART_MCR, UART_LOOP_OUT2);
    for (unsigned port = UART; port <= UART + 6; port++)
        (void)inb((uint16_t)port);
}

void devices_liven(void)
{
    apic_recover();
    local_write(apic_mode(), APIC_LVT_LINT0, LINT0_EXTINT);
    pic_set(0);
    for (unsigned i = 0; i < array_size(used_pins); i++) {
        ioapic_write(IOAPIC_ENTRIES + 2u * used_pins[i] + 1, (i % cpus) << 24);
        ioapic_write(IOAPIC_ENTRIES + 2u * used_pins[i], IOAPIC_VECTORS + i);
    }
    pit_set(PIT_PERIODIC, PIT_HALF_MS);
    rtc_set(RTC_PERIODIC);
    uart_set(UART_THRE);
}

void devices_calm(void)
{
    enum apic_mode mode = apic_mode();
    pic_set(0xff);
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        ioapic_write(IOAPIC_ENTRIES + 2 * pin, LVT_MASKED);
    rtc_set(RTC_QUIET);
    uart_set(0);
    for (unsigned lvt = 0; lvt < LVTS; lvt++)
        local_write(mode, APIC_LVT_TIMER + lvt, LVT_MASKED);
}

// ---- Afterwards ----

static void check_arrives(const char *name, uint8_t vector, unsigned before)
{
    interrupts_on();
    for (uint64_t end = rdtsc() + WAIT_TICKS; seen[vector] == before && rdtsc() < end;)
        pause();
    interrupts_off();
    unsigned came = seen[vector] - before;
    check(came == 1, name, "expected one interrupt, vector %#x\ngot %u", vector, came);
}

static void check_local(void)
{
    enum apic_mode mode = apic_mode();
    unsigned before = seen[SPOKEN];
    local_send(mode, 0, ICR_SELF | SPOKEN);
    check_arrives("self-ipi-arrives", SPOKEN, before);
    before = seen[SPOKEN];
    local_write(mode, APIC_DIVIDE, DIVIDE_BY_1);
    local_write(mode, APIC_LVT_TIMER, TIMER_ONE_SHOT | SPOKEN);
    local_write(mode, APIC_INITIAL_COUNT, 1000);
    check_arrives("timer-arrives", SPOKEN, before);
}

void check_alive(void)
{
    apic_recover();
    devices_calm();
    pit_set(PIT_ONE_SHOT, 1);
    for (unsigned i = 0; i < 256; i++)
        local_write(apic_mode(), APIC_EOI, 0);
    for (unsigned i = 0; i < 256; i++)
        interrupts_window();
    check_local();
    ioapic_write(IOAPIC_ENTRIES + 2 * IOAPIC_PIT + 1, 0);
    ioapic_write(IOAPIC_ENTRIES + 2 * IOAPIC_PIT, SPOKEN);
    unsigned before = seen[SPOKEN];
    pit_set(PIT_ONE_SHOT, 100);
    check_arrives("ioapic-arrives", SPOKEN, before);
    ioapic_write(IOAPIC_ENTRIES + 2 * IOAPIC_PIT, LVT_MASKED);
    local_write(apic_mode(), APIC_LVT_LINT0, LINT0_EXTINT);
    pic_set(0xfe);
    before = seen[PIC_VECTORS];
    pit_set(PIT_ONE_SHOT, 100);
    check_arrives("pic-arrives", PIC_VECTORS, before);
}
