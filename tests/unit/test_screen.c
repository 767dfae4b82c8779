#include "arch/screen.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/font.h"

static const struct framebuffer vga = {FRAMEBUFFER_TEXT, {0xb8000}, 160, 80, 25, 16, 0, 0, 0, 0, 0, 0};

static struct framebuffer pixels(uint32_t width, uint32_t height, uint8_t bits)
{
    return (struct framebuffer){
        FRAMEBUFFER_RGB, {0}, width * bits / 8 + 12, width, height, bits, 16, 8, 8, 8, 0, 8};
}

// Exactly as many bytes as may be touched: the address sanitizer watches the rest.
static uint8_t *take(const struct framebuffer *fb)
{
    uint8_t *memory = malloc(framebuffer_bytes(fb));
    assert_non_null(memory);
    memset(memory, 0x55, framebuffer_bytes(fb));
    assert_true(screen_open(fb, memory));
    return memory;
}

static unsigned paint_all(uint32_t budget)
{
    unsigned steps = 1;
    while (screen_refresh(budget))
        assert_true(++steps < 1000000);
    return steps;
}

static void say(const char *text)
{
    screen_put(text, strlen(text));
}

static void expect_row(const uint8_t *memory, unsigned row, const char *want)
{
    char got[81] = "";
    for (unsigned i = 0; i < 80; i++) {
        char ch = (char)memory[row * 160 + i * 2];
        got[i] = ch ? ch : ' ';
    }
    for (unsigned i = 80; i && got[i - 1] == ' '; i--)
        got[i - 1] = 0;
    assert_string_equal(got, want);
}

static void shows_the_last_lines(void **state)
{
    (void)state;
    uint8_t *memory = take(&vga);
    for (unsigned i = 0; i < 100; i++) {
        char line[32];
        snprintf(line, sizeof line, "line %u\n", i);
        say(line);
        if (i % 7 == 0)
            screen_refresh(100);
    }
    paint_all(100);
    for (unsigned row = 0; row < 25; row++) {
        char want[32];
        snprintf(want, sizeof want, "line %u", 75 + row);
        expect_row(memory, row, want);
    }
    free(memory);
}

static void wraps_long_lines(void **state)
{
    (void)state;
    char text[171];
    uint8_t *memory = take(&vga);
    for (unsigned i = 0; i < 170; i++)
        text[i] = (char)('a' + i / 80);
    text[170] = 0;
    say(text);
    say("\n\nend\n");
    text[80] = 0; // exactly one row: its newline adds none
    say(text);
    say("\nlast\n");
    paint_all(1000);
    expect_row(memory, 20, "cccccccccc");
    expect_row(memory, 21, "");
    expect_row(memory, 22, "end");
    expect_row(memory, 23, text);
    expect_row(memory, 24, "last");
    free(memory);
}

static void a_step_draws_a_bounded_number_of_cells(void **state)
{
    (void)state;
    struct framebuffer fb = pixels(1024, 768, 32);
    uint8_t *memory = take(&fb);
    for (unsigned i = 0; i < 48; i++)
        say("################################################################################################"
            "\n");
    uint8_t *before = malloc(framebuffer_bytes(&fb));
    assert_non_null(before);
    memcpy(before, memory, framebuffer_bytes(&fb));
    assert_true(screen_refresh(800));
    unsigned changed = 0;
    for (uint64_t i = 0; i < framebuffer_bytes(&fb); i += 4)
        changed += memcmp(before + i, memory + i, 4) != 0;
    assert_in_range(changed, 1, 6 * 128); // six glyphs of 8 x 16 pixels at most
    assert_in_range(paint_all(800), 96 * 48 / 6, 96 * 48);
    assert_int_equal(paint_all(800), 1); // and nothing is left to do
    free(before);
    free(memory);
}

static void check_glyph(const struct framebuffer *fb, const uint8_t *memory, unsigned scale, char c)
{
    unsigned rows = fb->height / (16 * scale), bytes_per_pixel = fb->bits / 8;
    for (unsigned y = 0; y < 16 * scale; y++)
        for (unsigned x = 0; x < 8 * scale; x++) {
            const uint8_t *at = memory + ((rows - 1) * 16 * scale + y) * fb->pitch + x * bytes_per_pixel;
            uint32_t got = at[0] | at[1] << 8 | at[2] << 16;
            unsigned set = font_row(c, y / (2 * scale)) >> (x / scale) & 1;
            assert_int_equal(got, set ? 0xbfbfbf : 0);
        }
}

static void draws_glyphs_in_every_depth_and_size(void **state)
{
    (void)state;
    static const struct {
        uint32_t width, height;
        unsigned scale;
    } sizes[] = {
        {640,  480,  1},
        {1366, 768,  1},
        {1919, 1079, 1},
        {3840, 2160, 2},
        {8,    16,   1},
        {15,   31,   1}
    };
    for (size_t i = 0; i < array_size(sizes); i++)
        for (unsigned bits = 24; bits <= 32; bits += 8) {
            struct framebuffer fb = pixels(sizes[i].width, sizes[i].height, (uint8_t)bits);
            uint8_t *memory = take(&fb);
            say("filling the screen\nwith lines\nA\n");
            paint_all(10000);
            check_glyph(&fb, memory, sizes[i].scale, 'A');
            free(memory);
        }
}

static void refuses_what_it_cannot_draw(void **state)
{
    (void)state;
    static uint8_t memory[16];
    struct framebuffer fb = pixels(640, 480, 32);
    assert_int_equal(framebuffer_bytes(&fb), (640 * 4 + 12) * 480);
    fb.bits = 16;
    assert_false(screen_open(&fb, memory));
    fb = pixels(640, 480, 32);
    fb.pitch = 639 * 4;
    assert_false(screen_open(&fb, memory));
    fb = pixels(640, 480, 32);
    fb.red_at = 32;
    assert_false(screen_open(&fb, memory));
    fb = pixels(7, 480, 32);
    assert_false(screen_open(&fb, memory));
    fb = vga;
    fb.pitch = 158;
    assert_false(screen_open(&fb, memory));
    fb = (struct framebuffer){
        .type = FRAMEBUFFER_INDEXED, .pitch = 640, .width = 640, .height = 480, .bits = 8};
    assert_false(screen_open(&fb, memory));
    assert_false(screen_open(&vga, NULL));
}

static void glyphs_differ_from_each_other(void **state)
{
    (void)state;
    for (char a = '!'; a < 0x7f; a++)
        for (char b = ' '; b < a; b++) {
            bool same = true;
            for (unsigned y = 0; y < FONT_HEIGHT; y++)
                same &= font_row(a, y) == font_row(b, y);
            if (same)
                fail_msg("%c and %c look the same", a, b);
        }
    assert_int_equal(font_row('\xff', 0), font_row('?', 0));
    assert_int_equal(font_row('\n', 3), font_row('?', 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_the_last_lines),
        cmocka_unit_test(wraps_long_lines),
        cmocka_unit_test(a_step_draws_a_bounded_number_of_cells),
        cmocka_unit_test(draws_glyphs_in_every_depth_and_size),
        cmocka_unit_test(refuses_what_it_cannot_draw),
        cmocka_unit_test(glyphs_differ_from_each_other),
    };
    return cmocka_run_group_tests_name("screen", tests, NULL, NULL);
}
