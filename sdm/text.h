// Text in a caller's buffer, without a C library. It is never written beyond the buffer, always terminated, and
// counted on when the buffer is full, so that the length is that of the whole text.
// Formats understand %s %.*s %c %% %d %u %x with l, ll, z, width, 0 and -.
#pragma once
#include <stdarg.h>
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
void text_add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_add_v(struct text *t, const char *fmt, va_list args) __attribute__((format(printf, 2, 0)));
void text_word(struct text *t, const char *s); // s, behind a blank unless it is the first

// Formats into buf[size] and returns the length of the whole text, like snprintf: a return >= size means it was cut.
size_t format(char *buf, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

// Lists of words in one block, each ended by a zero byte: they need no pointers, which take more room than
// most words do.
const char *text_next(const char *words);            // the word behind this one
const char *text_nth(const char *words, unsigned n); // 0: the first one
