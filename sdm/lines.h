// A list for the log that grows by items and goes on in an indented line when it gets too wide. Pure.
#pragma once
#include <stdbool.h>
#include "sdm/text.h"

typedef void (*line_fn)(void *context, const char *line); // takes one line, without a line end

struct lines {
    line_fn line;
    void *context;
    const char *separator; // behind every item but the last: "," or ""
    struct text text;
    bool first; // nothing but the title yet
    char buf[240];
};

// Starts a list with what stands before its first item; " " for nothing but the indentation.
void lines_start(struct lines *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void lines_item(struct lines *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// Hands over the line that is under way; a list without items ends in `none` (NULL: is left out).
void lines_end(struct lines *l, const char *none);
