// ELF executables, 64- and 32-bit, checked as hostile input: what a loader gets from here can be copied
// without further doubt. Pure. System V ABI, "Object Files".
#pragma once
#include "kernel/loader.h"

enum { ELF_SEGMENTS_MAX = 32 };

struct elf_segment {
    uint64_t address;      // physical: where it goes in guest memory
    uint64_t virtual_base; // what the file's own addresses call that place
    uint64_t memory_bytes; // never 0; what the file does not fill is zero
    uint64_t file_offset, file_bytes;
};

struct elf {
    bool is64;
    uint64_t entry; // as the file states it, virtual
    unsigned count;
    struct elf_segment segments[ELF_SEGMENTS_MAX]; // PT_LOAD, no two overlap
    uint64_t end;                                  // behind the highest byte
};

bool elf_is(struct blob file);

// Reads headers and segments. All segments lie inside the file and inside [0, mem).
// E_MALFORMED, E_TOO_BIG (beyond mem), E_UNSUPPORTED with the sentence in `why`.
enum error elf_parse(struct blob file, uint64_t mem, struct elf *elf, struct reason *why);

// The segment that touches [base, end), or NULL.
const struct elf_segment *elf_touching(const struct elf *elf, uint64_t base, uint64_t end);

// The physical address of a virtual one. False when no segment holds it.
bool elf_physical(const struct elf *elf, uint64_t address, uint64_t *physical);
