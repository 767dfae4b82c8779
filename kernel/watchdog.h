// Processors watch each other: one that has not come by its scheduling loop for a while is named in the log, with
// the place where an NMI found it. Each watches the one behind it, in a ring.
#pragma once
#include "arch/pcpu.h"

// On each processor, once it has timeouts. With one processor there is nobody to watch.
void watchdog_start(void);
// This processor came by. It does so twice a second at least, for its own watching, whatever runs on it.
void watchdog_note(void);
