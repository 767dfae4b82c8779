#include "guests/lib/print.h"
#include "guests/lib/cpu.h"
#include "guests/lib/string.h"

struct sink {
    char *to;
    size_t size, length;
};

struct field { // one conversion, parsed
    bool zero, alternate;
    unsigned width, longs;
};

static void put(struct sink *s, char c)
{
    if (s->length + 1 < s->size)
        s->to[s->length++] = c;
}

static void put_number(struct sink *s, const struct field *f, uint64_t value, unsigned base, bool negative)
{
    char digits[24];
    unsigned n = 0, prefix = negative + (f->alternate && base == 16 ? 2 : 0);
    do {
        uint64_t rest = base == 16 ? value >> 4 : divide(value, 10);
        digits[n++] = "0123456789abcdef"[value - rest * base];
        value = rest;
    } while (value);
    for (unsigned i = n + prefix; !f->zero && i < f->width; i++)
        put(s, ' ');
    if (negative)
        put(s, '-');
    if (f->alternate && base == 16)
        put(s, '0'), put(s, 'x');
    for (unsigned i = n + prefix; f->zero && i < f->width; i++)
        put(s, '0');
    while (n)
        put(s, digits[--n]);
}

static void put_string(struct sink *s, const struct field *f, const char *text)
{
    size_t n = strlen(text);
    while (*text)
        put(s, *text++);
    for (; n < f->width; n++)
        put(s, ' ');
}

static const char *parse_field(struct field *f, const char *p)
{
    *f = (struct field){0};
    for (;; p++) {
        if (*p == '0')
            f->zero = true;
        else if (*p == '#')
            f->alternate = true;
        else if (*p != '-')
            break;
    }
    for (; *p >= '0' && *p <= '9'; p++)
        f->width = f->width * 10 + (unsigned)(*p - '0');
    for (; *p == 'l'; p++)
        f->longs++;
    return p;
}

size_t format_text_v(char *to, size_t size, const char *format, va_list args)
{
    struct sink s = {to, size, 0};
    for (const char *p = format; *p; p++) {
        if (*p != '%') {
            put(&s, *p);
            continue;
        }
        struct field f;
        p = parse_field(&f, p + 1);
        if (*p == 's') {
            put_string(&s, &f, va_arg(args, const char *));
        } else if (*p == 'c') {
            put(&s, (char)va_arg(args, int));
        } else if (*p == 'p') {
            f.alternate = true;
            put_number(&s, &f, (word_t)va_arg(args, void *), 16, false);
        } else if (*p == 'd') {
            int64_t v = f.longs > 1   ? va_arg(args, long long)
                        : f.longs > 0 ? va_arg(args, long)
                                      : va_arg(args, int);
            put_number(&s, &f, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, 10, v < 0);
        } else if (*p == 'u' || *p == 'x') {
            uint64_t v = f.longs > 1   ? va_arg(args, unsigned long long)
                         : f.longs > 0 ? va_arg(args, unsigned long)
                                       : va_arg(args, unsigned);
            put_number(&s, &f, v, *p == 'u' ? 10 : 16, false);
        } else {
            put(&s, *p);
        }
    }
    if (size)
        to[s.length] = '\0';
    return s.length;
}

size_t format_text(char *to, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t n = format_text_v(to, size, format, args);
    va_end(args);
    return n;
}

void console_write(const char *text, size_t bytes)
{
    while (bytes) {
        size_t part = bytes < CONSOLE_WRITE_MAX ? bytes : CONSOLE_WRITE_MAX;
        sword_t taken = hypercall2(HC_CONSOLE_WRITE, (word_t)text, part);
        if (taken < 0 && taken != -E_AGAIN)
            return;
        if (taken <= 0) {
            yield();
            continue;
        }
        text += taken;
        bytes -= (size_t)taken;
    }
}

void print(const char *format, ...)
{
    char line[CONSOLE_WRITE_MAX];
    va_list args;
    va_start(args, format);
    console_write(line, format_text_v(line, sizeof line, format, args));
    va_end(args);
}
