#include "arch/screen.h"
#include "arch/font.h"
#include "arch/string.h"

enum {
    COLUMNS_MAX = 240,
    ROWS_MAX = 72,
    CELL_WIDTH = 8, // pixels at scale 1: a glyph of 5 dots and space, dots twice as high as wide
    CELL_HEIGHT = 2 * FONT_HEIGHT,
    SCALE_MAX = 2,
    TEXT_ATTRIBUTE = 7, // light grey on black
    COMPARE_UNITS = 2,  // units of screen_refresh(), some 6 instructions each
    CELL_UNITS = 5,
    GLYPH_UNITS = 200,
    CELLS_AT_ONCE = 8, // compared as one quadword
};
_Static_assert(COLUMNS_MAX % CELLS_AT_ONCE == 0, "rows are compared in quadwords");

// `wanted` is a ring of lines, `shown` what has been painted; a row is painted where the two differ.
static struct screen {
    uint8_t *base;
    uint32_t pitch;
    uint32_t pixel_bytes; // 0: text mode
    uint32_t scale;       // pixels a dot, to the right
    uint32_t ink;         // pixel value; paper is 0
    uint32_t columns, rows;
    uint32_t bottom, column;     // line of the ring, and place in it, where text goes on
    uint32_t scan, rows_to_scan; // row that is compared next; how many are left
    bool ended;                  // the next byte begins a new line
    char wanted[ROWS_MAX][COLUMNS_MAX] __attribute__((aligned(8)));
    char shown[ROWS_MAX][COLUMNS_MAX] __attribute__((aligned(8)));
} screen;

static bool is_text(const struct framebuffer *fb)
{
    return fb->type == FRAMEBUFFER_TEXT && fb->bits == 16;
}

static bool is_pixels(const struct framebuffer *fb)
{
    return fb->type == FRAMEBUFFER_RGB && (fb->bits == 24 || fb->bits == 32) &&
           fb->pitch / (fb->bits / 8u) >= fb->width && fb->red_at < 32 && fb->green_at < 32 &&
           fb->blue_at < 32;
}

uint64_t framebuffer_bytes(const struct framebuffer *fb)
{
    bool usable = is_pixels(fb) || (is_text(fb) && fb->pitch / 2 >= fb->width);
    return usable ? (uint64_t)fb->pitch * fb->height : 0;
}

// A grey of 6/8 of full brightness, whatever the depth of the colours.
static uint32_t grey(const struct framebuffer *fb)
{
    uint32_t at[] = {fb->red_at, fb->green_at, fb->blue_at};
    uint32_t bits[] = {fb->red_bits, fb->green_bits, fb->blue_bits};
    uint32_t pixel = 0;
    for (size_t i = 0; i < array_size(at); i++)
        pixel |= bits[i] && bits[i] < 32 ? (uint32_t)(((1ull << bits[i]) - 1) * 3 / 4 << at[i]) : 0;
    return pixel;
}

bool screen_open(const struct framebuffer *fb, void *base)
{
    if (!framebuffer_bytes(fb) || !base)
        return false;
    bool text = is_text(fb);
    uint32_t scale = !text && fb->width >= CELL_WIDTH * COLUMNS_MAX + CELL_WIDTH ? SCALE_MAX : 1;
    uint32_t columns = text ? fb->width : fb->width / (CELL_WIDTH * scale);
    uint32_t rows = text ? fb->height : fb->height / (CELL_HEIGHT * scale);
    if (!columns || !rows)
        return false;
    screen.base = base;
    screen.pitch = fb->pitch;
    screen.pixel_bytes = text ? 0 : fb->bits / 8;
    screen.scale = scale;
    screen.ink = grey(fb);
    screen.columns = (uint32_t)min_u64(columns, COLUMNS_MAX);
    screen.rows = (uint32_t)min_u64(rows, ROWS_MAX);
    screen.bottom = screen.rows - 1;
    screen.column = 0;
    screen.ended = false;
    screen.scan = screen.rows_to_scan = 0;
    memset(screen.wanted, ' ', sizeof screen.wanted);
    memset(screen.shown, ' ', sizeof screen.shown);
    memset(base, 0, framebuffer_bytes(fb)); // black in either mode: attribute 0, or pixels
    return true;
}

