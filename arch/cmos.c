#include "arch/cmos.h"
#include "arch/cpu.h"

enum { CMOS_INDEX = 0x70, CMOS_DATA = 0x71, NMI_OFF = 0x80 };
enum {
    REG_SECOND = 0,
    REG_MINUTE = 2,
    REG_HOUR = 4,
    REG_DAY = 7,
    REG_MONTH = 8,
    REG_YEAR = 9,
    REG_A = 10,
    REG_B = 11
};
enum { A_UPDATING = 0x80, B_BINARY = 4, B_24_HOURS = 2, HOUR_PM = 0x80 };
enum { UPDATE_POLLS = 20000 }; // an update takes up to 2.2 ms; a read of the port about 1 us

static uint8_t read(uint8_t reg)
{
    out8(CMOS_INDEX, reg | NMI_OFF);
    return in8(CMOS_DATA);
}

static bool wait_for_update(void)
{
    for (unsigned i = 0; i < UPDATE_POLLS; i++)
        if (!(read(REG_A) & A_UPDATING))
            return true;
    return false;
}

static uint8_t number(uint8_t raw, uint8_t b)
{
    return b & B_BINARY ? raw : (uint8_t)((raw >> 4) * 10 + (raw & 15));
}

static uint8_t hour(uint8_t raw, uint8_t b)
{
    uint8_t h = number(raw & ~HOUR_PM, b);
    if (b & B_24_HOURS)
        return h;
    return (uint8_t)(h % 12 + (raw & HOUR_PM ? 12 : 0));
}

bool cmos_read_time(struct cmos_time *t)
{
    if (!wait_for_update())
        return false;
    uint8_t b = read(REG_B);
    *t = (struct cmos_time){
        .year = 2000 + number(read(REG_YEAR), b),
        .month = number(read(REG_MONTH), b),
        .day = number(read(REG_DAY), b),
        .hour = hour(read(REG_HOUR), b),
        .minute = number(read(REG_MINUTE), b),
        .second = number(read(REG_SECOND), b),
    };
    return t->month >= 1 && t->month <= 12 && t->day >= 1 && t->day <= 31 && t->hour < 24 && t->minute < 60 &&
           t->second < 60;
}
