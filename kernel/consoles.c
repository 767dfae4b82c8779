#include "kernel/consoles.h"
#include "arch/exception.h"
#include "arch/screen.h"
#include "arch/uart.h"
#include "kernel/drain.h"
#include "kernel/input.h"
#include "kernel/options.h"
#include "kernel/report.h"

static size_t serial_put(void *self, const char *bytes, size_t n)
{
    return uart_put_fifo(self, bytes, n);
}

static void serial_settle(void *self)
{
    uart_settle(self);
}

static size_t picture_put(void *self, const char *bytes, size_t n)
{
    (void)self;
    screen_put(bytes, n);
    return n;
}

static bool picture_refresh(void *self, uint32_t units)
{
    (void)self;
    return screen_refresh(units);
}

static void picture_settle(void *self)
{
    while (picture_refresh(self, 1000))
        ;
}

static const struct {
    enum console console;
    uint16_t port;
    uint8_t irq;
} places[] = {
    {CONSOLE_COM1, UART_COM1, 4},
    {CONSOLE_COM2, UART_COM2, 3}
};
static struct uart uarts[array_size(places)];
static bool open[array_size(places)], listening[array_size(places)];

// A port that has always something, because it is none any more, does not keep the processor here.
static void received(void)
{
    enum { PIECES = 16 };
    for (size_t i = 0; i < array_size(places); i++) {
        char bytes[16];
        size_t n = sizeof bytes;
        for (unsigned piece = 0; listening[i] && n == sizeof bytes; piece++) {
            n = uart_get(&uarts[i], bytes, sizeof bytes);
            input_put(bytes, n);
            listening[i] = piece < PIECES;
        }
    }
}

void consoles_listen(bool (*route)(uint8_t irq, uint8_t vector))
{
    interrupt_set(VECTOR_SERIAL, received);
    for (size_t i = 0; i < array_size(places); i++) {
        listening[i] = open[i] && route(places[i].irq, VECTOR_SERIAL);
        if (!listening[i])
            continue;
        uart_listen(&uarts[i]);
        log_info("input: from the UART at %xh", places[i].port);
    }
}

static void open_serial(uint32_t wanted)
{
    for (size_t i = 0; i < array_size(places); i++) {
        if (!(wanted & places[i].console))
            continue;
        if (!uart_open(&uarts[i], places[i].port)) {
            log_info("console: no UART at %xh", places[i].port);
            continue;
        }
        log_info("console: UART at %xh, 115200 8N1, FIFO of %u", places[i].port, uarts[i].depth);
        report_add_sink(&(struct sink){serial_put, NULL, serial_settle, &uarts[i]});
        open[i] = true;
    }
}

static void open_picture(uint32_t wanted, const struct framebuffer *fb, void *base)
{
    if (!(wanted & CONSOLE_SCREEN) || !fb || !screen_open(fb, base))
        return;
    log_info("console: screen of %u x %u %s", fb->width, fb->height,
             fb->type == FRAMEBUFFER_TEXT ? "characters" : "pixels");
    report_add_sink(&(struct sink){picture_put, picture_refresh, picture_settle, NULL});
}

void consoles_open(uint32_t wanted, const struct framebuffer *fb, void *base)
{
    open_serial(wanted);
    open_picture(wanted, fb, base);
    report_open(options.tap);
}

void consoles_rescue(void)
{
    if (!report_is_open())
        consoles_open(CONSOLE_COM1, NULL, NULL);
}
