// The 8259A pair by polling, interrupts off: what it would deliver next, in each of its modes (8259A data sheet).
#include "guests/devices/devices.h"

enum { VECTORS = 0xd0, CASCADE = 2, OCW3_POLL = 0x0c, OCW3_READ_IRR = 0x0a, OCW3_READ_ISR = 0x0b };
enum {
    OCW3_SPECIAL_MASK = 0x68,
    OCW3_NO_SPECIAL_MASK = 0x48,
    ROTATE_EOI = 0xa0,
    SPECIFIC_EOI = 0x60,
    LOWEST = 0xc0
};
enum { POLLED = 0x80, NOTHING = 0, PIT_ONE_SHOT = 0x30, SOON_TICKS = 4000000, ONLY_ICW4 = 1 };
enum { FIRST = 1 << IRQ_PIT | 1 << IRQ_UART };

void pic_open(uint16_t mask)
{
    outb(ELCR, 0);
    outb(ELCR + 1, 0);
    outb(PIC1, 0x11);
    outb(PIC1_DATA, VECTORS);
    outb(PIC1_DATA, 1 << CASCADE);
    outb(PIC1_DATA, ONLY_ICW4);
    outb(PIC2, 0x11);
    outb(PIC2_DATA, VECTORS + 8);
    outb(PIC2_DATA, CASCADE);
    outb(PIC2_DATA, ONLY_ICW4);
    outb(PIC1_DATA, (uint8_t)mask);
    outb(PIC2_DATA, (uint8_t)(mask >> 8));
}

static uint8_t look(uint16_t chip, uint8_t ocw3)
{
    outb(chip, ocw3);
    return inb(chip);
}

// What a poll acknowledges: its number with bit 7, or nothing.
static uint8_t poll(uint16_t chip)
{
    uint8_t got = look(chip, OCW3_POLL);
    return got & POLLED ? got : NOTHING;
}

static void wait_requested(uint16_t chip, uint8_t bits)
{
    for (uint64_t end = rdtsc() + SOON_TICKS; (look(chip, OCW3_READ_IRR) & bits) != bits && rdtsc() < end;)
        pause();
}

static void raise_pit(void)
{
    outb(PIT_MODE, PIT_ONE_SHOT);
    outb(PIT_0, 20);
    outb(PIT_0, 0);
    wait_requested(PIC1, 1 << IRQ_PIT);
}

static void lower_uart(void)
{
    outb(UART_IER, 0);
}

static void raise_uart(void)
{
    lower_uart();
    outb(UART_IER, UART_THRE);
    wait_requested(PIC1, 1 << IRQ_UART);
}

static void both(void)
{
    pic_open((uint16_t)~FIRST);
    raise_pit();
    raise_uart();
}

unsigned pic_points(void)
{
    return 16;
}

static void check_priorities(void)
{
    both();
    check_equal("pic-irr", FIRST, look(PIC1, OCW3_READ_IRR) & FIRST);
    check_equal("pic-highest-first", POLLED | IRQ_PIT, poll(PIC1));
    check_equal("pic-in-service", 1 << IRQ_PIT, look(PIC1, OCW3_READ_ISR));
    check_equal("pic-lower-waits", NOTHING, poll(PIC1));
    outb(PIC1, PIC_EOI);
    check_equal("pic-next-behind-eoi", POLLED | IRQ_UART, poll(PIC1));
    outb(PIC1, SPECIFIC_EOI | IRQ_UART);
    check_equal("pic-specific-eoi", 0, look(PIC1, OCW3_READ_ISR));
    check_equal("pic-edge-once", NOTHING, poll(PIC1)); // though the UART's line is high
}

static void check_rotation(void)
{
    both();
    check_equal("pic-before-rotation", POLLED | IRQ_PIT, poll(PIC1));
    outb(PIC1, ROTATE_EOI); // it has become the lowest
    raise_pit();
    uint8_t first = poll(PIC1);
    outb(PIC1, PIC_EOI);
    uint8_t second = poll(PIC1);
    outb(PIC1, PIC_EOI);
    check(first == (POLLED | IRQ_UART) && second == (POLLED | IRQ_PIT), "pic-rotated",
          "expected IRQ %u, then %u\ngot %#x, %#x", IRQ_UART, IRQ_PIT, first, second);
    both();
    outb(PIC1, LOWEST | 3);
    check_equal("pic-set-priority", POLLED | IRQ_UART, poll(PIC1));
}

static void check_special_mask(void)
{
    both();
    (void)poll(PIC1);
    outb(PIC1, OCW3_SPECIAL_MASK);
    outb(PIC1_DATA, (uint8_t) ~(1 << IRQ_UART)); // masks the one in service, which then holds back none
    check_equal("pic-special-mask", POLLED | IRQ_UART, poll(PIC1));
    outb(PIC1, OCW3_NO_SPECIAL_MASK);
}

static void check_level(void)
{
    pic_open((uint16_t) ~(1 << IRQ_UART));
    lower_uart();
    outb(ELCR, 1 << IRQ_UART);
    raise_uart();
    uint8_t first = poll(PIC1);
    outb(PIC1, PIC_EOI);
    uint8_t second = poll(PIC1);
    outb(PIC1, PIC_EOI);
    check(first == (POLLED | IRQ_UART) && second == first, "pic-level-again",
          "expected IRQ %u twice\ngot %#x, %#x", IRQ_UART, first, second);
    lower_uart();
    check_equal("pic-level-gone", NOTHING, poll(PIC1));
    outb(ELCR, 0);
}

static void check_cascade(void)
{
    pic_open((uint16_t) ~(1 << CASCADE | 1 << IRQ_RTC));
    rtc_write(RTC_A, 0x26);
    rtc_write(RTC_B, 0x42);
    (void)rtc_read(RTC_C);
    wait_requested(PIC2, 1);
    check_equal("pic-cascade", POLLED | CASCADE, poll(PIC1));
    check_equal("pic-slave", POLLED | (IRQ_RTC - 8), poll(PIC2));
    rtc_write(RTC_B, 2);
    (void)rtc_read(RTC_C);
    outb(PIC2, PIC_EOI);
    outb(PIC1, PIC_EOI);
    check_equal("pic-cascade-done", 0, look(PIC1, OCW3_READ_ISR) | look(PIC2, OCW3_READ_ISR));
}

void pic_test(void)
{
    outb(UART_LCR, 3);
    outb(UART_MCR, UART_LOOP_OUT2);
    check_priorities();
    check_rotation();
    check_special_mask();
    check_level();
    check_cascade();
    pic_open(0xffff);
}
