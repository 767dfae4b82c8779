#include "tests/host/ram.h"
#include <stdlib.h>
#include <string.h>
#include "arch/memory.h"
#include "mm/frame_cache.h"
#include "mm/mm.h"
#include "mm/quarantine.h"

struct memmap host_memmap;

static void have_ram(uint64_t pages)
{
    if (!host_ram)
        host_ram = aligned_alloc(PAGE_SIZE, pages * PAGE_SIZE);
}

enum error host_mm_start_unfilled(uint64_t pages)
{
    have_ram(pages);
    memset(seats, 0, sizeof(seats));
    memmap_init(&host_memmap);
    memmap_add(&host_memmap, 0, pages * PAGE_SIZE, 1);
    memmap_seal(&host_memmap);
    enum error e = mm_init(&host_memmap);
    host_frame_cache = e == E_OK ? mm_cpu_init(0) : NULL;
    return e;
}

enum error host_mm_start(uint64_t pages)
{
    have_ram(pages);
    memset(host_ram, 0xa5, pages * PAGE_SIZE);
    return host_mm_start_unfilled(pages);
}
