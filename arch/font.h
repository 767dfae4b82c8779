// The glyphs of the framebuffer console: printable ASCII, 5 x 8 dots. Pure.
#pragma once
#include "arch/types.h"

enum { FONT_FIRST = ' ', FONT_GLYPHS = 95, FONT_WIDTH = 5, FONT_HEIGHT = 8 };

extern const uint8_t font_columns[FONT_GLYPHS][FONT_WIDTH];

// One row of dots of `c`, bit 0 leftmost. Anything that is not printable ASCII shows as '?'.
static inline uint8_t font_row(char c, unsigned y)
{
    unsigned glyph = (uint8_t)c - (unsigned)FONT_FIRST;
    const uint8_t *columns = font_columns[glyph < FONT_GLYPHS ? glyph : '?' - FONT_FIRST];
    uint8_t dots = 0;
    for (unsigned x = 0; x < FONT_WIDTH; x++)
        dots |= (uint8_t)((columns[x] >> y & 1) << x);
    return dots;
}
