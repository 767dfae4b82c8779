// The box's physical memory map: a sorted table of ranges that never overlap, built from what firmware and
// boot loader say, one entry at a time and in any order. Firmware is not trusted: entries may overlap, wrap
// around, be empty or unaligned; where two disagree the more careful type wins (the later in enum mem_type),
// so the order of entries never matters. What no entry names is not memory.
// Before the buddy lives, memmap_take() hands out frames from here.
// No locks: the boot processor builds the map alone and mm_init() turns what is left into the buddy's.
#pragma once
#include "abi/error.h"
#include "arch/types.h"

enum mem_type {
    MEM_NONE,
    MEM_RAM,
    MEM_ACPI,
    MEM_NVS,
    MEM_RESERVED,
    MEM_BAD,
    MEM_BOOT, // information of the boot loader
    MEM_MODULE,
    MEM_IMAGE, // the hypervisor
    MEM_EARLY, // its tables
    MEM_LOW,   // below 1 MiB
    MEM_TRAMPOLINE,
    MEM_TYPE_COUNT
};

// Ranges the table holds. Firmware alone may fill 200 of them, so that modules find room whatever it says: what is
// carved out of RAM, the image, the loader's information and 256 modules, makes two more each.
enum {
    MEMMAP_FIRMWARE = 200,
    MEMMAP_CARVED = 256 + 2,
    MEMMAP_SPARE = 16, // for memmap_seal() and memmap_take()
    MEMMAP_RANGES = MEMMAP_FIRMWARE + 2 * MEMMAP_CARVED + MEMMAP_SPARE
};

struct mem_range { // [first, end) in frames, never empty
    uint64_t first, end;
    enum mem_type type;
};

struct memmap {
    uint32_t count, limit; // ranges in use; how many there may be in this phase
    bool full;             // an entry found no place: from then on RAM is only ever lost, never gained
    pfn_t trampoline;
    struct mem_range range[MEMMAP_RANGES];
};

// An empty map.
void memmap_init(struct memmap *m);

// One entry of the Multiboot2 memory map: `type` as there (1 RAM, 3 ACPI, 4 NVS, 5 defective, anything else
// is reserved), base and length in bytes, hostile. RAM shrinks to whole frames, all else grows to them.
// E_INVALID: empty or nothing left of it (harmless). E_TOO_BIG: the table is full; the map stays safe.
enum error memmap_add(struct memmap *m, uint64_t base, uint64_t length, uint32_t type);

// Takes [base, base+length) bytes out of RAM for something that lies there: MEM_IMAGE, MEM_MODULE, MEM_BOOT.
enum error memmap_carve(struct memmap *m, hpa_t base, uint64_t length, enum mem_type type);

// After the last add and carve: keeps one frame below 1 MiB for the AP trampoline (m->trampoline, PFN_NONE
// if firmware left none) and takes the rest of the first MiB, frame 0 with it, out of RAM.
void memmap_seal(struct memmap *m);

// `pages` contiguous frames of RAM for good (MEM_EARLY), aligned to `align` pages (a power of two), contents
// undefined; below 4 GiB, which the first page tables reach, as long as there is room, else above. After
// memmap_seal, before mm_init. PFN_NONE when nothing fits.
pfn_t memmap_take(struct memmap *m, uint64_t pages, uint64_t align);

enum mem_type memmap_type(const struct memmap *m, pfn_t frame);

// How many bytes of [at, at + bytes), cut at 2^64, lie in ranges of `types`: bits 1 << enum mem_type.
uint64_t memmap_bytes(const struct memmap *m, hpa_t at, uint64_t bytes, uint32_t types);
