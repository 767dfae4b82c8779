// The 16550's registers as its data sheet names them.
#include "arch/uart.h"
#include "arch/cpu.h"

enum uart_register {
    RBR = 0,
    THR = 0,
    DLL = 0,
    IER = 1,
    DLM = 1,
    IIR = 2,
    FCR = 2,
    LCR = 3,
    MCR = 4,
    LSR = 5,
    MSR = 6
};
enum {
    IIR_FIFO_WORKS = 0xc0,
    FCR_ENABLE = 1 << 0,
    FCR_CLEAR = 3 << 1, // both FIFOs
    LCR_8N1 = 3,
    LCR_DIVISOR = 1 << 7, // DLL and DLM instead of THR and IER
    MCR_READY = 3,        // DTR, RTS
    MCR_OUT2 = 1 << 3,
    MCR_LOOP = 1 << 4,
    MSR_LINES = 0xf0,
    IER_RECEIVED = 1 << 0,
    LSR_DATA = 1 << 0,
    LSR_THR_EMPTY = 1 << 5,
    LSR_ALL_SENT = 1 << 6,
};
enum { DIVISOR_115200 = 1, FIFO_DEPTH = 16 };

// How often the line status is read before a UART counts as dead. A full FIFO takes 1.4 ms at 115200 baud,
// a port access about a microsecond: a thousand-fold margin.
enum { PATIENCE = 2000000 };

static uint8_t get(const struct uart *u, enum uart_register r)
{
    return in8((uint16_t)(u->port + r));
}

static void set(const struct uart *u, enum uart_register r, uint8_t v)
{
    out8((uint16_t)(u->port + r), v);
}

// A port without a device reads back ffH or what was last on the bus, but not this: in loopback the modem outputs drive
// the modem inputs, so that RTS is seen as CTS, DTR as DSR, OUT2 as DCD.
static bool loops_back(const struct uart *u)
{
    static const struct {
        uint8_t out, in;
    } lines[] = {
        {MCR_OUT2 | 2, 0x90},
        {MCR_OUT2 | 1, 0xa0},
        {3,            0x30}
    };
    bool ok = true;
    for (size_t i = 0; i < array_size(lines) && ok; i++) {
        set(u, MCR, MCR_LOOP | lines[i].out);
        ok = (get(u, MSR) & MSR_LINES) == lines[i].in;
    }
    set(u, MCR, MCR_READY);
    return ok;
}

bool uart_open(struct uart *u, uint16_t port)
{
    *u = (struct uart){.port = port, .depth = 1};
    if (!loops_back(u))
        return false;
    set(u, LCR, LCR_DIVISOR | LCR_8N1);
    set(u, DLL, DIVISOR_115200);
    set(u, DLM, 0);
    set(u, LCR, LCR_8N1);
    set(u, IER, 0);
    set(u, FCR, FCR_ENABLE | FCR_CLEAR);
    if ((get(u, IIR) & IIR_FIFO_WORKS) == IIR_FIFO_WORKS)
        u->depth = FIFO_DEPTH;
    return true;
}

size_t uart_put_fifo(struct uart *u, const char *bytes, size_t n)
{
    if (u->dead)
        return n;
    if (!(get(u, LSR) & LSR_THR_EMPTY)) {
        u->dead = ++u->looks >= PATIENCE;
        return 0;
    }
    u->looks = 0;
    n = min_u64(n, u->depth);
    for (size_t i = 0; i < n; i++)
        set(u, THR, (uint8_t)bytes[i]);
    return n;
}

// OUT2 connects the interrupt to its line, on a PC.
void uart_listen(const struct uart *u)
{
    set(u, MCR, MCR_READY | MCR_OUT2);
    set(u, IER, IER_RECEIVED);
}

size_t uart_get(const struct uart *u, char *bytes, size_t n)
{
    size_t got = 0;
    while (got < n && get(u, LSR) & LSR_DATA)
        bytes[got++] = (char)get(u, RBR);
    return got;
}

void uart_settle(struct uart *u)
{
    const uint8_t sent = LSR_THR_EMPTY | LSR_ALL_SENT;
    for (uint32_t i = 0; i < PATIENCE && !u->dead; i++) {
        if ((get(u, LSR) & sent) == sent)
            return;
        cpu_pause();
    }
    u->dead = true;
}
