#include "kernel/tap.h"
#include "arch/string.h"
#include "kernel/report.h"
#include "sdm/text.h"

// Text on its way into a buffer that is known to be big enough.
struct cursor {
    char *at;
};

static void put_plain(struct cursor *c, const char *text)
{
    size_t n = strlen(text);
    memcpy(c->at, text, n);
    c->at += n;
}

static void put_escaped(struct cursor *c, const char *text, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    char *at = c->at;
    for (size_t i = 0; i < n; i++) {
        uint8_t byte = (uint8_t)text[i];
        if (byte >= 0x20 && byte < 0x7f) {
            *at++ = (char)byte;
            continue;
        }
        memcpy(at, (char[]){'\\', 'x', digits[byte >> 4], digits[byte & 15]}, 4);
        at += 4;
    }
    c->at = at;
}

static void put_number(struct cursor *c, uint32_t n)
{
    c->at += format(c->at, 11, "%u", n);
}

static void count(struct tap *t, enum point_result result)
{
    t->points++;
    if (result == POINT_NOT_OK)
        t->failed++;
    else if (result == POINT_SKIP)
        t->skipped++;
    else
        t->passed++;
}

// Takes the next line of [*text, end).
static size_t take_line(const char **text, const char *end, const char **line)
{
    const char *newline = memchr(*text, '\n', (size_t)(end - *text));
    *line = *text;
    *text = newline ? newline + 1 : end;
    return (size_t)((newline ? newline : end) - *line);
}

static void put_point(struct tap *t, struct cursor *c, enum point_result result, const char *text, size_t n)
{
    const char *line, *end = text + n;
    bool numbered = !t->off && !t->ended;
    if (!t->ended)
        count(t, result);
    if (!numbered)
        put_plain(c, "# ");
    put_plain(c, result == POINT_NOT_OK ? "not ok " : "ok ");
    if (numbered) {
        put_number(c, t->points);
        put_plain(c, " - ");
    }
    n = take_line(&text, end, &line);
    put_escaped(c, line, n);
    if (result == POINT_SKIP) {
        n = take_line(&text, end, &line);
        put_plain(c, n ? " # SKIP " : " # SKIP");
        put_escaped(c, line, n);
    }
    while (text < end) {
        n = take_line(&text, end, &line);
        if (n)
            put_plain(c, "\n# ");
        put_escaped(c, line, n);
    }
}

size_t tap_render(struct tap *t, const struct log_record *record, const char *text, char *out)
{
    struct cursor c = {out};
    if (record->kind == RECORD_POINT) {
        put_point(t, &c, record->detail, text, record->length);
    } else {
        put_plain(&c, "# ");
        put_escaped(&c, text, record->length);
    }
    put_plain(&c, "\n");
    return (size_t)(c.at - out);
}

size_t tap_end(struct tap *t, char *out)
{
    struct text text = text_in(out, TAP_LINE_MAX);
    if (!t->off)
        text_add(&text, "1..%u\n", t->points);
    text_add(&text, "# %u passed, %u failed", t->passed, t->failed);
    if (t->skipped)
        text_add(&text, ", %u skipped", t->skipped);
    text_char(&text, '\n');
    t->ended = true;
    return text.len;
}
