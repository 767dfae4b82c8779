#include "dev/uart.h"

// RBR and IER are THR and the divisor, too; IIR is FCR when written.
enum uart_register { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR };
enum ier { IER_RX = 1, IER_THRE = 2, IER_LINE = 4, IER_MODEM = 8, IER_ALL = 15 };
enum iir { IIR_NONE = 1, IIR_MODEM = 0, IIR_THRE = 2, IIR_RX = 4, IIR_LINE = 6, IIR_FIFOS = 0xc0 };
enum fcr { FCR_ENABLE = 1, FCR_CLEAR_RX = 2, FCR_TRIGGER = 0xc0 };
enum lcr { LCR_DLAB = 0x80 };
enum mcr { MCR_DTR = 1, MCR_RTS = 2, MCR_OUT1 = 4, MCR_OUT2 = 8, MCR_LOOP = 16, MCR_ALL = 31 };
enum lsr { LSR_DATA = 1, LSR_OVERRUN = 2, LSR_THRE = 0x20, LSR_TEMT = 0x40 };
enum msr {
    MSR_DELTA_CTS = 1,
    MSR_DELTA_DSR = 2,
    MSR_TRAILING_RI = 4,
    MSR_DELTA_DCD = 8,
    MSR_CTS = 0x10,
    MSR_DSR = 0x20,
    MSR_RI = 0x40,
    MSR_DCD = 0x80,
};

static bool transmitter_empty(const struct uart *u)
{
    return (u->mcr & MCR_LOOP) || u->host->console_ready(u->owner);
}

// The receiver: a FIFO keeps what it has and drops the newcomer, a single register is overwritten.
static void receive(struct uart *u, uint8_t byte)
{
    uint8_t room = u->fcr & FCR_ENABLE ? UART_FIFO : 1;
    if (u->rx_count < room) {
        u->rx[(u->rx_first + u->rx_count++) % UART_FIFO] = byte;
        return;
    }
    u->overrun = true;
    if (room == 1)
        u->rx[u->rx_first] = byte;
}

// There may be room again for what comes from outside.
static void make_room(struct uart *u)
{
    if (likely(!u->refused))
        return;
    u->refused = false;
    u->host->room(u->owner);
}

static uint8_t read_rbr(struct uart *u)
{
    if (u->rx_count == 0)
        return 0;
    uint8_t byte = u->rx[u->rx_first];
    u->rx_first = (u->rx_first + 1) % UART_FIFO;
    u->rx_count--;
    make_room(u);
    return byte;
}

// What interrupts, in order of priority: an IIR code.
static uint8_t cause(const struct uart *u)
{
    if ((u->ier & IER_LINE) && u->overrun)
        return IIR_LINE;
    if ((u->ier & IER_RX) && u->rx_count > 0)
        return IIR_RX;
    if ((u->ier & IER_THRE) && u->thre_pending && transmitter_empty(u))
        return IIR_THRE;
    if ((u->ier & IER_MODEM) && (u->msr & 15))
        return IIR_MODEM;
    return IIR_NONE;
}

// While the console is behind, somebody has to look again: nothing else tells that it has room.
noinline_cold void uart_expire(struct uart *u)
{
    line_set(&u->line, (u->mcr & MCR_OUT2) && cause(u) != IIR_NONE);
    bool waits = (u->ier & IER_THRE) && u->thre_pending && !transmitter_empty(u);
    if (waits)
        u->host->arm(u->owner, DEVICE_TIMER_UART, tsc(u->host->now(u->owner).v + u->host->tsc_hz / 1000));
}

static void write_thr(struct uart *u, uint8_t value)
{
    u->thre_pending = false;
    uart_expire(u);
    u->thre_pending = true; // the byte is gone at once, so THR is empty again
    if (unlikely(u->mcr & MCR_LOOP))
        return receive(u, value);
    char byte = (char)value;
    u->host->console(u->owner, &byte, 1);
}

static void write_ier(struct uart *u, uint8_t value)
{
    // Enabling the THRE interrupt while THR is empty reports it; drivers use this to start sending.
    if (value & ~u->ier & IER_THRE)
        u->thre_pending = true;
    u->ier = value & IER_ALL;
}

// Reading IIR is what acknowledges THRE, if THRE is what it reported.
static uint8_t read_iir(struct uart *u)
{
    uint8_t code = cause(u);
    if (code == IIR_THRE)
        u->thre_pending = false;
    return code | (u->fcr & FCR_ENABLE ? IIR_FIFOS : 0);
}

