#include "arch/format.h"
#include "arch/string.h"

struct output {
    char *buf;
    size_t size, len; // len counts on beyond size: the length of the whole text
};

struct spec { // one conversion, from '%' to its letter
    bool left, zero;
    size_t width;
    size_t precision; // SIZE_MAX: none
    unsigned longs;   // l, ll, z: how many halves of the argument's width beyond int
};

static void put(struct output *out, char c)
{
    if (out->len + 1 < out->size)
        out->buf[out->len] = c;
    out->len++;
}

static void pad(struct output *out, size_t have, size_t want, char with)
{
    for (; have < want; have++)
        put(out, with);
}

static void put_text(struct output *out, const struct spec *sp, const char *s, size_t len)
{
    if (!sp->left)
        pad(out, len, sp->width, ' ');
    for (size_t i = 0; i < len; i++)
        put(out, s[i]);
    if (sp->left)
        pad(out, len, sp->width, ' ');
}

static void put_number(struct output *out, const struct spec *sp, uint64_t v, unsigned base, bool negative)
{
    char digits[24]; // 20 decimal digits of 2^64 and a sign
    size_t at = sizeof digits;
    do
        digits[--at] = "0123456789abcdef"[v % base];
    while (v /= base);

    if (sp->zero && !sp->left) { // the sign goes before the zeros
        size_t have = sizeof digits - at + negative;
        if (negative)
            put(out, '-');
        pad(out, have, sp->width, '0');
        put_text(out, &(struct spec){0}, digits + at, sizeof digits - at);
        return;
    }
    if (negative)
        digits[--at] = '-';
    put_text(out, sp, digits + at, sizeof digits - at);
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
        sp.longs++;
    return sp;
}

static void put_signed(struct output *out, const struct spec *sp, va_list *args)
{
    int64_t v = sp->longs ? va_arg(*args, long) : va_arg(*args, int);
    put_number(out, sp, v < 0 ? -(uint64_t)v : (uint64_t)v, 10, v < 0);
}

static void put_unsigned(struct output *out, const struct spec *sp, unsigned base, va_list *args)
{
    put_number(out, sp, sp->longs ? va_arg(*args, unsigned long) : va_arg(*args, unsigned), base, false);
}

static void put_string(struct output *out, const struct spec *sp, va_list *args)
{
    const char *s = va_arg(*args, const char *);
    if (!s)
        s = "(null)";
    put_text(out, sp, s, sp->precision == SIZE_MAX ? strlen(s) : strnlen(s, sp->precision));
}

// Converts the argument that *fmt describes ('%' is behind us). What is not understood appears as written.
static void convert(struct output *out, const char **fmt, va_list *args)
{
    const char *start = *fmt;
    struct spec sp = read_spec(fmt, args);
    char letter = **fmt;
    if (letter)
        (*fmt)++;
    if (letter == 's')
        put_string(out, &sp, args);
    else if (letter == 'c')
        put_text(out, &sp, &(char){(char)va_arg(*args, int)}, 1);
    else if (letter == 'd')
        put_signed(out, &sp, args);
    else if (letter == 'u')
        put_unsigned(out, &sp, 10, args);
    else if (letter == 'x')
        put_unsigned(out, &sp, 16, args);
    else if (letter == '%')
        put(out, '%');
    else {
        put(out, '%');
        put_text(out, &(struct spec){0}, start, (size_t)(*fmt - start));
    }
}

size_t format_v(char *buf, size_t size, const char *fmt, va_list args)
{
    struct output out = {buf, size, 0};
    va_list left; // a va_list that was a parameter is a pointer: only a copy can be passed on by address
    va_copy(left, args);
    while (*fmt) {
        char c = *fmt++;
        if (c == '%')
            convert(&out, &fmt, &left);
        else
            put(&out, c);
    }
    va_end(left);
    if (size)
        buf[min_u64(out.len, size - 1)] = 0;
    return out.len;
}

size_t format(char *buf, size_t size, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    size_t len = format_v(buf, size, fmt, args);
    va_end(args);
    return len;
}
