// Linux kernels and whatever else speaks the Linux/x86 boot protocol (memtest86+). Kernel documentation,
// "The Linux/x86 Boot Protocol": "32-bit Boot Protocol", "64-bit Boot Protocol", "Zero Page".
#include "kernel/load.h"
#include "arch/bytes.h"

// Fields of the setup header, as offsets in the image and in the zero page alike.
enum {
    SETUP_SECTS = 0x1f1,
    SYSSIZE = 0x1f4,
    VID_MODE = 0x1fa,
    BOOT_FLAG = 0x1fe,
    JUMP_OFFSET = 0x201, // the header ends this many bytes behind 202h
    MAGIC = 0x202,
    VERSION = 0x206,
    TYPE_OF_LOADER = 0x210,
    LOADFLAGS = 0x211,
    CODE32_START = 0x214,
    RAMDISK_IMAGE = 0x218,
    RAMDISK_SIZE = 0x21c,
    CMD_LINE_PTR = 0x228,
    INITRD_ADDR_MAX = 0x22c,
    RELOCATABLE_KERNEL = 0x234,
    XLOADFLAGS = 0x236,
    CMDLINE_SIZE = 0x238,
    PREF_ADDRESS = 0x258,
    INIT_SIZE = 0x260,
    HEADER_END_MAX = 0x290, // what follows in the zero page belongs to others
};
// Other fields of the zero page.
enum {
    ORIG_VIDEO_MODE = 0x06,
    ORIG_VIDEO_COLS = 0x07,
    ORIG_VIDEO_LINES = 0x0e,
    ORIG_VIDEO_ISVGA = 0x0f,
    ORIG_VIDEO_POINTS = 0x10,
    ALT_MEM_K = 0x1e0,
    E820_ENTRIES = 0x1e8,
    E820_TABLE = 0x2d0,
    E820_ENTRY = 20,
};
enum { VERSION_CMDLINE_SIZE = 0x206, VERSION_PREF_ADDRESS = 0x20a, VERSION_XLOADFLAGS = 0x20c };
enum { VERSION_LEAST = VERSION_CMDLINE_SIZE };
enum { LOADED_HIGH = 1, KERNEL_64 = 1, ENTRY_64 = 0x200, LOADER_UNDEFINED = 0xff, VIDEO_NORMAL = 0xffff };
enum { TEXT_80X25 = 3, IS_VGA = 1, TEXT_POINTS = 16, GDT_AT = LOAD_LINUX_CMDLINE + 0x800, SECTOR = 512 };
_Static_assert(LOAD_LINUX_CMDLINE + MACHINE_TEXT_MAX < GDT_AT, "command line and GDT share a page");

struct kernel {
    uint32_t version;
    uint64_t setup_bytes, payload_bytes; // of the file
    uint64_t load;                       // where the payload goes
    uint64_t end;                        // behind what the kernel uses before it reads the memory map
    bool is64;
};

bool linux_is(struct blob image)
{
    return image.size >= VERSION + 2 && get32(image.bytes + MAGIC) == 0x53726448; // "HdrS"
}

static enum error header_check(struct load *l, struct kernel *k)
{
    const uint8_t *p = l->image.bytes;
    size_t size = l->image.size;

    k->version = get16(p + VERSION);
    if (k->version < VERSION_LEAST)
        return reason_set(l->why, E_UNSUPPORTED,
                          "Linux boot protocol %u.%02u is too old: 2.06 is the oldest supported",
                          k->version >> 8, k->version & 0xff);
    if (size < HEADER_END_MAX)
        return reason_set(l->why, E_MALFORMED, "the Linux setup header is cut short");
    if (get16(p + BOOT_FLAG) != 0xaa55)
        return reason_set(l->why, E_MALFORMED, "the Linux setup header has no boot flag (AA55H)");
    if (!(p[LOADFLAGS] & LOADED_HIGH))
        return reason_set(l->why, E_UNSUPPORTED, "this is a zImage, which loads low: a bzImage is needed");
    unsigned sectors = p[SETUP_SECTS] ? p[SETUP_SECTS] : 4;
    k->setup_bytes = (sectors + 1ull) * SECTOR;
    // The last paragraph of what syssize counts need not be whole.
    uint64_t promised = get32(p + SYSSIZE) * 16ull;
    if (size <= k->setup_bytes || promised > align_up(size - k->setup_bytes, 16))
        return reason_set(l->why, E_MALFORMED, "the kernel is cut short: %zu bytes of %lu", size,
                          k->setup_bytes + promised);
    k->payload_bytes = size - k->setup_bytes;
    return E_OK;
}

// A kernel that is loaded below its preferred address moves itself there, so that this memory must exist in
// any case: loading it anywhere else gains nothing.
static enum error place(struct load *l, struct kernel *k)
{
    const uint8_t *p = l->image.bytes;
    bool prefers = k->version >= VERSION_PREF_ADDRESS;

