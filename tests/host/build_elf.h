// Small ELF files for loader tests: two segments, the first with bytes "0123456789..." and the entry in it.
#pragma once
#include <stdint.h>
#include <string.h>

enum { ELF_BASE = 0x100000, ELF_CONTENT = 32, ELF_FILE_MAX = 64 + 2 * 56 + ELF_CONTENT };

struct elf_file {
    uint8_t bytes[ELF_FILE_MAX];
    size_t size;
};

static inline void elf_put16(struct elf_file *f, size_t at, uint16_t v)
{
    memcpy(f->bytes + at, &v, 2);
}
static inline void elf_put32(struct elf_file *f, size_t at, uint32_t v)
{
    memcpy(f->bytes + at, &v, 4);
}
static inline void elf_put64(struct elf_file *f, size_t at, uint64_t v)
{
    memcpy(f->bytes + at, &v, 8);
}

// Segment `i` of a 64-bit file.
static inline void elf_segment(struct elf_file *f, size_t i, uint64_t at, uint64_t offset,
                               uint64_t file_bytes, uint64_t memory_bytes)
{
    size_t h = 64 + i * 56;
    elf_put32(f, h, 1);
    elf_put64(f, h + 8, offset);
    elf_put64(f, h + 16, at);
    elf_put64(f, h + 24, at);
    elf_put64(f, h + 32, file_bytes);
    elf_put64(f, h + 40, memory_bytes);
}

static inline void elf_content(struct elf_file *f, size_t at)
{
    for (size_t i = 0; i < ELF_CONTENT; i++)
        f->bytes[at + i] = (uint8_t)('0' + i % 10);
    f->size = at + ELF_CONTENT;
}

static inline struct elf_file elf64(void)
{
    struct elf_file f = {
        {0x7f, 'E', 'L', 'F', 2, 1, 1},
        0
    };
    elf_put16(&f, 16, 2), elf_put16(&f, 18, 62);
    elf_put64(&f, 24, ELF_BASE + 16), elf_put64(&f, 32, 64);
    elf_put16(&f, 54, 56), elf_put16(&f, 56, 2);
    elf_segment(&f, 0, ELF_BASE, 64 + 2 * 56, ELF_CONTENT, 0x1000);
    elf_segment(&f, 1, ELF_BASE + 0x2000, 0, 0, 0x1000);
    elf_content(&f, 64 + 2 * 56);
    return f;
}

static inline struct elf_file elf32(void)
{
    struct elf_file f = {
        {0x7f, 'E', 'L', 'F', 1, 1, 1},
        0
    };
    elf_put16(&f, 16, 2), elf_put16(&f, 18, 3);
    elf_put32(&f, 24, ELF_BASE + 16), elf_put32(&f, 28, 52);
    elf_put16(&f, 42, 32), elf_put16(&f, 44, 1);
    elf_put32(&f, 52, 1), elf_put32(&f, 56, 84);
    elf_put32(&f, 60, ELF_BASE), elf_put32(&f, 64, ELF_BASE);
    elf_put32(&f, 68, ELF_CONTENT), elf_put32(&f, 72, 0x1000);
    elf_content(&f, 84);
    return f;
}
