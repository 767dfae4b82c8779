// The hypervisor's memory on the host: one block of RAM, full of rubbish, with everything of mm/ at its start.
#pragma once
#include "abi/error.h"
#include "mm/memmap.h"

extern struct memmap host_memmap;

// RAM of that many pages, reused from test to test (free host_ram at the end); the thread is processor 0.
enum error host_mm_start(uint64_t pages);
// The same without rubbish in it, for more RAM than a test touches.
enum error host_mm_start_unfilled(uint64_t pages);