static void new_line(void)
{
    screen.bottom = (screen.bottom + 1) % screen.rows;
    screen.column = 0;
    screen.ended = false;
    memset(screen.wanted[screen.bottom], ' ', COLUMNS_MAX);
}

// A newline takes effect with the next byte, so that the bottom row is not wasted on an empty line.
void screen_put(const char *bytes, size_t n)
{
    if (!screen.base)
        return;
    for (size_t i = 0; i < n; i++) {
        bool ends = bytes[i] == '\n';
        if (screen.ended || (!ends && screen.column == screen.columns))
            new_line();
        if (ends)
            screen.ended = true;
        else
            screen.wanted[screen.bottom][screen.column++] = bytes[i];
    }
    screen.rows_to_scan = screen.rows;
}

// A row of dots as pixels; returns how many bytes they have.
static size_t make_row(uint8_t dots, uint8_t *row)
{
    size_t n = 0;
    for (uint32_t end = 1u << CELL_WIDTH, dot = 1; dot < end; dot <<= 1)
        for (uint32_t i = 0; i < screen.scale; i++, n += screen.pixel_bytes) {
            uint32_t pixel = dots & dot ? screen.ink : 0;
            memcpy(row + n, &pixel, sizeof pixel); // what is beyond its bytes is the next one's
        }
    return n;
}

static void draw_pixels(char c, uint32_t row, uint32_t column)
{
    const uint32_t scale = screen.scale;
    uint8_t pixels[CELL_WIDTH * SCALE_MAX * sizeof(uint32_t)];
    uint8_t *at = screen.base + (uint64_t)row * CELL_HEIGHT * scale * screen.pitch +
                  (uint64_t)column * CELL_WIDTH * scale * screen.pixel_bytes;
    for (uint32_t y = 0; y < FONT_HEIGHT; y++) {
        size_t n = make_row(font_row(c, y), pixels);
        for (uint32_t i = 0; i < 2 * scale; i++, at += screen.pitch)
            memcpy(at, pixels, n);
    }
}

static uint32_t draw(char c, uint32_t row, uint32_t column)
{
    if (screen.pixel_bytes) {
        draw_pixels(c, row, column);
        return GLYPH_UNITS * screen.scale * screen.scale;
    }
    volatile uint16_t *cell = (volatile uint16_t *)(screen.base + (uint64_t)row * screen.pitch) + column;
    *cell = (uint16_t)(TEXT_ATTRIBUTE << 8 | (uint8_t)c);
    return CELL_UNITS;
}

static uint64_t cells(const char *at)
{
    uint64_t v;
    memcpy(&v, at, sizeof v);
    return v;
}

// Paints cells where `wanted` and `shown` differ, until `budget` is spent; returns the units that took.
static uint32_t paint(const char *wanted, char *shown, uint32_t row, uint32_t column, uint32_t budget)
{
    uint32_t units = COMPARE_UNITS;
    if (cells(wanted + column) == cells(shown + column))
        return units;
    for (uint32_t end = column + CELLS_AT_ONCE; column < end && units < budget; column++) {
        if (wanted[column] == shown[column])
            continue;
        shown[column] = wanted[column];
        units += draw(wanted[column], row, column);
    }
    return units;
}

bool screen_refresh(uint32_t budget)
{
    uint32_t spent = 0;
    while (screen.rows_to_scan && spent < budget) {
        uint32_t row = screen.scan, column = 0;
        const char *wanted = screen.wanted[(screen.bottom + 1 + row) % screen.rows];
        while (column < screen.columns && spent < budget) {
            spent += paint(wanted, screen.shown[row], row, column, budget - spent);
            column += CELLS_AT_ONCE;
        }
        if (spent >= budget)
            break; // this row again: what is painted already costs next to nothing
        screen.scan = (row + 1) % screen.rows;
        screen.rows_to_scan--;
    }
    return screen.rows_to_scan != 0;
}
