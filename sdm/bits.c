#include "sdm/bits.h"
#include "sdm/text.h"

#define BITS_TO_TABLE(table, PREFIX, list)                          \
    static const struct bit_name table##_rows[] = {list(BIT_NAME)}; \
    const struct bit_table table##_bits = {sizeof(table##_rows) / sizeof(table##_rows[0]), table##_rows};
BIT_LISTS(BITS_TO_TABLE)

#define EXCEPTION_TO_ROW(vector, mnemonic, text, code, cls) [vector] = {"#" #mnemonic, text, code, EXC_##cls},
const struct exception exceptions[EXC_COUNT] = {EXCEPTIONS(EXCEPTION_TO_ROW)};

const char *exception_name(unsigned vector)
{
    return vector < EXC_COUNT && exceptions[vector].name ? exceptions[vector].name : "vector";
}

static const char *name_of_bit(const struct bit_table *table, unsigned bit)
{
    for (unsigned i = 0; i < table->count; i++)
        if (table->rows[i].bit == bit)
            return table->rows[i].name;
    return NULL;
}

size_t bits_text(char *buf, size_t size, uint64_t value, const struct bit_table *table)
{
    struct text t = text_in(buf, size);
    for (unsigned bit = 0; bit < 64; bit++) {
        if (!(value >> bit & 1))
            continue;
        const char *name = name_of_bit(table, bit);
        text_word(&t, name ? name : "bit");
        if (!name)
            text_dec(&t, bit);
    }
    if (!value)
        text_add(&t, "-");
    return t.len;
}
