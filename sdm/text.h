// Text built piece by piece into a caller's buffer. It never writes beyond it, always terminates it, and
// keeps counting when it is full, so that `len` is the length of the whole text. The manual's room has a
// builder of its own because it depends on no other room: guests link it too.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct text {
    char *buf;
    size_t size; // bytes in buf
    size_t len;  // characters that were added, also those that did not fit
};

static inline struct text text_in(char *buf, size_t size)
{
    if (size)
        buf[0] = 0;
    return (struct text){buf, size, 0};
}

void text_char(struct text *t, char c);
void text_add(struct text *t, const char *s);
void text_word(struct text *t, const char *s); // s, behind a blank unless it is the first
void text_hex(struct text *t, uint64_t v);     // "1f0h", as the manual writes it
void text_hex_fixed(struct text *t, uint64_t v, unsigned digits);
void text_dec(struct text *t, uint64_t v);

// Lists of words in one block, each ended by a zero byte: they need no pointers, which take more room than
// most words do.
const char *text_next(const char *words);            // the word behind this one
const char *text_nth(const char *words, unsigned n); // 0: the first one
