#include "dev/calendar.h"

// Years begin in March here, so that the leap day is the last one, and repeat every 400.
enum {
    MINUTE = 60,
    HOUR = 60 * MINUTE,
    DAY = 24 * HOUR,
    ERA_YEARS = 400,
    ERA_DAYS = 400 * 365 + 97,
    MARCH_0000 = 719468, // days from 0000-03-01 to 1970-01-01
    THURSDAY = 4,        // 1970-01-01, counted from Sunday 0
};

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static void date_from_days(struct calendar *c, int64_t days)
{
    int64_t era = floor_div(days + MARCH_0000, ERA_DAYS);
    int32_t day = (int32_t)(days + MARCH_0000 - era * ERA_DAYS);
    int32_t year = (day - day / 1460 + day / 36524 - day / (ERA_DAYS - 1)) / 365;
    day -= year * 365 + year / 4 - year / 100;
    int32_t month = (5 * day + 2) / 153; // 0 is March; five months have 153 days
    c->day = (uint8_t)(day - (153 * month + 2) / 5 + 1);
    c->month = (uint8_t)(month < 10 ? month + 3 : month - 9);
    c->year = (int32_t)(era * ERA_YEARS) + year + (c->month <= 2);
}

struct calendar calendar_from_seconds(int64_t seconds)
{
    int64_t days = floor_div(seconds, DAY);
    int32_t rest = (int32_t)(seconds - days * DAY);
    struct calendar c = {.hour = (uint8_t)(rest / HOUR),
                         .minute = (uint8_t)(rest / MINUTE % 60),
                         .second = (uint8_t)(rest % 60)};
    c.weekday = (uint8_t)(days + THURSDAY - floor_div(days + THURSDAY, 7) * 7 + 1);
    date_from_days(&c, days);
    return c;
}

int64_t calendar_to_seconds(const struct calendar *c)
{
    int64_t months = (int64_t)c->year * 12 + c->month - 3; // since March of year 0
    int64_t year = floor_div(months, 12), month = months - year * 12;
    int64_t days = year * 365 + floor_div(year, 4) - floor_div(year, 100) + floor_div(year, ERA_YEARS) +
                   (153 * month + 2) / 5 + c->day - 1 - MARCH_0000;
    return days * DAY + c->hour * HOUR + c->minute * MINUTE + c->second;
}
