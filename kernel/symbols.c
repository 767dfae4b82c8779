#include "kernel/symbols.h"

// Reading names from the first one to a wanted one.
struct reading {
    uint32_t names_before; // the wanted one; it wraps round behind it
    uint32_t length;
    char *name;
};

static void read_byte(struct reading *r, uint8_t byte)
{
    const uint8_t *pair = symbol_pairs[byte];
    if (pair[0] != byte) {
        read_byte(r, pair[0]);
        read_byte(r, pair[1]);
        return;
    }
    if (r->names_before == 0 && r->length < sizeof(((struct symbol *)0)->name) - 1)
        r->name[r->length++] = (char)byte;
    if (!byte)
        r->names_before--;
}

bool symbol_find(uint64_t address, struct symbol *symbol)
{
    uint64_t begin = symbol_base;
    uint32_t i = 0;
    while (i < symbol_count && address - begin >= symbol_sizes[i])
        begin += symbol_sizes[i++];
    *symbol = (struct symbol){"?", address};
    if (address < symbol_base || i == symbol_count)
        return false;
    *symbol = (struct symbol){.offset = address - begin};
    struct reading r = {.names_before = i, .name = symbol->name};
    for (const uint8_t *byte = symbol_names; r.names_before <= i; byte++)
        read_byte(&r, *byte);
    return true;
}
