#include "tests/host/ept_lookup.h"

bool ept_lookup(const struct ept *e, gpa_t at, struct ept_leaf *leaf)
{
    unsigned level;
    uint64_t entry = *ept_find(e, at, &level), inside = ((uint64_t)PAGE_SIZE << 9 * level) - 1;
    if (!(entry & EPT_RIGHTS))
        return false;
    *leaf = (struct ept_leaf){
        .at = hpa((entry & EPT_ADDRESS & ~inside) | (at.v & inside)),
        .rights = entry & EPT_RIGHTS,
        .level = (enum ept_level)level,
        .type = (enum cache_type)((entry & EPT_TYPE) >> EPT_TYPE_SHIFT),
        .accessed = entry & EPT_ACCESSED,
        .dirty = entry & EPT_DIRTY,
        .foreign = entry & EPT_FOREIGN,
    };
    return true;
}

uint64_t *ept_peek(const struct ept *e, gpa_t at)
{
    unsigned level;
    uint64_t *entry = ept_find(e, at, &level);
    return level == EPT_4K ? entry : NULL;
}
