// The PC's interrupt controllers, clock, timer and serial port, from inside and as their data sheets have them.
#pragma once
#include "guests/lib/apic.h"
#include "guests/lib/guest.h"

enum { PIC1 = 0x20, PIC1_DATA = 0x21, PIC2 = 0xa0, PIC2_DATA = 0xa1, ELCR = 0x4d0, PIC_EOI = 0x20 };
enum { PIT_0 = 0x40, PIT_2 = 0x42, PIT_MODE = 0x43, PORT_B = 0x61 };
enum { RTC = 0x70, RTC_DATA = 0x71, RTC_A = 10, RTC_B = 11, RTC_C = 12 };
enum { UART = 0x3f8, UART_IER = UART + 1, UART_IIR = UART + 2, UART_LCR = UART + 3, UART_MCR = UART + 4 };
enum { UART_THRE = 2, UART_LOOP_OUT2 = 0x18, UART_OUT2 = 8 };
enum { IRQ_PIT = 0, IRQ_UART = 4, IRQ_RTC = 8 };

// Initialised, nothing masked but what `mask` says (bit n: IRQ n), edges.
void pic_open(uint16_t mask);
unsigned pic_points(void), clock_points(void), timer_points(void);
void pic_test(void), clock_test(uint64_t tsc_hz), timer_test(uint64_t tsc_hz);

uint8_t rtc_read(uint8_t reg);
void rtc_write(uint8_t reg, uint8_t value);
