#include "sdm/control_resolve.h"
#include "sdm/text.h"

// By wish: is the bit to be 1, and is failing that a refusal.
static const struct {
    bool one, strict;
} wishes[] = {
    [CONTROL_REQUIRED] = {true,  true },
    [CONTROL_WANTED] = {true,  false},
    [CONTROL_UNWANTED] = {false, false},
    [CONTROL_AVOIDED] = {false, true },
};

struct control_result control_resolve(const struct control_capability *can, const struct control_policy *rows,
                                      unsigned count)
{
    struct control_result r = {0, NULL};
    uint64_t set = 0, named = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct control_policy *row = &rows[i];
        bool one = wishes[row->wish].one;
        named |= row->bit;
        if (one)
            set |= row->bit;
        bool met = one ? can->may_be_1 & row->bit : !(can->must_be_1 & row->bit);
        if (!met && wishes[row->wish].strict && !r.refusal)
            r.refusal = row;
    }
    r.value = (set | (can->default1 & ~named) | can->must_be_1) & can->may_be_1;
    return r;
}

size_t control_refusal_text(char *buf, size_t size, enum vmcs_control_word word,
                            const struct control_result *r)
{
    if (!r->refusal)
        return format(buf, size, "%s", "");
    return format(buf, size, "%s %s: %s", wishes[r->refusal->wish].one ? "no" : "cannot do without",
                  control_name(word, (unsigned)__builtin_ctzll(r->refusal->bit)), r->refusal->why);
}
