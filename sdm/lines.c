#include "sdm/lines.h"

enum { WIDTH = 110 };

static size_t length(const char *s)
{
    size_t n = 0;
    while (s[n])
        n++;
    return n;
}

void lines_start(struct lines *l, const char *title)
{
    l->text = text_in(l->buf, sizeof(l->buf));
    l->first = true;
    text_add(&l->text, *title ? title : " ");
}

void lines_item(struct lines *l, const char *item)
{
    if (!l->first)
        text_add(&l->text, l->separator);
    if (l->text.len + length(item) >= WIDTH && l->text.len > 1) {
        l->line(l->context, l->buf);
        l->text = text_in(l->buf, sizeof(l->buf));
        text_char(&l->text, ' ');
    }
    text_word(&l->text, item);
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
