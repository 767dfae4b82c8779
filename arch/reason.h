// Why something was refused, as a sentence for the user: filled in where the error arises, once, and
// carried up unchanged to the log line that names the culprit.
#pragma once
#include "abi/error.h"
#include "arch/types.h"

struct reason {
    char text[160];
};

// Writes the sentence and returns `e`, so that a failing function ends in one line:
//     return reason_set(why, E_MALFORMED, "segment %u ends beyond the file", i);
enum error reason_set(struct reason *why, enum error e, const char *format, ...) printf_like(3, 4);
