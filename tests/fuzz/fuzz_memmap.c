// Memory maps as firmware might send them: 17 bytes an entry (base, length, type and whether it is carved).
#include "mm/memmap.h"
#include <stdlib.h>
#include <string.h>

enum { ENTRY = 17, MAX = 400 };

struct entry {
    uint64_t base, length;
    uint32_t type;
    bool carve;
};

static struct memmap map;
static struct entry entries[MAX];

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void check_form(void)
{
    for (uint32_t i = 0; i < map.count; i++) {
        check(map.range[i].first < map.range[i].end);
        check(map.range[i].type > MEM_NONE && map.range[i].type < MEM_TYPE_COUNT);
        check(i == 0 || map.range[i - 1].end <= map.range[i].first);
    }
}

// No frame of RAM may be named as anything else by any entry, nor lie below 1 MiB.
static void check_safe(size_t n)
{
    for (uint32_t i = 0; i < map.count; i++) {
        const struct mem_range *r = &map.range[i];
        if (r->type != MEM_RAM && r->type != MEM_EARLY)
            continue;
        check(r->first >= 0x100);
        for (size_t k = 0; k < n; k++) {
            const struct entry *e = &entries[k];
            if (e->length == 0 || (e->type == 1 && !e->carve))
                continue;
            uint64_t last = e->base + e->length - 1 < e->base ? ~0ull : e->base + e->length - 1;
            check(last >> 12 < r->first || e->base >> 12 >= r->end);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t n = 0;
    memmap_init(&map);
    for (; size >= ENTRY && n < MAX; data += ENTRY, size -= ENTRY, n++) {
        struct entry *e = &entries[n];
        memcpy(&e->base, data, 8);
        memcpy(&e->length, data + 8, 8);
        e->type = data[16] & 7;
        e->carve = data[16] & 8;
        if (e->carve)
            memmap_carve(&map, hpa(e->base), e->length, MEM_MODULE);
        else
            memmap_add(&map, e->base, e->length, e->type);
        check_form();
    }
    memmap_seal(&map);
    check_form();
    for (uint64_t pages = 1; pages < 1 << 20; pages *= 3) {
        pfn_t f = memmap_take(&map, pages, 4);
        check(pfn_is_none(f) || (f.v % 4 == 0 && memmap_type(&map, f) == MEM_EARLY));
    }
    check_form();
    check_safe(n);
    return 0;
}
