// A level-triggered interrupt by way of the I/O APIC: its EOI is broadcast, and while the line is still high it comes
// again (SDM, "Signaling Interrupt Servicing Completion"). The line is the serial port's, for an empty transmitter.
#include "guests/apic/apic.h"

enum { PIN = 4, VECTOR = 0x57, ENTRY = 0x10 + 2 * PIN, LEVEL = 0x8000, REMOTE_IRR = 0x4000, TIMES = 3 };
enum { UART_IER = 0x3f9, UART_IIR = 0x3fa, UART_MCR = 0x3fc, IER_THRE = 2, MCR_OUT2 = 8 };

static unsigned times;
static uint32_t remote_inside, tmr_inside;

unsigned level_points(void)
{
    return 5;
}

static volatile uint32_t *ioapic(unsigned reg)
{
    *(volatile uint32_t *)(word_t)(uint32_t)IOAPIC_PAGE = reg;
    return (volatile uint32_t *)(word_t)((uint32_t)IOAPIC_PAGE + 0x10);
}

// The line goes low the last time only.
static void serve(uint8_t vector)
{
    if (vector != VECTOR)
        return;
    remote_inside |= *ioapic(ENTRY) & REMOTE_IRR;
    tmr_inside |= apic_bit(APIC_TMR, VECTOR);
    if (++times == TIMES)
        inb(UART_IIR);
}

void level_test(void)
{
    seen_reset(serve);
    times = remote_inside = tmr_inside = 0;
    *ioapic(ENTRY + 1) = apic_id() << 24;
    *ioapic(ENTRY) = LEVEL | VECTOR;
    outb(UART_MCR, MCR_OUT2);
    outb(UART_IER, IER_THRE);
    wait_seen(TIMES, 100 * LATE);
    wait_seen(TIMES + 1, SOON);
    check_equal(named("level-remote-irr-inside"), REMOTE_IRR, remote_inside);
    check_equal(named("level-tmr"), 1, tmr_inside);
    check_equal(named("level-remote-irr-after"), 0, *ioapic(ENTRY) & REMOTE_IRR);
    CHECK_SEEN(named("level-until-low"), VECTOR, VECTOR, VECTOR);
    outb(UART_IER, 0);
    *ioapic(ENTRY) = LVT_MASKED;
    // The same vector by an edge: no mark of a level when it comes from a self-IPI that exits.
    apic_send(apic_id(), VECTOR);
    interrupts_window();
    CHECK_SEEN(named("level-then-edge"), VECTOR);
}
