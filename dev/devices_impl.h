// The members of struct devices, for whoever embeds or tests it.
#pragma once
#include "dev/debug_exit.h"
#include "dev/devices.h"
#include "dev/ioapic.h"
#include "dev/line.h"
#include "dev/pic.h"
#include "dev/pit.h"
#include "dev/reset.h"
#include "dev/rtc.h"
#include "dev/uart.h"

struct devices {
    struct io_map io;
    struct uart uart;
    struct pit pit;
    struct reset reset;
    struct debug_exit debug_exit;
    struct rtc rtc;
    struct pic pic;
    struct ioapic ioapic;
    struct router router;
};

_Static_assert(sizeof(struct devices) <= 1280, "a machine's devices stay small");
