#include "sdm/lines.h"

enum { WIDTH = 110 };

void lines_start(struct lines *l, const char *fmt, ...)
{
    va_list args;
    l->text = text_in(l->buf, sizeof(l->buf));
    l->first = true;
    va_start(args, fmt);
    text_add_v(&l->text, fmt, args);
    va_end(args);
}

void lines_item(struct lines *l, const char *fmt, ...)
{
    char buf[100];
    struct text item = text_in(buf, sizeof(buf));
    va_list args;
    va_start(args, fmt);
    text_add_v(&item, fmt, args);
    va_end(args);
    if (!l->first)
        text_add(&l->text, "%s", l->separator);
    if (l->text.len + item.len >= WIDTH && l->text.len > 1) {
        l->line(l->context, l->buf);
        l->text = text_in(l->buf, sizeof(l->buf));
        text_char(&l->text, ' ');
    }
    text_word(&l->text, buf);
    l->first = false;
}

void lines_end(struct lines *l, const char *none)
{
    if (l->first && !none)
        return;
    if (l->first)
        text_word(&l->text, none);
    l->line(l->context, l->buf);
}
