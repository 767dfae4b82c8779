// Guests of our own ABI: abi/micronova.h, "What our own ELF guests find at entry".
#include "kernel/load.h"
#include "arch/string.h"

// The first page of the start area; the page tables follow it.
struct start_page {
    struct start_info info;
    char cmdline[MACHINE_TEXT_MAX + 1];
    _Alignas(8) uint8_t gdt[LOAD_GDT_ENTRIES * 8];
};
_Static_assert(sizeof(struct start_page) <= PAGE_SIZE, "start information fits its page");
_Static_assert(LOAD_PML4 + 6 * PAGE_SIZE == START_AREA_END, "the tables for 4 GiB fill the start area");
_Static_assert(sizeof(((struct start_info *)0)->name) == MACHINE_NAME_MAX + 1, "names fit");

static enum error image_check(struct load *l, const struct elf *elf)
{
    uint64_t entry;
    if (l->m->mem < START_AREA_END)
        return reason_set(l->why, E_TOO_BIG, "mem= is too small: start information alone needs %dK",
                          START_AREA_END >> 10);
    if (elf_touching(elf, START_AREA, START_AREA_END))
        return reason_set(l->why, E_INVALID, "a segment touches 0x%x-0x%x, which is for start information",
                          START_AREA, START_AREA_END - 1);
    for (unsigned i = 0; i < elf->count; i++)
        if (elf->segments[i].address != elf->segments[i].virtual_base)
            return reason_set(l->why, E_UNSUPPORTED,
                              "virtual and physical addresses differ: link the guest to run "
                              "where it is loaded");
    if (!elf_physical(elf, elf->entry, &entry))
        return reason_set(l->why, E_MALFORMED, "entry 0x%lx is outside its segments", elf->entry);
    return E_OK;
}

static enum error write_start_page(struct load *l, uint64_t initrd)
{
    struct start_page *page = load_page(l, START_AREA);
    if (!page)
        return E_NO_MEMORY;
    page->info = (struct start_info){.magic = START_MAGIC,
                                     .abi_version = ABI_VERSION,
                                     .size = sizeof(page->info),
                                     .vm_id = l->vm_id,
                                     .mem_bytes = l->m->mem,
                                     .cmdline = START_AREA + offsetof(struct start_page, cmdline),
                                     .initrd = initrd,
                                     .initrd_bytes = initrd ? l->initrd.size : 0,
                                     .tsc_hz = l->tsc_hz};
    memcpy(page->info.name, l->m->name, sizeof(page->info.name));
    memcpy(page->cmdline, l->m->cmdline, strlen(l->m->cmdline) + 1);
    load_gdt(l, page->gdt, START_AREA + offsetof(struct start_page, gdt));
    return E_OK;
}

enum error load_elf(struct load *l)
{
    struct elf elf;
    uint64_t initrd;

    enum error e = elf_parse(l->image, l->m->mem, &elf, l->why);
    if (e == E_OK)
        e = image_check(l, &elf);
    if (e == E_OK)
        e = load_segments(l, &elf);
    if (e == E_OK)
        e = load_initrd(l, max_u64(elf.end, START_AREA_END), 1ull << 32, &initrd);
    if (e != E_OK)
        return e;
    l->start->mode = elf.is64 ? START_LONG : START_FLAT32;
    l->start->rip = elf.entry;
    l->start->gpr[RAX] = START_MAGIC;
    l->start->gpr[RDI] = START_AREA;
    e = write_start_page(l, initrd);
    return e == E_OK && elf.is64 ? load_identity_map(l) : e;
}
