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

void screen_search_init(struct screen_search *s, const struct regex *expect, const struct regex *fail)
{
    *s = (struct screen_search){.expect = expect, .fail = fail};
}

// One row against both patterns. What was expected counts at once when nothing can contradict it, else after
// one whole round without what must not be there.
static enum screen_verdict look(struct screen_search *s, const char *text, size_t len)
{
    if (s->fail && regex_search(s->fail, text, len))
        return SCREEN_FAILED;
    if (s->expected)
        return --s->left == 0 ? SCREEN_EXPECTED : SCREEN_NOTHING;
    s->expected = s->expect && regex_search(s->expect, text, len);
    s->left = SCREEN_ROWS;
    return s->expected && !s->fail ? SCREEN_EXPECTED : SCREEN_NOTHING;
}

enum screen_verdict screen_search_step(struct screen_search *s, struct space *space)
{
    char text[SCREEN_COLUMNS];
    size_t len = screen_row(space, s->row, text);
    s->row = (uint8_t)((s->row + 1) % SCREEN_ROWS);
    return look(s, text, len);
}
