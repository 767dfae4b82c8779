// Multiboot 1 kernels, as the Multiboot Specification 0.6.96 describes them: "OS image format", "Machine
// state", "Boot information format".
#include "kernel/load.h"
#include "arch/bytes.h"
#include "sdm/text.h"

enum { HEADER_MAGIC = 0x1badb002, HEADER_SEARCH = 8192, HEADER_BYTES = 12, HEADER_ADDRESSES = 32 };
enum { START_EAX = 0x2badb002 };
enum { // header flags
    PAGE_ALIGN = 1 << 0,
    MEMORY_INFO = 1 << 1,
    VIDEO_MODE = 1 << 2,
    MUST_UNDERSTAND = 0xffff,
    ADDRESSES = 1 << 16,
};
enum { // information flags
    HAS_MEM = 1 << 0,
    HAS_CMDLINE = 1 << 2,
    HAS_MODULES = 1 << 3,
    HAS_MMAP = 1 << 6,
    HAS_LOADER_NAME = 1 << 9,
    HAS_FRAMEBUFFER = 1 << 12,
};
enum { FRAMEBUFFER_EGA_TEXT = 2 };

struct multiboot_info {
    uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4];
    uint32_t mmap_length, mmap_addr, drives_length, drives_addr, config_table, boot_loader_name, apm_table;
    uint32_t vbe_control_info, vbe_mode_info;
    uint16_t vbe_mode, vbe_interface_seg, vbe_interface_off, vbe_interface_len;
    uint32_t framebuffer_addr, framebuffer_addr_high, framebuffer_pitch, framebuffer_width,
        framebuffer_height;
    uint8_t framebuffer_bpp, framebuffer_type, colour_info[6];
};
_Static_assert(offsetof(struct multiboot_info, framebuffer_addr) == 88, "as the specification lays it out");

// One page holds all that the boot information points to, but for the module's bytes.
enum { INFO_PAGE = START_AREA };

struct info_page {
    struct multiboot_info info;
    struct {
        uint32_t start, end, string, reserved;
    } module;
    _Alignas(8) uint8_t gdt[LOAD_GDT_ENTRIES * 8];
    struct __attribute__((packed)) {
        uint32_t size; // of what follows
        uint64_t base, bytes;
        uint32_t type;
    } mmap[PC_RANGES_MAX];
    char loader_name[16];
    char module_line[MACHINE_NAME_MAX + 1];
    char cmdline[MACHINE_NAME_MAX + 1 + MACHINE_TEXT_MAX + 1];
};
_Static_assert(sizeof(struct info_page) <= PAGE_SIZE, "boot information fits its page");
#define INFO_ADDRESS(member) (INFO_PAGE + (uint32_t)offsetof(struct info_page, member))

// Offset of the header; `size` of the image when there is none.
static size_t header_find(struct blob image)
{
    size_t last = min_u64(image.size, HEADER_SEARCH);
    for (size_t at = 0; at + HEADER_BYTES <= last; at += 4) {
        const uint8_t *p = image.bytes + at;
        if (get32(p) == HEADER_MAGIC && get32(p) + get32(p + 4) + get32(p + 8) == 0)
            return at;
    }
    return image.size;
}

bool multiboot1_is(struct blob image)
{
    return header_find(image) < image.size;
}

// The header gives addresses itself (the "a.out kludge"): one segment, described in terms of an ELF file.
static enum error addresses_parse(struct load *l, size_t header, struct elf *image)
{
    const uint8_t *p = l->image.bytes + header;
    if (HEADER_ADDRESSES > l->image.size - header)
        return reason_set(l->why, E_MALFORMED, "Multiboot header is cut short");
    uint64_t header_addr = get32(p + 12), load = get32(p + 16), load_end = get32(p + 20),
             bss_end = get32(p + 24);
    uint64_t before = header_addr - load; // bytes of the image in front of the header

    if (header_addr < load || before > header)
        return reason_set(l->why, E_MALFORMED, "Multiboot header_addr does not fit load_addr");
    uint64_t offset = header - before, rest = l->image.size - offset;
    if (!load_end)
        load_end = load + rest;
    if (!bss_end)
        bss_end = load_end;
    if (load_end < load || load_end - load > rest)
        return reason_set(l->why, E_MALFORMED, "Multiboot load_end_addr is beyond the file: it is cut short");
    if (bss_end < load_end || bss_end == load)
        return reason_set(l->why, E_MALFORMED, "Multiboot bss_end_addr is below load_end_addr");
    if (bss_end > l->m->mem)
        return reason_set(l->why, E_TOO_BIG, "the image ends at 0x%lx, beyond mem= (0x%lx)", bss_end,
                          l->m->mem);
    *image = (struct elf){.entry = get32(p + 28), .count = 1, .end = bss_end};
    image->segments[0] = (struct elf_segment){load, load, bss_end - load, offset, load_end - load};
    return E_OK;
}

static enum error image_parse(struct load *l, struct elf *image, uint64_t *entry)
{
    size_t header = header_find(l->image);
    uint32_t flags = get32(l->image.bytes + header + 4);
    uint32_t unknown = flags & MUST_UNDERSTAND & ~(uint32_t)(PAGE_ALIGN | MEMORY_INFO | VIDEO_MODE);
    enum error e;

