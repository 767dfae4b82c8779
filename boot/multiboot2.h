// What the boot loader hands over: the Multiboot2 information structure, read once at start-up into a
// struct boot_info. The structure is hostile: no tag is trusted beyond its size, no size beyond the total.
// Pure. Strings point into the structure, which must stay readable as long as they are used.
#pragma once
#include "arch/reason.h"
#include "arch/types.h"

enum { BOOT_MODULES_MAX = 256, BOOT_RANGES_MAX = 1024, BOOT_TAGS_ALIGN = 8 };
enum { MULTIBOOT2_MAGIC = 0x36d76289 }; // EAX at entry

// Numbers are those of the Multiboot2 memory map (and of E820).
enum memory_type { MEMORY_RAM = 1, MEMORY_RESERVED = 2, MEMORY_ACPI = 3, MEMORY_NVS = 4, MEMORY_BAD = 5 };

struct memory_range {
    hpa_t base;
    uint64_t bytes; // never 0, never past 2^64
    enum memory_type type;
};

struct boot_module {
    hpa_t base;
    uint64_t bytes;   // may be 0: an empty file
    const char *line; // as GRUB quotes it; never NULL
};

enum framebuffer_type { FRAMEBUFFER_NONE, FRAMEBUFFER_INDEXED, FRAMEBUFFER_RGB, FRAMEBUFFER_TEXT };

struct framebuffer {
    enum framebuffer_type type;
    hpa_t base;
    uint32_t pitch, width, height; // bytes a line; pixels, or characters when text
    uint8_t bits;                  // a pixel
    uint8_t red_at, red_bits, green_at, green_bits, blue_at, blue_bits; // RGB only
};

struct boot_info {
    uint32_t total_bytes;    // of the structure: reserve that much
    const char *cmdline;     // the hypervisor's own, "" if none
    const char *loader_name; // "" if none
    struct framebuffer framebuffer;
    const void *rsdp; // copy inside the structure, the newest one; NULL if none
    uint32_t rsdp_bytes;
    uint32_t range_count;
    uint32_t module_count, modules_dropped;      // dropped: more than fit, or malformed
    uint32_t bad_tags;                           // tags skipped because their size or content is wrong
    struct memory_range ranges[BOOT_RANGES_MAX]; // in the loader's order; may overlap
    struct boot_module modules[BOOT_MODULES_MAX];
};

// Reads `info`, of which the first `readable` bytes may be touched. E_MALFORMED, with the sentence in `why`,
// when the structure as a whole cannot be used (alignment, total size, no memory map or one of too many ranges). A tag
// that is wrong by itself is skipped, counted in `bad_tags` and named by `complain` (which may be NULL). A missing end
// tag is such a complaint.
enum error multiboot2_parse(const void *info, size_t readable, struct boot_info *out,
                            void (*complain)(const char *sentence), struct reason *why);
