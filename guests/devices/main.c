#include "guests/devices/devices.h"

int main(const struct start_info *start)
{
    tap_plan(pic_points() + clock_points() + timer_points());
    pic_test();
    clock_test(start->tsc_hz);
    timer_test(start->tsc_hz);
    return tap_end();
}
