// A guest's text screen: 80x25 cells of {character, attribute} at B8000h in its own memory, read as text so
// that it can be put in the log or searched. Pure: guest memory is reached through guest_read.
#pragma once
#include "arch/types.h"
#include "kernel/regex.h"
#include "mm/space.h"

enum { SCREEN_COLUMNS = 80, SCREEN_ROWS = 25 };

// Row `row` as printable ASCII: NUL and FFH become a blank, other bytes outside 20H..7EH a dot. Returns the
// length without trailing blanks; 0 too for a screen outside the machine's memory. `text` is not terminated.
size_t screen_row(struct space *space, unsigned row, char text[SCREEN_COLUMNS]);

// How many of `rows` are left without the blank ones at their end, of which at most `most` are looked at, some 2,000
// instructions each.
unsigned screen_trim(struct space *space, unsigned rows, unsigned most);

enum screen_verdict { SCREEN_NOTHING, SCREEN_EXPECTED, SCREEN_FAILED };

// A search that goes on for the machine's life, a row at a time. Either pattern may be NULL.
struct screen_search {
    const struct regex *expect, *fail;
    uint8_t row;   // the next one to look at
    bool expected; // seen; what fail= names gets one more look at every row before this counts
    uint8_t left;  // rows of that look
};

void screen_search_init(struct screen_search *s, const struct regex *expect, const struct regex *fail);
// Looks at the next row: under 15,000 instructions whatever the patterns, under 4,000 for common ones. A row
// that matches `fail` wins over one that matches `expect`.
enum screen_verdict screen_search_step(struct screen_search *s, struct space *space);
