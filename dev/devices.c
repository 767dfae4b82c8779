#include "dev/devices.h"
#include "dev/lapic.h"

void devices_init(struct devices *d, const struct dev_host *host, void *owner, uint64_t ram)
{
    io_map_init(&d->io);
    uart_init(&d->uart, host, owner);
    pit_init(&d->pit, host, owner);
    reset_init(&d->reset, host, owner);
    debug_exit_init(&d->debug_exit, host, owner);
    rtc_init(&d->rtc, host, owner, ram);
    pic_init(&d->pic, host->interrupt, owner);
    router_init(&d->router, &d->pic, &d->ioapic);
    line_connect(&d->pit.line, &d->router, PIT_IRQ);
    line_connect(&d->rtc.line, &d->router, RTC_IRQ);
    line_connect(&d->uart.line, &d->router, UART_IRQ);
    d->io.devices[IO_PIC] = &d->pic.device;
    d->io.devices[IO_UART] = &d->uart.device;
    d->io.devices[IO_PIT] = &d->pit.device;
    d->io.devices[IO_RESET] = &d->reset.device;
    d->io.devices[IO_DEBUG_EXIT] = &d->debug_exit.device;
    d->io.devices[IO_RTC] = &d->rtc.device;
}

void devices_connect(struct devices *d, struct lapic_bus *bus)
{
    ioapic_init(&d->ioapic, bus, (uint8_t)bus->count);
}

// The PIT interrupts once it is programmed: no firmware ran that would want its 18.2 ticks a second.
void devices_start(struct devices *d)
{
    rtc_expire(&d->rtc);
}

void devices_expire(struct devices *d, enum device_timer which)
{
    switch (which) {
    case DEVICE_TIMER_PIT:
        return pit_expire(&d->pit);
    case DEVICE_TIMER_RTC:
        return rtc_expire(&d->rtc);
    case DEVICE_TIMER_UART:
        return uart_expire(&d->uart);
    case DEVICE_TIMERS:
        return;
    }
}