    k->load = prefers && p[RELOCATABLE_KERNEL] ? get64(p + PREF_ADDRESS) : get32(p + CODE32_START);
    uint64_t at = max_u64(k->load, prefers ? get64(p + PREF_ADDRESS) : 0);
    uint64_t bytes = max_u64(k->payload_bytes, prefers ? get32(p + INIT_SIZE) : 0);
    if (k->load < LOAD_PC_HIGH || at >= 1ull << 32)
        return reason_set(l->why, E_MALFORMED, "the kernel wants to run at 0x%lx, outside 1M to 4G",
                          k->load < LOAD_PC_HIGH ? k->load : at);
    k->end = at + bytes;
    if (k->end > l->m->mem)
        return reason_set(l->why, E_TOO_BIG, "the kernel needs mem= of at least %luK", (k->end + 1023) >> 10);
    k->is64 = k->version >= VERSION_XLOADFLAGS && (get16(p + XLOADFLAGS) & KERNEL_64);
    if (k->is64 && k->payload_bytes <= ENTRY_64)
        return reason_set(l->why, E_MALFORMED, "the kernel is cut short: its 64-bit entry is missing");
    return E_OK;
}

static void fill_screen(uint8_t *zero_page)
{
    zero_page[ORIG_VIDEO_MODE] = TEXT_80X25;
    zero_page[ORIG_VIDEO_COLS] = LOAD_SCREEN_COLUMNS;
    zero_page[ORIG_VIDEO_LINES] = LOAD_SCREEN_LINES;
    zero_page[ORIG_VIDEO_ISVGA] = IS_VGA;
    put16(zero_page + ORIG_VIDEO_POINTS, TEXT_POINTS);
}

static void fill_memory_map(uint64_t mem, uint8_t *zero_page)
{
    struct pc_range map[PC_RANGES_MAX];
    unsigned count = load_pc_map(mem, map);
    for (unsigned i = 0; i < count; i++) {
        uint8_t *entry = zero_page + E820_TABLE + (size_t)i * E820_ENTRY;
        put64(entry, map[i].base);
        put64(entry + 8, map[i].bytes);
        put32(entry + 16, map[i].type);
    }
    zero_page[E820_ENTRIES] = (uint8_t)count;
    put32(zero_page + ALT_MEM_K, (uint32_t)((min_u64(mem, 1ull << 32) - LOAD_PC_HIGH) >> 10));
}

static void fill_header(struct load *l, const struct kernel *k, uint64_t initrd, uint8_t *zero_page)
{
    size_t end = min_u64(MAGIC + l->image.bytes[JUMP_OFFSET], HEADER_END_MAX);
    memcpy(zero_page + SETUP_SECTS, l->image.bytes + SETUP_SECTS, end - SETUP_SECTS);
    zero_page[TYPE_OF_LOADER] = LOADER_UNDEFINED;
    put16(zero_page + VID_MODE, VIDEO_NORMAL);
    put32(zero_page + CODE32_START, (uint32_t)k->load);
    put32(zero_page + CMD_LINE_PTR, LOAD_LINUX_CMDLINE);
    put32(zero_page + RAMDISK_IMAGE, (uint32_t)initrd);
    put32(zero_page + RAMDISK_SIZE, initrd ? (uint32_t)l->initrd.size : 0);
}

static enum error write_parameters(struct load *l, const struct kernel *k, uint64_t initrd)
{
    uint8_t *zero_page = load_page(l, LOAD_LINUX_ZERO_PAGE), *texts = load_page(l, LOAD_LINUX_CMDLINE);
    if (!zero_page || !texts)
        return E_NO_MEMORY;
    fill_screen(zero_page);
    fill_memory_map(l->m->mem, zero_page);
    fill_header(l, k, initrd, zero_page);
    memcpy(texts, l->m->cmdline, strlen(l->m->cmdline) + 1);
    load_gdt(l, texts + (GDT_AT - LOAD_LINUX_CMDLINE), GDT_AT);
    return E_OK;
}

static enum error cmdline_check(struct load *l)
{
    uint32_t most = get32(l->image.bytes + CMDLINE_SIZE);
    if (strlen(l->m->cmdline) > most)
        return reason_set(l->why, E_TOO_BIG, "cmdline= has %zu bytes, and this kernel takes %u",
                          strlen(l->m->cmdline), most);
    return E_OK;
}

enum error load_linux(struct load *l)
{
    struct kernel k = {0};
    uint64_t initrd = 0;

    enum error e = header_check(l, &k);
    if (e == E_OK)
        e = cmdline_check(l);
    if (e == E_OK)
        e = place(l, &k);
    if (e == E_OK)
        e = load_write(l, k.load, l->image.bytes + k.setup_bytes, k.payload_bytes);
    if (e == E_OK)
        e = load_initrd(l, k.end, get32(l->image.bytes + INITRD_ADDR_MAX) + 1ull, &initrd);
    if (e != E_OK)
        return e;
    l->start->mode = k.is64 ? START_LONG : START_FLAT32;
    l->start->rip = k.load + (k.is64 ? ENTRY_64 : 0);
    l->start->gpr[RSI] = LOAD_LINUX_ZERO_PAGE;
    e = write_parameters(l, &k, initrd);
    return e == E_OK && k.is64 ? load_identity_map(l) : e;
}
