// A machine for device tests: struct dev_host with a clock that the test turns and a record of what the
// devices asked for. `owner` of the devices under test is a struct fake_machine.
#pragma once
#include "dev/devices.h"

struct fake_machine {
    uint64_t tsc, wall_us, us_a_look; // by the latter the wall clock goes on with each look at it
    bool busy;                        // the console has no room
    char console[64];
    size_t console_len; // all bytes ever sent; the first ones are in `console`
    unsigned ends, resets, rooms;
    uint32_t end_code;
    uint64_t armed[DEVICE_TIMERS]; // zero: never asked for
};

extern struct dev_host fake_host; // tsc_hz is 20 MHz unless the test changes it
