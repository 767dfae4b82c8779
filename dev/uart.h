// A 16550A UART at 3F8h-3FFh whose line is the machine's console. IIR tells what would interrupt, and
// so does its line, IRQ 4, while OUT2 lets it through. Sent bytes leave at once; when the
// console is behind, THRE and TEMT stay clear until it has room.
#pragma once
#include "dev/host.h"

enum { UART_BASE = 0x3f8, UART_FIFO = 16 };

struct uart {
    struct device device; // first: ops find the UART through it
    const struct dev_host *host;
    void *owner;
    struct line line;
    uint16_t divisor;
    uint8_t ier, fcr, lcr, mcr, scr; // as last written, reserved bits gone
    uint8_t msr;                     // lines in the upper, changes since the last read in the lower half
    bool overrun, thre_pending;      // LSR.OE; THR became empty and nobody was told yet
    bool refused;                    // uart_input() had more than there was room for
    uint8_t rx_first, rx_count;
    uint8_t rx[UART_FIFO];
};

// Sets its line by what there is to signal, and arms to look again if the transmitter's being empty is to be told.
void uart_expire(struct uart *u);
// Bytes from outside; returns how many the receiver had room for. If that are not all, the host's `room` tells when
// there is some again.
size_t uart_input(struct uart *u, const char *bytes, size_t n);
void uart_init(struct uart *u, const struct dev_host *host, void *owner);
