#include "dev/uart.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/host/device_host.h"

enum { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR, THR = RBR, FCR = IIR };
enum { LOOP = 0x10, DLAB = 0x80, DATA = 1, OVERRUN = 2, EMPTY = 0x60 };

static struct fake_machine machine;
static struct uart uart;

static int start(void **state)
{
    (void)state;
    machine = (struct fake_machine){0};
    uart_init(&uart, &fake_host, &machine);
    return 0;
}

static uint8_t in(unsigned reg)
{
    return (uint8_t)uart.device.ops->in(&uart.device, (uint16_t)(UART_BASE + reg));
}

static void out(unsigned reg, uint8_t v)
{
    uart.device.ops->out(&uart.device, (uint16_t)(UART_BASE + reg), v);
}

static void sent_bytes_reach_the_console(void **state)
{
    (void)state;
    out(THR, 'h');
    out(THR, 'i');
    assert_int_equal(machine.console_len, 2);
    assert_memory_equal(machine.console, "hi", 2);
}

static void a_busy_console_holds_the_transmitter(void **state)
{
    (void)state;
    assert_int_equal(in(LSR), EMPTY);
    machine.busy = true;
    assert_int_equal(in(LSR), 0);
    machine.busy = false;
    assert_int_equal(in(LSR), EMPTY);
}

// The steps by which Linux tells a 16550A from its relatives.
static void autoconfiguration_finds_a_16550a(void **state)
{
    (void)state;
    out(IER, 0);
    assert_int_equal(in(IER), 0);
    out(IER, 0xff);
    assert_int_equal(in(IER), 0x0f);
    out(IER, 0);
    out(MCR, LOOP | 0x0a);
    assert_int_equal(in(MSR)&0xf0, 0x90);
    out(MCR, 0);
    out(LCR, 0xbf);
    out(FCR, 0);
    out(LCR, 0);
    out(FCR, 1);
    assert_int_equal(in(IIR) >> 6, 3);
    out(LCR, 0xbf);
    assert_int_not_equal(in(FCR), 0); // 0 would be an extended-feature register
    out(LCR, DLAB);
    out(FCR, 0x21);
    assert_int_equal(in(IIR) >> 5, 6); // 7 would be a 16750
    out(LCR, 0);
    out(IER, 0x40);
    assert_int_equal(in(IER), 0);
}

static void divisor_hides_behind_dlab(void **state)
{
    (void)state;
    out(LCR, DLAB | 3);
    out(RBR, 0x34);
    out(IER, 0x12);
    assert_int_equal(in(RBR), 0x34);
    assert_int_equal(in(IER), 0x12);
    out(LCR, 3);
    assert_int_equal(in(LCR), 3);
    assert_int_equal(in(IER), 0);
    assert_int_equal(machine.console_len, 0);
}

static void scratch_and_modem_registers_keep_their_bits(void **state)
{
    (void)state;
    out(SCR, 0xa5);
    assert_int_equal(in(SCR), 0xa5);
    out(MCR, 0xff);
    assert_int_equal(in(MCR), 0x1f);
    out(LSR, 0xff);
    out(MSR, 0xff);
    assert_int_equal(in(LSR), EMPTY);
}

static void loopback_returns_what_was_sent(void **state)
{
    (void)state;
    out(FCR, 1);
    out(MCR, LOOP);
    for (unsigned i = 0; i < UART_FIFO; i++)
        out(THR, (uint8_t)('a' + i));
    assert_int_equal(in(LSR), EMPTY | DATA);
    out(THR, '!');
    assert_int_equal(in(LSR), EMPTY | DATA | OVERRUN);
    assert_int_equal(in(LSR), EMPTY | DATA);
    for (unsigned i = 0; i < UART_FIFO; i++)
        assert_int_equal(in(RBR), 'a' + i);
    assert_int_equal(in(LSR), EMPTY);
    assert_int_equal(in(RBR), 0);
    assert_int_equal(machine.console_len, 0);
}

static void without_fifo_the_newer_byte_wins(void **state)
{
    (void)state;
    out(MCR, LOOP);
    out(THR, 'a');
    out(THR, 'b');
    assert_int_equal(in(LSR), EMPTY | DATA | OVERRUN);
    assert_int_equal(in(RBR), 'b');
    assert_int_equal(in(LSR), EMPTY);
}

static void clearing_or_switching_the_fifo_empties_it(void **state)
{
    (void)state;
    static const uint8_t clears[] = {3, 0};
    for (unsigned i = 0; i < array_size(clears); i++) {
        out(FCR, 1);
        out(MCR, LOOP);
        out(THR, 'x');
        out(FCR, clears[i]);
        assert_int_equal(in(LSR), EMPTY);
    }
}

static void iir_reports_by_priority_and_is_acknowledged(void **state)
{
    (void)state;
    assert_int_equal(in(IIR), 1);
    out(IER, 2);
    assert_int_equal(in(IIR), 2); // enabling tells that THR is empty
    assert_int_equal(in(IIR), 1);
    out(THR, 'x');
    assert_int_equal(in(IIR), 2);
    assert_int_equal(in(IIR), 1);
    out(MCR, LOOP);
    out(IER, 7);
    out(THR, 'y');
    assert_int_equal(in(IIR), 4);
    out(THR, 'z');
    assert_int_equal(in(IIR), 6);
    in(LSR);
    assert_int_equal(in(IIR), 4);
    in(RBR);
    assert_int_equal(in(IIR), 2);
    assert_int_equal(in(IIR), 1);
}

static void modem_deltas_are_read_once(void **state)
{
    (void)state;
    assert_int_equal(in(MSR), 0xb0);
    out(MCR, LOOP | 4); // the three lines fall, RI rises
    assert_int_equal(in(MSR), 0x4b);
    assert_int_equal(in(MSR), 0x40);
    out(MCR, LOOP); // trailing edge of RI
    out(IER, 8);
    assert_int_equal(in(IIR), 0);
    assert_int_equal(in(MSR), 0x04);
    assert_int_equal(in(IIR), 1);
}

static void wide_accesses_are_bytes(void **state)
{
    (void)state;
    device_out(&uart.device, UART_BASE + LCR, 2, 0x0b03); // LCR, MCR
    assert_int_equal(in(LCR), 3);
    assert_int_equal(in(MCR), 0x0b);
    assert_int_equal(device_in(&uart.device, UART_BASE + LCR, 2), 0x0b03);
    out(SCR, 0x77);
    assert_int_equal(device_in(&uart.device, UART_BASE + SCR, 4), 0xffffff77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(sent_bytes_reach_the_console, start),
        cmocka_unit_test_setup(a_busy_console_holds_the_transmitter, start),
        cmocka_unit_test_setup(autoconfiguration_finds_a_16550a, start),
        cmocka_unit_test_setup(divisor_hides_behind_dlab, start),
        cmocka_unit_test_setup(scratch_and_modem_registers_keep_their_bits, start),
        cmocka_unit_test_setup(loopback_returns_what_was_sent, start),
        cmocka_unit_test_setup(without_fifo_the_newer_byte_wins, start),
        cmocka_unit_test_setup(clearing_or_switching_the_fifo_empties_it, start),
        cmocka_unit_test_setup(iir_reports_by_priority_and_is_acknowledged, start),
        cmocka_unit_test_setup(modem_deltas_are_read_once, start),
        cmocka_unit_test_setup(wide_accesses_are_bytes, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
