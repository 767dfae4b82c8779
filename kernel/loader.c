#include "kernel/load.h"
#include "arch/bytes.h"

static const struct format {
    bool (*is)(struct blob image);
    enum error (*load)(struct load *l);
} formats[] = {
    {linux_is,      load_linux     },
    {multiboot1_is, load_multiboot1},
    {elf_is,        load_elf       },
};

enum error loader_load(const struct machine *m, struct blob image, struct blob initrd, uint32_t vm_id,
                       uint64_t tsc_hz, struct space *space, struct guest_start *start, struct reason *why)
{
    struct load l = {m, image, initrd, vm_id, tsc_hz, space, start, why};

    memset(start, 0, sizeof(*start));
    if (image.size == 0)
        return reason_set(why, E_MALFORMED, "the file is empty");
    for (size_t i = 0; i < array_size(formats); i++)
        if (formats[i].is(image))
            return formats[i].load(&l);
    return reason_set(why, E_UNSUPPORTED,
                      "unknown format: neither an ELF file nor a Linux (HdrS) nor a Multiboot image");
}

enum error load_write(struct load *l, uint64_t at, const void *bytes, size_t size)
{
    enum error e = guest_write(l->space, gpa(at), bytes, size);
    if (e == E_OK)
        return E_OK;
    return reason_set(l->why, e, "%zu bytes cannot be written at 0x%lx: %s", size, at, error_text(e));
}

void *load_page(struct load *l, uint64_t at)
{
    void *page = at + PAGE_SIZE <= l->m->mem ? guest_map(l->space, gpa(at), PAGE_SIZE) : NULL;
    if (!page)
        reason_set(l->why, E_NO_MEMORY,
                   "start information needs the page at 0x%lx, which mem= or the box cannot give", at);
    return page;
}

enum error load_segments(struct load *l, const struct elf *elf)
{
    enum error e = E_OK;
    for (unsigned i = 0; i < elf->count && e == E_OK; i++) {
        const struct elf_segment *s = &elf->segments[i];
        if (s->file_bytes)
            e = load_write(l, s->address, l->image.bytes + s->file_offset, s->file_bytes);
    }
    return e;
}

// SDM vol. 3, "Segment Descriptors": flat, accessed, ring 0; code for 64-bit or 32-bit mode.
void load_gdt(struct load *l, uint8_t *gdt, uint64_t at)
{
    static const uint64_t code64 = 0x00af9b000000ffff, code32 = 0x00cf9b000000ffff, data = 0x00cf93000000ffff;
    put64(gdt + 16, l->start->mode == START_LONG ? code64 : code32);
    put64(gdt + 24, data);
    l->start->gdt = gpa(at);
    l->start->gdt_limit = LOAD_GDT_ENTRIES * 8 - 1;
}

// SDM vol. 3, "4-Level Paging".
enum error load_identity_map(struct load *l)
{
    enum { PRESENT = 1, WRITE = 2, LARGE = 0x80, ENTRIES = 512 };
    const uint64_t gib = 1ull << 30, page = 2ull << 20;
    unsigned directories = (unsigned)min_u64(4, align_up(l->m->mem, gib) / gib);
    uint64_t *pml4 = load_page(l, LOAD_PML4), *pdpt = load_page(l, LOAD_PML4 + PAGE_SIZE);

    if (!pml4 || !pdpt)
        return E_NO_MEMORY;
    pml4[0] = (LOAD_PML4 + PAGE_SIZE) | WRITE | PRESENT;
    for (unsigned d = 0; d < directories; d++) {
        uint64_t at = LOAD_PML4 + (2 + d) * PAGE_SIZE, leaf = d * gib | LARGE | WRITE | PRESENT;
        uint64_t *directory = load_page(l, at);
        if (!directory)
            return E_NO_MEMORY;
        pdpt[d] = at | WRITE | PRESENT;
        for (unsigned i = 0; i < ENTRIES; i++, leaf += page)
            directory[i] = leaf;
    }
    l->start->cr3 = LOAD_PML4;
    return E_OK;
}

enum error load_initrd(struct load *l, uint64_t lowest, uint64_t limit, uint64_t *at)
{
    uint64_t top = align_down(min_u64(l->m->mem, limit), PAGE_SIZE), size = l->initrd.size;
    *at = 0;
    if (!size)
        return E_OK;
    if (size > top || align_down(top - size, PAGE_SIZE) < lowest)
        return reason_set(l->why, E_TOO_BIG, "mem= leaves no room for the initrd of %lu bytes", size);
    *at = align_down(top - size, PAGE_SIZE);
    return load_write(l, *at, l->initrd.bytes, size);
}

unsigned load_pc_map(uint64_t mem, struct pc_range map[PC_RANGES_MAX])
{
    static const struct pc_range low[] = {
        {0,               LOAD_PC_LOW_END,                PC_RAM     },
        {LOAD_PC_LOW_END, LOAD_PC_HIGH - LOAD_PC_LOW_END, PC_RESERVED},
    };
    unsigned count = 0;
    for (size_t i = 0; i < array_size(low) && low[i].base < mem; i++) {
        map[count] = low[i];
        map[count].bytes = min_u64(low[i].bytes, mem - low[i].base);
        count++;
    }
    if (mem > LOAD_PC_HIGH)
        map[count++] = (struct pc_range){LOAD_PC_HIGH, mem - LOAD_PC_HIGH, PC_RAM};
    return count;
}
