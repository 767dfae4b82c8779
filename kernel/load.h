// What the loaders share; kernel/loader.h is the interface. Each format is one file kernel/load_FORMAT.c with
// a recogniser and a loader, named in the table of kernel/loader.c.
#pragma once
#include "abi/micronova.h"
#include "kernel/elf.h"
#include "kernel/loader.h"

struct load {
    const struct machine *m;
    struct blob image, initrd;
    uint32_t vm_id;
    uint64_t tsc_hz;
    struct space *space;
    struct guest_start *start; // all zero before the loader fills it
    struct reason *why;
};

bool linux_is(struct blob image);
bool multiboot1_is(struct blob image);
enum error load_linux(struct load *l);
enum error load_multiboot1(struct load *l);
enum error load_elf(struct load *l);

// Low memory as the loaders lay it out. Page tables stand in the last six pages of the start area, for every
// format that starts in 64-bit mode.
enum {
    LOAD_PML4 = START_AREA + PAGE_SIZE,
    LOAD_LINUX_ZERO_PAGE = START_AREA_END,
    LOAD_LINUX_CMDLINE = LOAD_LINUX_ZERO_PAGE + PAGE_SIZE, // and the GDT behind it
    LOAD_PC_LOW_END = 0x9fc00, // the first kilobytes below a0000h are the BIOS's on a PC
    LOAD_PC_HIGH = 0x100000,   // a0000h-fffffh: screen and ROM on a PC
};

enum { LOAD_GDT_ENTRIES = 4, LOAD_SCREEN = 0xb8000, LOAD_SCREEN_COLUMNS = 80, LOAD_SCREEN_LINES = 25 };

// Copies into guest memory. E_BAD_ADDRESS, E_NO_MEMORY with the sentence set.
enum error load_write(struct load *l, uint64_t at, const void *bytes, size_t size);
// The guest page at `at`, zero so far, to be filled in place; NULL with the sentence set.
void *load_page(struct load *l, uint64_t at);
// Copies the segments. Guest memory is zero, so there is no bss to clear.
enum error load_segments(struct load *l, const struct elf *elf);
// Fills gdt[LOAD_GDT_ENTRIES], which stands at guest-physical `at`, for START_LONG or START_FLAT32.
void load_gdt(struct load *l, uint8_t *gdt, uint64_t at);
// 2-MiB pages at LOAD_PML4: as many GiB as mem= has, at least 1, at most 4. Sets start->cr3.
enum error load_identity_map(struct load *l);
// Puts the initrd as high as `limit` (exclusive) and mem= allow, page aligned, not below `lowest`. 0 when the
// machine has none.
enum error load_initrd(struct load *l, uint64_t lowest, uint64_t limit, uint64_t *at);

// The memory map of a PC with `mem` bytes, in E820 terms. Returns how many entries it has.
struct pc_range {
    uint64_t base, bytes;
    uint32_t type; // enum memory_type of the E820 numbers
};
enum { PC_RANGES_MAX = 4, PC_RAM = 1, PC_RESERVED = 2 };
unsigned load_pc_map(uint64_t mem, struct pc_range map[PC_RANGES_MAX]);
