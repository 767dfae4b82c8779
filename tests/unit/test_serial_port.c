// The serial port against a model of a 16550 and against things that are none.
#include "arch/uart.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/cpu.h"

enum kind { WORKING, NO_FIFO, ABSENT, ABSENT_ZERO, ECHOING_BUS, NO_LOOPBACK, STUCK };

static struct {
    enum kind kind;
    uint8_t scratch, lcr, mcr, fcr, divisor[2], last_on_bus;
    unsigned in_fifo, polls; // bytes not yet sent; status reads until the FIFO is empty
    char sent[4096];
    size_t length;
} model;

static uint8_t modem_status(void)
{
    if (model.kind == NO_LOOPBACK || !(model.mcr & 16))
        return 0xb0;
    return (uint8_t)((model.mcr & 8) << 4 | (model.mcr & 4) << 4 | (model.mcr & 1) << 5 |
                     (model.mcr & 2) << 3);
}

static uint8_t line_status(void)
{
    if (model.in_fifo && model.kind != STUCK && !--model.polls)
        model.in_fifo = 0;
    return model.in_fifo ? 0 : 0x60;
}

static uint8_t model_in(uint16_t port)
{
    switch (model.kind == ABSENT || model.kind == ABSENT_ZERO || model.kind == ECHOING_BUS ? -1
                                                                                           : port - 0x3f8) {
    case 2:
        return model.fcr & 1 && model.kind != NO_FIFO ? 0xc1 : 1;
    case 5:
        return line_status();
    case 6:
        return modem_status();
    case 3:
        return model.lcr;
    case 7:
        return model.scratch;
    default:
        return model.kind == ECHOING_BUS ? model.last_on_bus : model.kind == ABSENT_ZERO ? 0 : 0xff;
    }
}

static void transmit(uint8_t v)
{
    assert_false(model.lcr & 0x80);
    assert_true(model.in_fifo < (model.kind == NO_FIFO ? 1 : 16)); // more would be lost
    model.in_fifo++;
    model.polls = 100;
    model.sent[model.length++] = (char)v;
}

static void model_out(uint16_t port, uint8_t v)
{
    model.last_on_bus = v;
    switch (port - 0x3f8) {
    case 0:
    case 1:
        if (model.lcr & 0x80)
            model.divisor[port - 0x3f8] = v;
        else if (port == 0x3f8)
            transmit(v);
        break;
    case 2:
        model.fcr = v;
        break;
    case 3:
        model.lcr = v;
        break;
    case 4:
        model.mcr = v;
        break;
    case 7:
        model.scratch = v;
        break;
    }
}

#define in8  model_in
#define out8 model_out
#include "arch/uart.c"

static bool open_kind(struct uart *u, enum kind kind)
{
    memset(&model, 0, sizeof model);
    model.kind = kind;
    model.divisor[0] = 12;
    return uart_open(u, UART_COM1);
}

static void finds_and_sets_up_a_16550(void **state)
{
    (void)state;
    struct uart u;
    assert_true(open_kind(&u, WORKING));
    assert_int_equal(u.depth, 16);
    assert_int_equal(model.lcr, 3);
    assert_int_equal(model.divisor[0], 1);
    assert_int_equal(model.divisor[1], 0);
    assert_int_equal(model.mcr & 16, 0);
    assert_true(open_kind(&u, NO_FIFO));
    assert_int_equal(u.depth, 1);
}

static void finds_nothing_where_nothing_is(void **state)
{
    (void)state;
    struct uart u;
    assert_false(open_kind(&u, ABSENT));
    assert_false(open_kind(&u, ABSENT_ZERO));
    assert_false(open_kind(&u, NO_LOOPBACK));
    assert_false(open_kind(&u, ECHOING_BUS));
}

static void fills_the_fifo_only_when_it_is_empty(void **state)
{
    (void)state;
    struct uart u;
    open_kind(&u, WORKING);
    assert_int_equal(uart_put_fifo(&u, "0123456789abcdefgh", 18), 16);
    assert_int_equal(uart_put_fifo(&u, "gh", 2), 0);
    while (!uart_put_fifo(&u, "gh", 2))
        ;
    assert_memory_equal(model.sent, "0123456789abcdefgh", 18);
}

static void put_all(struct uart *u, const char *text, size_t n)
{
    for (size_t took; n; text += took, n -= took)
        if (!(took = uart_put_fifo(u, text, n)))
            uart_settle(u);
}

static void waits_for_all_bytes(void **state)
{
    (void)state;
    for (enum kind kind = WORKING; kind <= NO_FIFO; kind++) {
        struct uart u;
        char text[1000];
        memset(text, 'x', sizeof text);
        open_kind(&u, kind);
        put_all(&u, text, sizeof text);
        uart_settle(&u);
        assert_int_equal(model.length, sizeof text);
        assert_int_equal(model.in_fifo, 0);
        assert_false(u.dead);
    }
}

static void takes_all_when_it_stood_still_for_long(void **state)
{
    (void)state;
    struct uart u;
    assert_true(open_kind(&u, STUCK));
    assert_int_equal(uart_put_fifo(&u, "0123456789abcdef", 16), 16);
    unsigned looks = 0;
    while (uart_put_fifo(&u, "x", 1) == 0 && looks < 10000000)
        looks++;
    assert_in_range(looks, 1000000, 3000000);
    assert_true(u.dead);
}

static void a_slow_one_is_not_dead(void **state)
{
    (void)state;
    struct uart u;
    assert_true(open_kind(&u, WORKING));
    for (unsigned looks = 0; looks < 5000000; looks++)
        if (uart_put_fifo(&u, "x", 1))
            model.length = 0;
    assert_false(u.dead);
}

static void gives_up_on_one_that_stands_still(void **state)
{
    (void)state;
    struct uart u;
    assert_true(open_kind(&u, STUCK));
    put_all(&u, "0123456789abcdef0123456789abcdef", 32);
    assert_true(u.dead);
    assert_int_equal(uart_put_fifo(&u, "rest", 4), 4); // swallowed, so that the log goes on elsewhere
    put_all(&u, "rest", 4);
    uart_settle(&u);
    assert_int_equal(model.length, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_and_sets_up_a_16550),
        cmocka_unit_test(finds_nothing_where_nothing_is),
        cmocka_unit_test(fills_the_fifo_only_when_it_is_empty),
        cmocka_unit_test(waits_for_all_bytes),
        cmocka_unit_test(takes_all_when_it_stood_still_for_long),
        cmocka_unit_test(a_slow_one_is_not_dead),
        cmocka_unit_test(gives_up_on_one_that_stands_still),
    };
    return cmocka_run_group_tests_name("serial_port", tests, NULL, NULL);
}
