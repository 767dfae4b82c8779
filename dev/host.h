// What a device may ask of the hypervisor.
#pragma once
#include "dev/io.h"
#include "dev/line.h"

// Devices that have a next event to wait for.
enum device_timer { DEVICE_TIMER_PIT, DEVICE_TIMER_RTC, DEVICE_TIMER_UART, DEVICE_TIMERS };

// One table for all machines (tsc_hz is known only after the measurement at start), `owner` is the machine. No function
// is called before devices_start().
struct dev_host {
    tsc_t (*now)(void *owner);                                   // the host's TSC
    uint64_t tsc_hz;                                             // over 1193182
    uint64_t (*wall_us)(void *owner);                            // microseconds since 1970-01-01 00:00 UTC
    void (*console)(void *owner, const char *bytes, size_t len); // bytes that left through the UART
    bool (*console_ready)(void *owner);                          // false: hold THRE low (back-pressure)
    void (*end)(void *owner, uint32_t code);                     // debug-exit ports, dev/debug_exit.h
    void (*interrupt)(void *owner, bool asserted);               // the PIC's INTR changed
    void (*reset)(void *owner);                                  // reset requested by port 64h/92h/CF9h
    void (*room)(void *owner); // the serial receiver, which had refused a byte, has room
    // Have devices_expire() called at `deadline` in `now` ticks, or soon after; replaces the last one, ~0: never.
    void (*arm)(void *owner, enum device_timer which, tsc_t deadline);
};

// No device interrupts more often than this, whatever it is programmed to: a storm must leave its machine
// time.
enum { DEVICE_EVENTS_PER_SECOND = 20000 };
static inline uint64_t device_least_wait(const struct dev_host *host)
{
    return host->tsc_hz / DEVICE_EVENTS_PER_SECOND;
}
