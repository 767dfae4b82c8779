#include "sdm/bits.h"
#include "sdm/text.h"

#define BITS_TO_TABLE(table, PREFIX, list) \
    const struct bit_table table##_bits = {0 list(BIT_MASK), list(BIT_NAME)};
BIT_LISTS(BITS_TO_TABLE)

#define EXCEPTION_TO_ROW(vector, mnemonic, words, code, class) \
    [vector] = {"#" #mnemonic, words, code, EXC_##class},
const struct exception exceptions[EXC_COUNT] = {EXCEPTIONS(EXCEPTION_TO_ROW)};

const char *exception_name(unsigned vector)
{
    return vector < EXC_COUNT && exceptions[vector].name ? exceptions[vector].name : "vector";
}

const char *exception_words(unsigned vector)
{
    return vector < EXC_COUNT ? exceptions[vector].words : NULL;
}

const char *bit_name(const struct bit_table *table, unsigned bit)
{
    const char *name = table->names;
    for (uint64_t below = table->named & ((1ull << bit) - 1); below; below &= below - 1)
        name = text_next(name);
    return table->named >> bit & 1 ? name : NULL;
}

size_t bits_text(char *buf, size_t size, uint64_t value, const struct bit_table *table)
{
    struct text t = text_in(buf, size);
    for (unsigned bit = 0; bit < 64; bit++) {
        if (!(value >> bit & 1))
            continue;
        const char *name = bit_name(table, bit);
        text_word(&t, name ? name : "bit");
        if (!name)
            text_add(&t, "%u", bit);
    }
    if (!value)
        text_add(&t, "-");
    return t.len;
}
