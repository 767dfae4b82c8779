#include "sdm/text.h"

void text_char(struct text *t, char c)
{
    if (t->len + 1 < t->size) {
        t->buf[t->len] = c;
        t->buf[t->len + 1] = 0;
    }
    t->len++;
}

void text_add(struct text *t, const char *s)
{
    while (*s)
        text_char(t, *s++);
}

void text_word(struct text *t, const char *s)
{
    if (t->len)
        text_char(t, ' ');
    text_add(t, s);
}

void text_hex_fixed(struct text *t, uint64_t v, unsigned digits)
{
    while (digits--)
        text_char(t, "0123456789abcdef"[v >> 4 * digits & 15]);
}

void text_hex(struct text *t, uint64_t v)
{
    unsigned digits = 1;
    while (digits < 16 && v >> 4 * digits)
        digits++;
    text_hex_fixed(t, v, digits);
    text_char(t, 'h');
}

// Ten at a time without a 64-bit division, for which a 32-bit guest would need the compiler's library.
void text_dec(struct text *t, uint64_t v)
{
    static const uint64_t powers[] = {
        10000000000000000000ull,
        1000000000000000000ull,
        100000000000000000ull,
        10000000000000000ull,
        1000000000000000ull,
        100000000000000ull,
        10000000000000ull,
        1000000000000ull,
        100000000000ull,
        10000000000ull,
        1000000000ull,
        100000000ull,
        10000000ull,
        1000000ull,
        100000ull,
        10000ull,
        1000ull,
        100ull,
        10ull,
        1ull,
    };
    int started = 0;
    for (unsigned i = 0; i < sizeof(powers) / sizeof(powers[0]); i++) {
        char digit = '0';
        for (; v >= powers[i]; v -= powers[i])
            digit++;
        started |= digit != '0' || powers[i] == 1;
        if (started)
            text_char(t, digit);
    }
}

const char *text_next(const char *words)
{
    while (*words++)
        ;
    return words;
}

const char *text_nth(const char *words, unsigned n)
{
    while (n--)
        words = text_next(words);
    return words;
}
