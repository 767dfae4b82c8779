#include "kernel/symbols.h"
#include "arch/memory.h"
#include "arch/string.h"

static const char *name_at(uint32_t index)
{
    const char *name = symbol_names;
    while (index--)
        name += strlen(name) + 1;
    return name;
}

const char *symbol_find(uint64_t address, uint64_t *offset)
{
    uint64_t wanted = address - IMAGE_BASE;
    uint32_t below = 0, end = symbol_count; // symbols [0, below) start at or before `wanted`
    while (below < end) {
        uint32_t middle = (below + end) / 2;
        if (symbol_offsets[middle] <= wanted)
            below = middle + 1;
        else
            end = middle;
    }
    if (address < IMAGE_BASE || !below)
        return NULL;
    *offset = wanted - symbol_offsets[below - 1];
    const char *name = name_at(below - 1);
    return *name ? name : NULL; // a nameless entry ends the text
}
