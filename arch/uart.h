// A 16550 serial port (or an 8250), found rather than assumed. Port I/O only. No locking:
// who sends holds the drain lock (kernel/report.c); receiving uses other registers, but for the line status, whose
// read takes nothing from the sender.
#pragma once
#include "arch/types.h"

enum { UART_COM1 = 0x3f8, UART_COM2 = 0x2f8 };

struct uart {
    uint16_t port;
    uint8_t depth;  // of the transmit FIFO: 16, or 1 without one
    bool dead;      // did not transmit in time
    uint32_t looks; // at it in vain, since it last took something
};

// Looks for a UART at `port` and sets it to 115200 baud, 8N1, FIFO on. False: there is none (or it is so
// odd that it is left alone).
bool uart_open(struct uart *u, uint16_t port);

// Fills the transmit FIFO if it is empty: returns how many bytes it took, 0 while it still sends. One that never has room
// again is dead at last, see uart_settle().
size_t uart_put_fifo(struct uart *u, const char *bytes, size_t n);

// From now on it interrupts when it has received something.
void uart_listen(const struct uart *u);
// Takes what was received, `n` bytes at most. Behind fewer than `n`, the next one received interrupts; behind `n`, call
// again.
size_t uart_get(const struct uart *u, char *bytes, size_t n);

// Waits until the last byte has left the shift register (LSR.TEMT). A UART that stands still for too long is dead: it
// takes everything from then on, and nobody waits for it.
void uart_settle(struct uart *u);
