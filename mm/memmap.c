#include "mm/memmap.h"

enum {
    PFN_MIB = 1 << (20 - PAGE_SHIFT), // frames in the first MiB
    PFN_4GIB = 1 << (32 - PAGE_SHIFT),
};
static const uint64_t DIRECT_END = 1ull << (46 - PAGE_SHIFT);   // the direct map's 64 TiB
static const uint64_t PHYSICAL_END = 1ull << (52 - PAGE_SHIFT); // no processor addresses more

void memmap_init(struct memmap *m)
{
    m->count = 0;
    m->limit = MEMMAP_FIRMWARE;
    m->full = false;
    m->trampoline = PFN_NONE;
}

// Index of the first range that ends behind `frame`; m->count if none.
static uint32_t find(const struct memmap *m, uint64_t frame)
{
    uint32_t low = 0, high = m->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (m->range[middle].end > frame)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static bool open_gap(struct memmap *m, uint32_t at)
{
    if (m->count >= m->limit)
        return false;
    for (uint32_t i = m->count++; i > at; i--)
        m->range[i] = m->range[i - 1];
    return true;
}

static void close_gap(struct memmap *m, uint32_t at)
{
    m->count--;
    for (uint32_t i = at; i < m->count; i++)
        m->range[i] = m->range[i + 1];
}

// Makes `frame` a border if it lies inside a range.
static bool split(struct memmap *m, uint64_t frame)
{
    uint32_t i = find(m, frame);
    if (i == m->count || m->range[i].first >= frame)
        return true;
    if (!open_gap(m, i + 1))
        return false;
    m->range[i + 1] = (struct mem_range){frame, m->range[i].end, m->range[i].type};
    m->range[i].end = frame;
    return true;
}

// Joins equal neighbours among the ranges that touch [first, end].
static void merge(struct memmap *m, uint64_t first, uint64_t end)
{
    uint32_t i = find(m, first ? first - 1 : 0);
    while (i + 1 < m->count && m->range[i].first <= end) {
        struct mem_range *a = &m->range[i], *b = a + 1;
        if (a->end == b->first && a->type == b->type) {
            a->end = b->end;
            close_gap(m, i + 1);
        } else {
            i++;
        }
    }
}

// The table has no room for new borders: whatever RAM the new range touches is given up as a whole, and
// `full` keeps RAM that is named later out.
static enum error give_up(struct memmap *m, uint64_t first, uint64_t end, enum mem_type type)
{
    m->full = true;
    if (type == MEM_RAM)
        return E_TOO_BIG;
    for (uint32_t i = find(m, first); i < m->count && m->range[i].first < end; i++)
        if (m->range[i].type < type)
            m->range[i].type = type;
    return E_TOO_BIG;
}

// Raises everything in [first, end) to at least `type`.
static enum error raise(struct memmap *m, uint64_t first, uint64_t end, enum mem_type type)
{
    if (m->full && type == MEM_RAM)
        return E_TOO_BIG;
    if (!split(m, first) || !split(m, end))
        return give_up(m, first, end, type);
    uint32_t i = find(m, first);
    for (uint64_t at = first; at < end; i++) {
        if (i < m->count && m->range[i].first == at) {
            if (m->range[i].type < type)
                m->range[i].type = type;
        } else { // nothing was known from here to the next range
            uint64_t next = i < m->count ? min_u64(m->range[i].first, end) : end;
            if (!open_gap(m, i))
                return give_up(m, first, end, type);
            m->range[i] = (struct mem_range){at, next, type};
        }
        at = m->range[i].end;
    }
    merge(m, first, end);
    return E_OK;
}

// Bytes to frames: RAM inwards, all else outwards. False when nothing is left.
static bool to_frames(uint64_t base, uint64_t length, bool inwards, uint64_t *first, uint64_t *end)
{
    if (length == 0)
        return false;
    uint64_t last = base + length - 1 < base ? ~0ull : base + length - 1; // a wrap ends at the top
    *first = (base >> PAGE_SHIFT) + (inwards && base % PAGE_SIZE != 0);
    *end = (last >> PAGE_SHIFT) + (!inwards || last % PAGE_SIZE == PAGE_SIZE - 1);
    *end = min_u64(*end, inwards ? DIRECT_END : PHYSICAL_END);
    return *first < *end;
}

enum error memmap_add(struct memmap *m, uint64_t base, uint64_t length, uint32_t type)
{
    // Multiboot2 "Memory map": all numbers not listed mean reserved.
    static const enum mem_type types[] = {
        MEM_RESERVED, [1] = MEM_RAM, [2] = MEM_RESERVED, [3] = MEM_ACPI, [4] = MEM_NVS, [5] = MEM_BAD,
    };
    enum mem_type t = type < array_size(types) ? types[type] : MEM_RESERVED;
    uint64_t first, end;
    if (!to_frames(base, length, t == MEM_RAM, &first, &end))
        return E_INVALID;
    return raise(m, first, end, t);
}

enum error memmap_carve(struct memmap *m, hpa_t base, uint64_t length, enum mem_type type)
{
    uint64_t first, end;
    if (!to_frames(base.v, length, false, &first, &end))
        return E_INVALID;
    m->limit = MEMMAP_RANGES - MEMMAP_SPARE;
    return raise(m, first, end, type);
}

// SDM "Multiple-Processor (MP) Initialization": the start-up vector names a frame below 1 MiB; a0H to bfH
// are reserved.
static pfn_t pick_trampoline(const struct memmap *m)
{
    for (uint64_t f = 0x8; f < 0xa0; f++) // where nothing of BIOS or boot loader lies, as a rule
        if (memmap_type(m, pfn(f)) == MEM_RAM)
            return pfn(f);
    for (uint64_t f = 0x1; f < 0x8; f++)
        if (memmap_type(m, pfn(f)) == MEM_RAM)
            return pfn(f);
    return PFN_NONE;
}

void memmap_seal(struct memmap *m)
{
    m->limit = MEMMAP_RANGES;
    m->trampoline = pick_trampoline(m);
    raise(m, 0, PFN_MIB, MEM_LOW);
    if (!pfn_is_none(m->trampoline))
        raise(m, m->trampoline.v, m->trampoline.v + 1, MEM_TRAMPOLINE);
}

// The highest place in RAM range `r`, below `limit`, for `pages` at `align`; 0: none.
static uint64_t place(const struct mem_range *r, uint64_t pages, uint64_t align, uint64_t limit)
{
    uint64_t end = min_u64(r->end, limit);
    if (r->type != MEM_RAM || end < pages)
        return 0;
    uint64_t at = align_down(end - pages, align);
    return at >= r->first ? at : 0;
}

static uint64_t highest_place(const struct memmap *m, uint64_t pages, uint64_t align, uint64_t limit)
{
    for (uint32_t i = m->count; i-- > 0;) {
        uint64_t at = place(&m->range[i], pages, align, limit);
        if (at)
            return at;
    }
    return 0;
}

pfn_t memmap_take(struct memmap *m, uint64_t pages, uint64_t align)
{
    if (pages == 0 || pages > DIRECT_END)
        return PFN_NONE;
    uint64_t at = highest_place(m, pages, align, PFN_4GIB);
    if (!at)
        at = highest_place(m, pages, align, DIRECT_END);
    if (!at)
        return PFN_NONE;
    // Inside one range of RAM a full table fails before it changes anything but that range, which is lost.
    return raise(m, at, at + pages, MEM_EARLY) == E_OK ? pfn(at) : PFN_NONE;
}

enum mem_type memmap_type(const struct memmap *m, pfn_t frame)
{
    uint32_t i = find(m, frame.v);
    return i < m->count && m->range[i].first <= frame.v ? m->range[i].type : MEM_NONE;
}

uint64_t memmap_bytes(const struct memmap *m, hpa_t at, uint64_t bytes, uint32_t types)
{
    uint64_t end = bytes > UINT64_MAX - at.v ? UINT64_MAX : at.v + bytes, found = 0;
    for (uint32_t i = 0; i < m->count; i++) {
        const struct mem_range *r = &m->range[i];
        uint64_t from = max_u64(at.v, r->first << PAGE_SHIFT), to = min_u64(end, r->end << PAGE_SHIFT);
        if (types >> r->type & 1 && from < to)
            found += to - from;
    }
    return found;
}
