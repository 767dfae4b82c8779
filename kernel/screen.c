#include "kernel/screen.h"

enum { SCREEN_GPA = 0xb8000 };

struct cell {
    uint8_t character, attribute;
};

static char printable(uint8_t c)
{
    if (c >= 0x20 && c < 0x7f)
        return (char)c;
    return c == 0 || c == 0xff ? ' ' : '.';
}

size_t screen_row(struct space *space, unsigned row, char text[SCREEN_COLUMNS])
{
    struct cell cells[SCREEN_COLUMNS];
    if (guest_read(space, gpa(SCREEN_GPA + row * sizeof(cells)), cells, sizeof(cells)) != E_OK)
        return 0;
    size_t len = 0;
    for (unsigned i = 0; i < SCREEN_COLUMNS; i++) {
        text[i] = printable(cells[i].character);
        if (text[i] != ' ')
            len = i + 1;
    }
    return len;
}

unsigned screen_trim(struct space *space, unsigned rows, unsigned most)
{
    char text[SCREEN_COLUMNS];
    while (rows > 0 && most-- && screen_row(space, rows - 1, text) == 0)
        rows--;
    return rows;
}

enum error screen_watch_init(struct screen_watch *w, const char *expect, const char *fail, struct reason *why)
{
    *w = (struct screen_watch){.fails = *fail};
    enum error e = *expect ? regex_compile(&w->expect, expect, why) : E_OK;
    return e || !*fail ? e : regex_compile(&w->fail, fail, why);
}

// One row against both patterns. What was expected counts at once when nothing can contradict it, else after
// one whole round without what must not be there.
static enum screen_verdict look(struct screen_watch *w, const char *text, size_t len)
{
    if (regex_search(&w->fail, text, len))
        return SCREEN_FAILED;
    if (w->expected)
        return --w->left == 0 ? SCREEN_EXPECTED : SCREEN_NOTHING;
    w->expected = regex_search(&w->expect, text, len);
    w->left = SCREEN_ROWS;
    return w->expected && !w->fails ? SCREEN_EXPECTED : SCREEN_NOTHING;
}

enum screen_verdict screen_watch_step(struct screen_watch *w, struct space *space)
{
    char text[SCREEN_COLUMNS];
    size_t len = screen_row(space, w->row, text);
    w->row = (uint8_t)((w->row + 1) % SCREEN_ROWS);
    return look(w, text, len);
}
