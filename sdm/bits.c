#include "sdm/bits.h"
#include "sdm/text.h"

#define BITS_TO_TABLE(table, PREFIX, list) \
    const struct bit_table table##_bits = {0 list(BIT_MASK), list(BIT_NAME)};
BIT_LISTS(BITS_TO_TABLE)

// Name and words of an exception stand behind each other, each with its NUL.
// NOLINTBEGIN(bugprone-string-literal-with-embedded-nul)
#define EXCEPTION_TO_MEMBER(vector, mnemonic, words, code, class) \
    char mnemonic[sizeof("#" #mnemonic "\0" words)];
#define EXCEPTION_TO_NAME(vector, mnemonic, words, code, class) "#" #mnemonic "\0" words,
static const struct exception_names {
    char none[1];
    EXCEPTIONS(EXCEPTION_TO_MEMBER)
} names = {"", EXCEPTIONS(EXCEPTION_TO_NAME)};
// NOLINTEND(bugprone-string-literal-with-embedded-nul)

#define EXCEPTION_TO_ROW(vector, mnemonic, words, code, class) \
    [vector] = {offsetof(struct exception_names, mnemonic), code, EXC_##class},
const struct exception exceptions[EXC_COUNT] = {EXCEPTIONS(EXCEPTION_TO_ROW)};

static const char *name_of(unsigned vector)
{
    return vector < EXC_COUNT && exceptions[vector].name ? names.none + exceptions[vector].name : NULL;
}

const char *exception_name(unsigned vector)
{
    const char *name = name_of(vector);
    return name ? name : "vector";
}

const char *exception_words(unsigned vector)
{
    const char *name = name_of(vector);
    return name ? text_next(name) : NULL;
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
