#include "boot/multiboot2.h"
#include "arch/bytes.h"

// Multiboot2 specification, "Boot information format": fixed part, then tags at multiples of 8 bytes.
enum {
    FIXED_BYTES = 8,
    TAG_HEADER = 8,
    TAG_END = 0,
    MMAP_ENTRY_BYTES = 24,
    COMPLAINTS_MAX = 16, // sentences; the count goes on
};

struct tag {
    const uint8_t *at; // its header
    uint32_t type, size;
};

struct reader {
    struct boot_info *out;
    void (*complain)(const char *sentence);
};

static void bad_tag(struct reader *r, struct tag tag, const char *what)
{
    struct reason why;
    if (++r->out->bad_tags > COMPLAINTS_MAX || !r->complain)
        return;
    reason_set(&why, E_MALFORMED, "Multiboot2 tag %u of %u bytes skipped: %s", tag.type, tag.size, what);
    r->complain(why.text);
}

// The string that fills the tag from `offset`; NULL when it has no end inside the tag.
static const char *string_at(struct tag tag, uint32_t offset)
{
    const char *s = (const char *)tag.at + offset;
    return tag.size > offset && memchr(s, '\0', tag.size - offset) ? s : NULL;
}

static void read_cmdline(struct reader *r, struct tag tag)
{
    const char *s = string_at(tag, TAG_HEADER);
    if (!s)
        return bad_tag(r, tag, "the command line does not end");
    r->out->cmdline = s;
}

static void read_loader_name(struct reader *r, struct tag tag)
{
    const char *s = string_at(tag, TAG_HEADER);
    if (!s)
        return bad_tag(r, tag, "the name does not end");
    r->out->loader_name = s;
}

static void read_module(struct reader *r, struct tag tag)
{
    const char *line = string_at(tag, 16);
    uint32_t start = get32(tag.at + 8), end = get32(tag.at + 12);

    if (!line || start > end) {
        r->out->modules_dropped++;
        return bad_tag(r, tag, line ? "the module ends before it starts" : "the module's line does not end");
    }
    if (r->out->module_count == BOOT_MODULES_MAX) {
        r->out->modules_dropped++;
        return;
    }
    r->out->modules[r->out->module_count++] =
        (struct boot_module){.base = hpa(start), .bytes = end - start, .line = line};
}

static void add_range(struct reader *r, uint64_t base, uint64_t bytes, enum memory_type type)
{
    struct boot_info *out = r->out;
    if (bytes == 0)
        return;
    if (bytes - 1 > UINT64_MAX - base)
        bytes = -base; // cut at 2^64
    if (out->range_count++ < BOOT_RANGES_MAX)
        out->ranges[out->range_count - 1] = (struct memory_range){hpa(base), bytes, type};
}

static void read_memory_map(struct reader *r, struct tag tag)
{
    uint32_t step = get32(tag.at + 8);
    if (step < MMAP_ENTRY_BYTES)
        return bad_tag(r, tag, "memory map entries are too small");
    for (uint64_t at = 16; at + step <= tag.size; at += step) {
        const uint8_t *entry = tag.at + at;
        uint32_t type = get32(entry + 16);
        bool known = type >= MEMORY_RAM && type <= MEMORY_BAD;
        add_range(r, get64(entry), get64(entry + 8), known ? type : MEMORY_RESERVED);
    }
}

