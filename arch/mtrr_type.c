#include "arch/mtrr.h"
#include "arch/string.h"
#include "sdm/msr.h"

enum { FIXED_END = 1 << 20 };

bool mtrr_equal(const struct mtrr_state *a, const struct mtrr_state *b)
{
    return !memcmp(a, b, sizeof *a);
}

// Eight ranges a register: one of 64 KiB each, two of 16 KiB, eight of 4 KiB.
static uint8_t fixed_type(const struct mtrr_state *m, uint64_t at, uint64_t *run)
{
    static const struct {
        uint32_t base, size;
        uint8_t first;
    } blocks[] = {
        {0xc0000, 0x1000,  3},
        {0x80000, 0x4000,  1},
        {0,       0x10000, 0}
    };
    unsigned i = 0;
    while (at < blocks[i].base)
        i++;
    uint64_t range = (at - blocks[i].base) / blocks[i].size;
    *run = blocks[i].size - (at - blocks[i].base) % blocks[i].size;
    return m->fixed[blocks[i].first + range / 8] >> range % 8 * 8 & 0xff;
}

// SDM, "MTRR Precedences": UC wins, then WT over WB; any other overlap is undefined, and UC the safe guess.
static uint8_t combine(uint8_t a, uint8_t b)
{
    if (a == b)
        return a;
    if ((a == MT_WT && b == MT_WB) || (a == MT_WB && b == MT_WT))
        return MT_WT;
    return MT_UC;
}

uint8_t mtrr_type(const struct mtrr_state *m, hpa_t at, uint64_t *run)
{
    *run = ~0ull - at.v;
    if (!(m->def_type & MTRR_DEF_TYPE_ENABLE))
        return m->capability ? MT_UC : MT_WB;
    if (at.v < FIXED_END && m->def_type & MTRR_DEF_TYPE_FIXED_ENABLE)
        return fixed_type(m, at.v, run);
    int type = -1;
    for (uint32_t i = 0; i < m->variable; i++) {
        if (!(m->mask[i] & MTRR_PHYSMASK_VALID))
            continue;
        uint64_t mask = m->mask[i] & ~0xfffull, unit = mask & -mask;
        if (unit) // within the lowest bit that the mask looks at, nothing changes
            *run = min_u64(*run, unit - (at.v & (unit - 1)));
        if ((at.v & mask) != (m->base[i] & mask))
            continue;
        type = type < 0 ? (uint8_t)m->base[i] : combine((uint8_t)type, (uint8_t)m->base[i]);
    }
    return type < 0 ? m->def_type & MTRR_DEF_TYPE_TYPE : (uint8_t)type;
}
