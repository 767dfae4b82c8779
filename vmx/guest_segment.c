#include "vmx/guest_segment.h"
#include "sdm/bits.h"

enum { LINEAR_BITS = 48 }; // CR4.LA57 is hidden

static bool type_allows(uint32_t rights, enum access access)
{
    if (rights & AR_UNUSABLE || !(rights & AR_S))
        return false;
    // One bit is "writable" of data and "readable" of code.
    if (access == ACCESS_WRITE)
        return !(rights & AR_TYPE_CODE) && rights & AR_TYPE_WRITABLE;
    return !(rights & AR_TYPE_CODE) || rights & AR_TYPE_WRITABLE;
}

static bool within_limit(const struct guest_segment *s, uint64_t first, uint64_t last)
{
    bool down = !(s->rights & AR_TYPE_CODE) && s->rights & AR_TYPE_EXPAND_DOWN;
    if (!down)
        return last <= s->limit;
    return first > s->limit && last <= (s->rights & AR_DB ? UINT32_MAX : UINT16_MAX);
}

bool guest_linear(const struct guest_segment *s, bool in_64bit_mode, uint64_t offset, unsigned size,
                  enum access access, uint64_t *linear)
{
    if (in_64bit_mode) {
        *linear = offset + (s->keeps_base ? s->base : 0);
        return is_canonical(*linear, LINEAR_BITS) && is_canonical(*linear + size - 1, LINEAR_BITS);
    }
    *linear = (uint32_t)(s->base + offset);
    return type_allows(s->rights, access) && within_limit(s, offset, offset + size - 1);
}