static void read_framebuffer(struct reader *r, struct tag tag)
{
    enum { COLOURS = 32 };
    static const uint8_t types[] = {FRAMEBUFFER_INDEXED, FRAMEBUFFER_RGB, FRAMEBUFFER_TEXT};
    const uint8_t *p = tag.at;
    uint8_t type = p[29];

    if (type >= array_size(types))
        return bad_tag(r, tag, "unknown type of framebuffer");
    struct framebuffer f = {.type = types[type],
                            .base = hpa(get64(p + 8)),
                            .pitch = get32(p + 16),
                            .width = get32(p + 20),
                            .height = get32(p + 24),
                            .bits = p[28]};
    uint64_t line = f.type == FRAMEBUFFER_TEXT ? f.width * 2ull : f.width * (uint64_t)f.bits / 8;
    if (!f.width || !f.height || line > f.pitch || f.base.v > UINT64_MAX - f.pitch * (uint64_t)f.height)
        return bad_tag(r, tag, "impossible framebuffer geometry");
    if (f.type == FRAMEBUFFER_RGB) {
        if (tag.size < COLOURS + 6)
            return bad_tag(r, tag, "the framebuffer's colours are missing");
        f.red_at = p[32], f.red_bits = p[33];
        f.green_at = p[34], f.green_bits = p[35];
        f.blue_at = p[36], f.blue_bits = p[37];
    }
    r->out->framebuffer = f;
}

static void read_rsdp(struct reader *r, struct tag tag)
{
    enum { ACPI_NEW = 15 };
    if (r->out->rsdp && tag.type != ACPI_NEW)
        return; // the old copy knows less
    r->out->rsdp = tag.at + TAG_HEADER;
    r->out->rsdp_bytes = tag.size - TAG_HEADER;
}

// clang-format off
static const struct {
    uint32_t least; // bytes, header included
    void (*read)(struct reader *r, struct tag tag);
} tags[] = {
    [1]  = {9,  read_cmdline},
    [2]  = {9,  read_loader_name},
    [3]  = {17, read_module},
    [6]  = {16, read_memory_map},
    [8]  = {32, read_framebuffer},
    [14] = {28, read_rsdp},
    [15] = {44, read_rsdp},
};
// clang-format on

static void read_tag(struct reader *r, struct tag tag)
{
    if (tag.type >= array_size(tags) || !tags[tag.type].read)
        return; // tags that nobody here needs
    if (tag.size < tags[tag.type].least)
        return bad_tag(r, tag, "it is too small");
    tags[tag.type].read(r, tag);
}

static void read_tags(struct reader *r, const uint8_t *info, uint32_t total)
{
    struct tag tag = {0};
    for (uint64_t at = FIXED_BYTES; at + TAG_HEADER <= total; at = align_up(at + tag.size, BOOT_TAGS_ALIGN)) {
        tag = (struct tag){.at = info + at, .type = get32(info + at), .size = get32(info + at + 4)};
        if (tag.size < TAG_HEADER || tag.size > total - at)
            return bad_tag(r, tag, "its size is impossible, and what follows is lost");
        if (tag.type == TAG_END)
            return;
        read_tag(r, tag);
    }
    bad_tag(r, tag, "it is the last, and no end tag follows");
}

enum error multiboot2_parse(const void *info, size_t readable, struct boot_info *out,
                            void (*complain)(const char *sentence), struct reason *why)
{
    struct reader r = {.out = out, .complain = complain};

    memset(out, 0, sizeof(*out));
    out->cmdline = out->loader_name = "";
    if ((uintptr_t)info % BOOT_TAGS_ALIGN)
        return reason_set(why, E_MALFORMED, "Multiboot2 information is not aligned to 8 bytes");
    if (readable < FIXED_BYTES)
        return reason_set(why, E_MALFORMED, "Multiboot2 information has no header");
    uint32_t total = get32(info);
    if (total < FIXED_BYTES + TAG_HEADER || total > readable)
        return reason_set(why, E_MALFORMED, "Multiboot2 information claims %u bytes of %zu", total, readable);
    out->total_bytes = total;
    read_tags(&r, info, total);
    if (!out->range_count)
        return reason_set(why, E_MALFORMED, "the boot loader gave no memory map");
    if (out->range_count > BOOT_RANGES_MAX) // what is missing may be reserved
        return reason_set(why, E_MALFORMED, "a memory map of %u ranges, %u are too many", out->range_count,
                          BOOT_RANGES_MAX + 1);
    return E_OK;
}
