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

// A search that goes on for the machine's life, a row at a time.
struct screen_watch {
    struct regex expect, fail; // without a pattern it matches nothing
    bool fails;                // there is a pattern in `fail`
    uint8_t row;               // the next one to look at
    bool expected;             // seen; what fail= names gets one more look at every row before this counts
    uint8_t left;              // rows of that look
};

// Either pattern may be "". What regex_compile() says.
enum error screen_watch_init(struct screen_watch *w, const char *expect, const char *fail,
                             struct reason *why);
// Looks at the next row: under 15,000 instructions whatever the patterns, under 4,000 for common ones. A row
// that matches `fail` wins over one that matches `expect`.
enum screen_verdict screen_watch_step(struct screen_watch *w, struct space *space);
