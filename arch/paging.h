// The hypervisor's page tables, as arch/memory.h draws them. Built once on the boot processor, then loaded
// by every processor; later changes only add mappings (device_map), so that nobody needs a shoot-down.
// arch/paging.c is pure (tables are reached through hpa_to_virt); arch/host_paging.c knows image and
// processor. Locking: paging_map and device_map are for the boot processor while it starts the box.
#pragma once
#include "arch/memory.h"
#include "arch/types.h"

enum caching { CACHE_WRITE_BACK, CACHE_WRITE_COMBINING, CACHE_NONE };

enum page_rights { PAGE_READ = 0, PAGE_WRITE = 1, PAGE_EXEC = 2 };

// IA32_PAT as every processor of the hypervisor has it (host field of the VMCS): the reset value with entry
// 4 as write combining.
static const uint64_t PAGING_PAT = 0x0007040100070406;

struct paging {
    hpa_t root;           // PML4
    pfn_t (*frame)(void); // gives one frame of RAM inside the direct map, not zeroed; PFN_NONE when out
    bool pages_1g, nx;
};

extern struct paging host_paging;

// An empty tree. False when out of frames.
bool paging_create(struct paging *p, pfn_t (*frame)(void), bool pages_1g, bool nx);
// Maps [va, va+bytes) to [pa, pa+bytes), page aligned all three, with the largest pages that alignment
// allows. False when out of frames. What was mapped there before must have been nothing.
bool paging_map(struct paging *p, uint64_t va, hpa_t pa, uint64_t bytes, enum page_rights rights,
                enum caching caching);

// RAM into the direct map, the image's frames left out; unaligned ends are cut to whole pages.
bool paging_map_ram(struct paging *p, hpa_t base, uint64_t bytes);
// The image's sections with their rights.
bool paging_map_image(struct paging *p);
// The stacks of a processor's slot (arch/pcpu.h), from fresh frames.
bool paging_map_stacks(struct paging *p, uint32_t slot);

// CR3 and what guards it on this processor: EFER.NXE, CR0.WP, SMEP, SMAP, PAT.
void paging_load(const struct paging *p);

// Device registers, firmware tables and framebuffers, anywhere in physical memory; any alignment. NULL when
// out of frames or address space. Never given back.
void *device_map(hpa_t at, uint64_t bytes, enum caching caching);

struct paging_check {
    const char *flaw;   // in words; NULL: sound
    uint64_t va, entry; // where, when not sound
    uint64_t leaves;    // entries looked at
};
// Walks the tree under `root`: no page both writable and executable, no alias outside the image that may
// write the image's frames, nothing mapped in the lower half, nothing executable but in the image. Pure.
struct paging_check paging_check_wx(hpa_t root, hpa_t image_start, hpa_t image_end);

// First and last byte + 1 of the image in physical memory, its boot code included.
hpa_t image_start_hpa(void);
hpa_t image_end_hpa(void);
static inline hpa_t image_to_hpa(const void *p)
{
    return hpa((uint64_t)(uintptr_t)p - IMAGE_BASE);
}
