#include "kernel/elf.h"
#include "arch/bytes.h"

enum { IDENT_BYTES = 16, CLASS = 4, CLASS_32 = 1, CLASS_64 = 2, DATA = 5, LITTLE_ENDIAN = 1 };
enum { TYPE_EXECUTABLE = 2, MACHINE_386 = 3, MACHINE_X86_64 = 62, SEGMENT_LOAD = 1 };

// Where a field stands in the headers of either class. The first three of the file header stand in one place.
struct layout {
    const char *name;
    uint16_t machine;
    uint8_t width; // of addresses, bytes
    uint8_t file_header, segment_header;
    uint8_t entry, phoff, phentsize, phnum;                // in the file header
    uint8_t p_offset, p_vaddr, p_paddr, p_filesz, p_memsz; // in a segment header
};

static const struct layout layouts[] = {
    [CLASS_32] = {"32-bit", MACHINE_386,    4, 52, 32, 24, 28, 42, 44, 4, 8,  12, 16, 20},
    [CLASS_64] = {"64-bit", MACHINE_X86_64, 8, 64, 56, 24, 32, 54, 56, 8, 16, 24, 32, 40},
};

bool elf_is(struct blob file)
{
    return file.size >= 4 && memcmp(file.bytes, "\177ELF", 4) == 0;
}

static uint64_t get_word(const struct layout *l, const uint8_t *p)
{
    return l->width == 8 ? get64(p) : get32(p);
}

// NULL: too short to have a class, or of one that does not exist.
static const struct layout *layout_find(struct blob file)
{
    if (file.size < IDENT_BYTES || file.bytes[CLASS] < CLASS_32 || file.bytes[CLASS] > CLASS_64)
        return NULL;
    return &layouts[file.bytes[CLASS]];
}

static enum error header_check(struct blob file, const struct layout *l, struct reason *why)
{
    enum { TYPE = 16, MACHINE = 18 };
    const uint8_t *h = file.bytes;

    if (file.size < l->file_header)
        return reason_set(why, E_MALFORMED, "ELF header is cut short");
    if (h[DATA] != LITTLE_ENDIAN)
        return reason_set(why, E_UNSUPPORTED, "ELF file is big-endian");
    if (get16(h + MACHINE) != l->machine)
        return reason_set(why, E_UNSUPPORTED, "%s ELF file for machine type %u instead of %u", l->name,
                          get16(h + MACHINE), l->machine);
    if (get16(h + TYPE) != TYPE_EXECUTABLE)
        return reason_set(why, E_UNSUPPORTED,
                          "ELF file of type %u is no executable (2): link it at fixed addresses",
                          get16(h + TYPE));
    return E_OK;
}

const struct elf_segment *elf_touching(const struct elf *elf, uint64_t base, uint64_t end)
{
    for (unsigned i = 0; i < elf->count; i++) {
        const struct elf_segment *s = &elf->segments[i];
        if (s->address < end && base < s->address + s->memory_bytes)
            return s;
    }
    return NULL;
}

static enum error segment_check(const struct elf *elf, const struct elf_segment *s, struct blob file,
                                uint64_t mem, unsigned i, struct reason *why)
{
    if (s->file_bytes > s->memory_bytes)
        return reason_set(why, E_MALFORMED, "segment %u has more bytes in the file than in memory", i);
    if (s->file_offset > file.size || s->file_bytes > file.size - s->file_offset)
        return reason_set(why, E_MALFORMED, "segment %u ends beyond the file: it is cut short", i);
    if (s->memory_bytes > UINT64_MAX - s->address)
        return reason_set(why, E_MALFORMED, "segment %u overflows the address space", i);
    if (s->address + s->memory_bytes > mem)
        return reason_set(why, E_TOO_BIG, "segment %u ends at 0x%lx, beyond mem= (0x%lx)", i,
                          s->address + s->memory_bytes, mem);
    if (elf_touching(elf, s->address, s->address + s->memory_bytes))
        return reason_set(why, E_MALFORMED, "segment %u overlaps another one", i);
    return E_OK;
}

static struct elf_segment segment_read(const struct layout *l, const uint8_t *p)
{
    return (struct elf_segment){.address = get_word(l, p + l->p_paddr),
                                .virtual_base = get_word(l, p + l->p_vaddr),
                                .memory_bytes = get_word(l, p + l->p_memsz),
                                .file_offset = get_word(l, p + l->p_offset),
                                .file_bytes = get_word(l, p + l->p_filesz)};
}

static enum error segment_add(struct elf *elf, struct elf_segment s, struct blob file, uint64_t mem,
                              unsigned i, struct reason *why)
{
    if (s.memory_bytes == 0 && s.file_bytes == 0)
        return E_OK;
    if (elf->count == ELF_SEGMENTS_MAX)
        return reason_set(why, E_TOO_BIG, "more than %d segments", ELF_SEGMENTS_MAX);
    enum error e = segment_check(elf, &s, file, mem, i, why);
    if (e != E_OK)
        return e;
    elf->segments[elf->count++] = s;
    elf->end = max_u64(elf->end, s.address + s.memory_bytes);
    return E_OK;
}

enum error elf_parse(struct blob file, uint64_t mem, struct elf *elf, struct reason *why)
{
    const struct layout *l = layout_find(file);
    *elf = (struct elf){.count = 0};

    if (!l)
        return reason_set(why, E_MALFORMED, "ELF header is cut short or of unknown class");
    enum error e = header_check(file, l, why);
    if (e != E_OK)
        return e;
    elf->is64 = l->width == 8;
    elf->entry = get_word(l, file.bytes + l->entry);
    uint64_t table = get_word(l, file.bytes + l->phoff);
    unsigned size = get16(file.bytes + l->phentsize), count = get16(file.bytes + l->phnum);
    if (size < l->segment_header)
        return reason_set(why, E_MALFORMED, "ELF segment headers of %u bytes are too small", size);
    if (table > file.size || (uint64_t)size * count > file.size - table)
        return reason_set(why, E_MALFORMED, "ELF segment headers end beyond the file: it is cut short");
    for (unsigned i = 0; i < count && e == E_OK; i++) {
        const uint8_t *p = file.bytes + table + (uint64_t)i * size;
        if (get32(p) == SEGMENT_LOAD)
            e = segment_add(elf, segment_read(l, p), file, mem, i, why);
    }
    if (e == E_OK && !elf->count)
        return reason_set(why, E_MALFORMED, "ELF file has no segment to load");
    return e;
}

bool elf_physical(const struct elf *elf, uint64_t address, uint64_t *physical)
{
    for (unsigned i = 0; i < elf->count; i++) {
        const struct elf_segment *s = &elf->segments[i];
        if (address >= s->virtual_base && address - s->virtual_base < s->memory_bytes) {
            *physical = s->address + (address - s->virtual_base);
            return true;
        }
    }
    return false;
}
