#include "kernel/words.h"
#include "arch/string.h"

// Only spaces separate: GRUB quotes an argument that has one, but not for a tab or a newline.
static bool is_blank(char c)
{
    return c == ' ';
}

static bool is_quotable(char c)
{
    return c == '\\' || c == '\'' || c == '"';
}

enum word_result word_next(const char **line, char *buf, size_t size)
{
    const char *p = *line;
    size_t used = 0, length = 0;
    char quote = 0;

    while (is_blank(*p))
        p++;
    if (!*p) {
        *line = p;
        return WORD_NONE;
    }
    for (; *p && (quote || !is_blank(*p)); p++) {
        if (*p == '\\' && is_quotable(p[1]))
            p++; // and the quoted character is one like any other
        else if (quote ? *p == quote : *p == '\'' || *p == '"') {
            quote = quote ? 0 : *p;
            continue;
        }
        length++;
        if (used + 1 < size)
            buf[used++] = *p;
    }
    buf[used] = '\0';
    *line = p;
    if (quote)
        return WORD_UNBALANCED;
    return length > used ? WORD_TOO_LONG : WORD_OK;
}

// The value of a digit in any base up to 16; 255 for anything else.
static unsigned digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a') + 10;
    if (c >= 'A' && c <= 'F')
        return (unsigned)(c - 'A') + 10;
    return 255;
}

// Reads the digits that `text` starts with and returns what follows them; NULL when there are none or the
// number does not fit.
static const char *digits_parse(const char *text, unsigned base, uint64_t *value)
{
    const char *p = text;
    *value = 0;
    for (unsigned digit; (digit = digit_value(*p)) < base; p++)
        if (__builtin_mul_overflow(*value, base, value) || __builtin_add_overflow(*value, digit, value))
            return NULL;
    return p == text ? NULL : p;
}

static const char *number_start(const char *text, uint64_t *value)
{
    const char *digits;
    if (text_starts(text, "0x", &digits) || text_starts(text, "0X", &digits))
        return digits_parse(digits, 16, value);
    return digits_parse(text, 10, value);
}

bool number_parse(const char *text, uint64_t *value)
{
    const char *rest = number_start(text, value);
    return rest && !*rest;
}

struct unit {
    const char *word;
    uint64_t factor;
};

static bool unit_parse(const char *text, const struct unit *units, size_t count, uint64_t *value)
{
    const char *rest = number_start(text, value);
    if (!rest)
        return false;
    if (*value == 0 && !*rest)
        return true;
    for (size_t i = 0; i < count; i++)
        if (text_is(rest, units[i].word))
            return !__builtin_mul_overflow(*value, units[i].factor, value);
    return false;
}

bool bytes_parse(const char *text, uint64_t *bytes)
{
    static const struct unit units[] = {
        {"",  1      },
        {"K", 1 << 10},
        {"M", 1 << 20},
        {"G", 1 << 30},
        {"k", 1 << 10},
        {"m", 1 << 20},
        {"g", 1 << 30},
    };
    return unit_parse(text, units, array_size(units), bytes);
}

bool time_parse(const char *text, uint64_t *us)
{
    static const struct unit units[] = {
        {"us", 1      },
        {"ms", 1000   },
        {"s",  1000000}
    };
    return unit_parse(text, units, array_size(units), us);
}

// One element of a list: "3" or "2-5".
static const char *cpu_range_parse(const char *text, uint64_t *bits)
{
    uint64_t first, last;
    const char *rest = digits_parse(text, 10, &first);
    if (!rest)
        return NULL;
    last = first;
    if (*rest == '-')
        rest = digits_parse(rest + 1, 10, &last);
    if (!rest || last < first || last > 63)
        return NULL;
    for (uint64_t cpu = first; cpu <= last; cpu++)
        *bits |= 1ull << cpu;
    return rest;
}

bool cpu_list_parse(const char *text, uint64_t *bits)
{
    *bits = 0;
    for (const char *rest = cpu_range_parse(text, bits); rest; rest = cpu_range_parse(rest + 1, bits)) {
        if (!*rest)
            return true;
        if (*rest != ',')
            return false;
    }
    return false;
}

bool text_is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

bool text_starts(const char *text, const char *start, const char **rest)
{
    size_t length = strlen(start);
    if (strncmp(text, start, length) != 0)
        return false;
    *rest = text + length;
    return true;
}