static void write_fcr(struct uart *u, uint8_t value)
{
    if ((value & FCR_CLEAR_RX) || ((value ^ u->fcr) & FCR_ENABLE))
        u->rx_count = 0;
    u->fcr = value & FCR_ENABLE ? value & (FCR_ENABLE | FCR_TRIGGER) : 0;
    make_room(u);
}

// Modem lines: in loopback our own outputs, else a peer that is there and ready.
static uint8_t modem_lines(uint8_t mcr)
{
    if (!(mcr & MCR_LOOP))
        return MSR_DCD | MSR_DSR | MSR_CTS;
    return (uint8_t)((mcr & MCR_RTS ? MSR_CTS : 0) | (mcr & MCR_DTR ? MSR_DSR : 0) |
                     (mcr & MCR_OUT1 ? MSR_RI : 0) | (mcr & MCR_OUT2 ? MSR_DCD : 0));
}

static void write_mcr(struct uart *u, uint8_t value)
{
    u->mcr = value & MCR_ALL;
    uint8_t lines = modem_lines(u->mcr), changed = u->msr ^ lines;
    uint8_t delta = (changed >> 4) & (MSR_DELTA_CTS | MSR_DELTA_DSR | MSR_DELTA_DCD);
    if (changed & u->msr & MSR_RI)
        delta |= MSR_TRAILING_RI;
    u->msr = lines | (u->msr & 15) | delta;
    make_room(u);
}

static uint8_t read_lsr(struct uart *u)
{
    uint8_t lsr = u->rx_count > 0 ? LSR_DATA : 0;
    if (unlikely(u->overrun))
        lsr |= LSR_OVERRUN;
    u->overrun = false;
    return transmitter_empty(u) ? lsr | LSR_THRE | LSR_TEMT : lsr;
}

static uint8_t read_msr(struct uart *u)
{
    uint8_t msr = u->msr;
    u->msr &= 0xf0;
    return msr;
}

static uint8_t read(struct uart *u, unsigned reg)
{
    bool divisor = u->lcr & LCR_DLAB;
    switch (reg) {
    case RBR:
        return divisor ? (uint8_t)u->divisor : read_rbr(u);
    case IER:
        return divisor ? (uint8_t)(u->divisor >> 8) : u->ier;
    case IIR:
        return read_iir(u);
    case LCR:
        return u->lcr;
    case MCR:
        return u->mcr;
    case LSR:
        return read_lsr(u);
    case MSR:
        return read_msr(u);
    case SCR:
        return u->scr;
    }
    return 0xff;
}

static void write(struct uart *u, unsigned reg, uint8_t value)
{
    bool divisor = u->lcr & LCR_DLAB;
    switch (reg) {
    case RBR:
        if (divisor)
            u->divisor = (uint16_t)((u->divisor & 0xff00) | value);
        else
            write_thr(u, value);
        break;
    case IER:
        if (divisor)
            u->divisor = (uint16_t)(value << 8 | (u->divisor & 0xff));
        else
            write_ier(u, value);
        break;
    case IIR:
        write_fcr(u, value);
        break;
    case LCR:
        u->lcr = value;
        break;
    case MCR:
        write_mcr(u, value);
        break;
    case SCR:
        u->scr = value;
    }
}

static uint8_t in8(struct device *d, uint16_t port)
{
    struct uart *u = container_of(d, struct uart, device);
    uint8_t value = read(u, port - UART_BASE);
    uart_expire(u);
    return value;
}

static void out8(struct device *d, uint16_t port, uint8_t value)
{
    struct uart *u = container_of(d, struct uart, device);
    write(u, port - UART_BASE, value);
    uart_expire(u);
}

size_t uart_input(struct uart *u, const char *bytes, size_t n)
{
    size_t room = (u->fcr & FCR_ENABLE ? UART_FIFO : 1) - u->rx_count;
    if (u->mcr & MCR_LOOP) // the input pin is cut off
        room = 0;
    size_t taken = min_u64(n, room);
    for (size_t i = 0; i < taken; i++)
        receive(u, (uint8_t)bytes[i]);
    u->refused = taken < n;
    uart_expire(u);
    return taken;
}

void uart_init(struct uart *u, const struct dev_host *host, void *owner)
{
    static const struct device_ops ops = {.in = in8, .out = out8};
    *u = (struct uart){.device = {&ops}, .host = host, .owner = owner, .divisor = 1, .msr = modem_lines(0)};
}
