// The hypervisor's virtual memory map, checked here and built by arch/paging.c. W^X holds everywhere.
//
//   0x0000000000000000            never mapped (null pointers fault)
//   0xffff800000000000  64 TiB    direct map of RAM, RW NX; the frames of the hypervisor's image are left out
//   0xffffc00000000000   1 TiB    device registers and framebuffer, RW NX, uncached (device_map)
//   0xffffd00000000000            one slot a processor: stacks with a guard page under each (arch/pcpu.h)
//   0xffffffff80000000            the image: text R-X, rodata R--, data and bss RW-
#pragma once
#include "arch/types.h"

#define IMAGE_BASE  0xffffffff80000000ull
#define STACKS_BASE 0xffffd00000000000ull
#define DEVICE_BASE 0xffffc00000000000ull
#define DEVICE_SIZE 0x0000010000000000ull

#ifdef MICRONOVA_HOST
extern char *host_ram; // tests/host: a block that plays the box's RAM from hpa 0
#define DIRECT_BASE ((uint64_t)(uintptr_t)host_ram)
#else
#define DIRECT_BASE 0xffff800000000000ull
#endif

// RAM through the direct map. The frame must be RAM of the memory map; device memory has device_map().
static inline void *hpa_to_virt(hpa_t a)
{
    return (void *)(uintptr_t)(DIRECT_BASE + a.v);
}
static inline void *pfn_to_virt(pfn_t f)
{
    return hpa_to_virt(pfn_to_hpa(f));
}
// Only for addresses inside the direct map.
static inline hpa_t virt_to_hpa(const void *p)
{
    return hpa((uint64_t)(uintptr_t)p - DIRECT_BASE);
}