    if (unknown)
        return reason_set(l->why, E_UNSUPPORTED, "Multiboot header requires unknown features (flags 0x%x)",
                          unknown);
    if (flags & ADDRESSES)
        e = addresses_parse(l, header, image);
    else if (elf_is(l->image))
        e = elf_parse(l->image, l->m->mem, image, l->why);
    else
        e = reason_set(l->why, E_MALFORMED, "Multiboot image without addresses is no ELF file either");
    if (e != E_OK)
        return e;
    if (elf_touching(image, INFO_PAGE, INFO_PAGE + PAGE_SIZE))
        return reason_set(l->why, E_INVALID, "the image touches 0x%x-0x%x, which is for boot information",
                          INFO_PAGE, INFO_PAGE + PAGE_SIZE - 1);
    if (!elf_physical(image, image->entry, entry))
        return reason_set(l->why, E_MALFORMED, "entry 0x%lx is outside the image", image->entry);
    if (*entry > UINT32_MAX)
        return reason_set(l->why, E_MALFORMED,
                          "entry 0x%lx is a 64-bit address, and Multiboot starts in 32-bit mode", *entry);
    return E_OK;
}

static void fill_memory_map(struct load *l, struct info_page *page)
{
    struct pc_range map[PC_RANGES_MAX];
    unsigned count = load_pc_map(l->m->mem, map);
    for (unsigned i = 0; i < count; i++) {
        page->mmap[i].size = sizeof(page->mmap[i]) - sizeof(page->mmap[i].size);
        page->mmap[i].base = map[i].base;
        page->mmap[i].bytes = map[i].bytes;
        page->mmap[i].type = map[i].type;
    }
    page->info.mmap_addr = INFO_ADDRESS(mmap);
    page->info.mmap_length = count * (uint32_t)sizeof(page->mmap[0]);
    page->info.mem_lower = (uint32_t)(min_u64(l->m->mem, LOAD_PC_LOW_END) >> 10);
    if (l->m->mem > LOAD_PC_HIGH)
        page->info.mem_upper = (uint32_t)(min_u64(l->m->mem, 1ull << 32) - LOAD_PC_HIGH) >> 10;
    page->info.flags |= HAS_MEM | HAS_MMAP;
}

static void fill_module(struct load *l, struct info_page *page, uint64_t initrd)
{
    if (initrd) {
        page->module.start = (uint32_t)initrd;
        page->module.end = (uint32_t)(initrd + l->initrd.size);
        page->module.string = INFO_ADDRESS(module_line);
        format(page->module_line, sizeof(page->module_line), "%s", l->m->initrd);
        page->info.mods_count = 1;
    }
    page->info.mods_addr = INFO_ADDRESS(module);
    page->info.flags |= HAS_MODULES;
}

// A text screen, as a PC has it after its firmware.
static void fill_screen(struct info_page *page)
{
    page->info.framebuffer_addr = LOAD_SCREEN;
    page->info.framebuffer_pitch = LOAD_SCREEN_COLUMNS * 2;
    page->info.framebuffer_width = LOAD_SCREEN_COLUMNS;
    page->info.framebuffer_height = LOAD_SCREEN_LINES;
    page->info.framebuffer_bpp = 16;
    page->info.framebuffer_type = FRAMEBUFFER_EGA_TEXT;
    page->info.flags |= HAS_FRAMEBUFFER;
}

// The command line begins with the image's name, as boot loaders do it.
static void fill_texts(struct load *l, struct info_page *page)
{
    format(page->cmdline, sizeof(page->cmdline), l->m->cmdline[0] ? "%s %s" : "%s%s", l->m->name,
           l->m->cmdline);
    format(page->loader_name, sizeof(page->loader_name), "Micronova");
    page->info.cmdline = INFO_ADDRESS(cmdline);
    page->info.boot_loader_name = INFO_ADDRESS(loader_name);
    page->info.flags |= HAS_CMDLINE | HAS_LOADER_NAME;
}

enum error load_multiboot1(struct load *l)
{
    struct elf image = {.count = 0};
    uint64_t entry = 0, initrd = 0;

    enum error e = image_parse(l, &image, &entry);
    if (e == E_OK)
        e = load_segments(l, &image);
    if (e == E_OK)
        e = load_initrd(l, max_u64(image.end, LOAD_PC_HIGH), (1ull << 32) - PAGE_SIZE, &initrd);
    if (e != E_OK)
        return e;
    struct info_page *page = load_page(l, INFO_PAGE);
    if (!page)
        return E_NO_MEMORY;
    l->start->mode = START_FLAT32;
    l->start->rip = entry;
    l->start->gpr[RAX] = START_EAX;
    l->start->gpr[RBX] = INFO_PAGE;
    fill_memory_map(l, page);
    fill_module(l, page, initrd);
    fill_screen(page);
    fill_texts(l, page);
    load_gdt(l, page->gdt, INFO_ADDRESS(gdt));
    return E_OK;
}
