// What devices may ask of the hypervisor, for all machines; the owner of a device is its struct vm.
#pragma once
#include "dev/host.h"

extern struct dev_host dev_host;

// After tsc_init(): reads the box's own clock.
void dev_host_init(void);
// Whether that could be read, so that wall_us() tells the date.
bool dev_host_has_date(void);
