// The real-time clock and CMOS memory at 70h/71h (MC146818A). The time is the host's wall clock plus what the
// guest set it to. Its line, IRQ 8, rises with the first of alarm, update and periodic interrupt that is
// enabled and falls when status C is read. CMOS tells the machine's memory as firmware would.
#pragma once
#include "dev/host.h"

enum { RTC_INDEX = 0x70, RTC_DATA = 0x71, RTC_CELLS = 128 };

struct rtc {
    struct device device; // first
    const struct dev_host *host;
    void *owner;
    struct line line;
    uint8_t flags;           // of status C, since it was read last
    uint64_t period_seen;    // periodic events up to the last look
    int64_t offset;          // seconds the guest's clock is ahead of the wall clock
    uint64_t update_seen;    // second in which status C was read last: its update flag is new in another
    uint8_t index;           // 0..127
    uint8_t cell[RTC_CELLS]; // the time registers hold the time only while SET freezes it
};

// Signals what there is to signal and arms for the next.
void rtc_expire(struct rtc *r);
// `ram`: bytes of the machine's memory.
void rtc_init(struct rtc *r, const struct dev_host *host, void *owner, uint64_t ram);
