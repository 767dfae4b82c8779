#include "sdm/text.h"
#include <stdbool.h>

struct spec { // one conversion, from '%' to its letter
    bool left, zero;
    size_t width;
    size_t precision; // SIZE_MAX: none
    bool is_long;     // l, ll, z: the argument has the width of a long
};

void text_char(struct text *t, char c)
{
    if (t->len + 1 < t->size) {
        t->buf[t->len] = c;
        t->buf[t->len + 1] = 0;
    }
    t->len++;
}

static void pad(struct text *t, size_t have, size_t want, char with)
{
    for (; have < want; have++)
        text_char(t, with);
}

static void put_text(struct text *t, const struct spec *sp, const char *s, size_t len)
{
    if (!sp->left)
        pad(t, len, sp->width, ' ');
    for (size_t i = 0; i < len; i++)
        text_char(t, s[i]);
    if (sp->left)
        pad(t, len, sp->width, ' ');
}

static void put_number(struct text *t, const struct spec *sp, uint64_t v, unsigned base, bool negative)
{
    char digits[24]; // 20 decimal digits of 2^64 and a sign
    size_t at = sizeof digits;
    do
        digits[--at] = "0123456789abcdef"[v % base];
    while (v /= base);

    if (sp->zero && !sp->left) { // the sign goes before the zeros
        size_t have = sizeof digits - at + negative;
        if (negative)
            text_char(t, '-');
        pad(t, have, sp->width, '0');
        put_text(t, &(struct spec){0}, digits + at, sizeof digits - at);
        return;
    }
    if (negative)
        digits[--at] = '-';
    put_text(t, sp, digits + at, sizeof digits - at);
}

static size_t read_count(const char **fmt, va_list *args)
{
    if (**fmt == '*') {
        (*fmt)++;
        int n = va_arg(*args, int);
        return n < 0 ? 0 : (size_t)n;
    }
    size_t n = 0;
    for (; **fmt >= '0' && **fmt <= '9'; (*fmt)++)
        n = n * 10 + (size_t)(**fmt - '0');
    return n;
}

static struct spec read_spec(const char **fmt, va_list *args)
{
    struct spec sp = {.precision = SIZE_MAX};
    for (; **fmt == '-' || **fmt == '0'; (*fmt)++)
        *(**fmt == '-' ? &sp.left : &sp.zero) = true;
    sp.width = read_count(fmt, args);
    if (**fmt == '.') {
        (*fmt)++;
        sp.precision = read_count(fmt, args);
    }
    for (; **fmt == 'l' || **fmt == 'z'; (*fmt)++)
        sp.is_long = true;
    return sp;
}

static void put_signed(struct text *t, const struct spec *sp, va_list *args)
{
    int64_t v = sp->is_long ? va_arg(*args, long) : va_arg(*args, int);
    put_number(t, sp, v < 0 ? -(uint64_t)v : (uint64_t)v, 10, v < 0);
}

static void put_unsigned(struct text *t, const struct spec *sp, unsigned base, va_list *args)
{
    put_number(t, sp, sp->is_long ? va_arg(*args, unsigned long) : va_arg(*args, unsigned), base, false);
}

static void put_string(struct text *t, const struct spec *sp, va_list *args)
{
    const char *s = va_arg(*args, const char *);
    size_t len = 0;
    if (!s)
        s = "(null)";
    while (len < sp->precision && s[len])
        len++;
    put_text(t, sp, s, len);
}

// Converts the argument that *fmt describes ('%' is behind us). What is not understood appears as written.
static void convert(struct text *t, const char **fmt, va_list *args)
{
    const char *start = *fmt;
    struct spec sp = read_spec(fmt, args);
    char letter = **fmt;
    if (letter)
        (*fmt)++;
    if (letter == 's')
        put_string(t, &sp, args);
    else if (letter == 'c')
        put_text(t, &sp, &(char){(char)va_arg(*args, int)}, 1);
    else if (letter == 'd')
        put_signed(t, &sp, args);
    else if (letter == 'u')
        put_unsigned(t, &sp, 10, args);
    else if (letter == 'x')
        put_unsigned(t, &sp, 16, args);
    else if (letter == '%')
        text_char(t, '%');
    else {
        text_char(t, '%');
        put_text(t, &(struct spec){0}, start, (size_t)(*fmt - start));
    }
}

void text_add_v(struct text *t, const char *fmt, va_list args)
{
    va_list left; // a va_list that was a parameter is a pointer: only a copy can be passed on by address
    va_copy(left, args);
    while (*fmt) {
        char c = *fmt++;
        if (c == '%')
            convert(t, &fmt, &left);
        else
            text_char(t, c);
    }
    va_end(left);
}

void text_add(struct text *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    text_add_v(t, fmt, args);
    va_end(args);
}

void text_word(struct text *t, const char *s)
{
    text_add(t, t->len ? " %s" : "%s", s);
}

size_t format(char *buf, size_t size, const char *fmt, ...)
{
    struct text t = text_in(buf, size);
    va_list args;
    va_start(args, fmt);
    text_add_v(&t, fmt, args);
    va_end(args);
    return t.len;
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
