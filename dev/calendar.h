// Seconds since 1970 and the calendar (proleptic Gregorian, UTC), both ways. Pure.
#pragma once
#include "arch/types.h"

struct calendar {
    int32_t year;                // all of it, such as 2026
    uint8_t month, day, weekday; // 1..12, 1..31, 1..7 from Sunday
    uint8_t hour, minute, second;
};

struct calendar calendar_from_seconds(int64_t seconds);
// Fields out of range carry over into the next larger one; the weekday is not looked at.
int64_t calendar_to_seconds(const struct calendar *c);
