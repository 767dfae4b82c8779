// Receives a line at its serial port, woken from HLT by the interrupt of each byte, and sends it back by interrupts,
// too. cmdline=what the line must be; `nothing`: none of it may come.
#include "guests/lib/apic.h"
#include "guests/lib/guest.h"

enum {
    UART = 0x3f8,
    IER = UART + 1,
    IIR = UART + 2,
    FCR = UART + 2,
    LCR = UART + 3,
    MCR = UART + 4,
    LSR = UART + 5
};
enum {
    IER_RX = 1,
    IER_THRE = 2,
    IIR_NONE = 1,
    IIR_THRE = 2,
    IIR_RX = 4,
    IIR_CAUSE = 15,
    FIFOS = 1,
    OUT2 = 8,
    DATA = 1
};
enum { VECTOR = 0x71, PIN = 4, LINE_MAX = 200, WAIT_TICKS = 400000000, QUIET_TICKS = 4000000 };

static char line[LINE_MAX + 1];
static volatile unsigned length, sent, interrupts;
static volatile bool whole;

static void receive(void)
{
    char c = (char)inb(UART);
    if (c == '\n')
        whole = true;
    else if (length < LINE_MAX)
        line[length++] = c;
}

static void send(void)
{
    if (sent <= length)
        outb(UART, (uint8_t)(sent < length ? line[sent] : '\n'));
    else
        outb(IER, 0);
    sent++;
}

static bool on_interrupt(struct frame *f)
{
    (void)f;
    interrupts++;
    for (uint8_t cause; (cause = inb(IIR) & IIR_CAUSE) != IIR_NONE;) {
        if (cause == IIR_RX)
            receive();
        else if (cause == IIR_THRE)
            send();
    }
    apic_eoi();
    return true;
}

static void uart_open(void)
{
    volatile uint32_t *ioapic = (volatile uint32_t *)(word_t)(uint32_t)IOAPIC_PAGE;
    exception_handle(VECTOR, on_interrupt);
    ioapic[0] = 0x10 + 2 * PIN;
    ioapic[4] = VECTOR;
    outb(LCR, 3);
    outb(FCR, FIFOS);
    outb(MCR, OUT2);
}

static void wait_for(volatile bool *flag)
{
    for (uint64_t end = rdtsc() + WAIT_TICKS; !*flag && rdtsc() < end;)
        halt_once();
}

static int hears_nothing(void)
{
    tap_plan(1);
    uint64_t end = rdtsc() + QUIET_TICKS;
    while (!(inb(LSR) & DATA) && rdtsc() < end)
        yield();
    check((inb(LSR) & DATA) == 0, "nothing", "expected no byte\ngot one");
    return tap_end();
}

int main(const struct start_info *start)
{
    const char *wanted = command_line(start);
    apic_map();
    apic_enable(true);
    uart_open();
    if (!strcmp(wanted, "nothing"))
        return hears_nothing();
    tap_plan(3);
    outb(IER, IER_RX);
    print("waits for input\n");
    wait_for(&whole);
    line[length] = '\0';
    check(!strcmp(line, wanted), "line", "expected \"%s\"\ngot \"%s\"", wanted, line);
    check(interrupts > 0, "interrupts", "expected some\ngot none");
    outb(IER, IER_THRE);
    for (uint64_t end = rdtsc() + WAIT_TICKS; sent <= length + 1 && rdtsc() < end;)
        interrupts_window();
    check_equal("sent-back", length + 2, sent);
    return tap_end();
}
