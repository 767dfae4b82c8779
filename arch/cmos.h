// The box's own clock, the CMOS real-time clock (read once at start-up).
#pragma once
#include "arch/types.h"

struct cmos_time {
    int32_t year; // all four digits
    uint8_t month, day, hour, minute, second;
};

// False, without waiting long: there is no clock, or what it says is no date.
bool cmos_read_time(struct cmos_time *t);
