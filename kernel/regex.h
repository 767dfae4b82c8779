// Small regular expressions for expect=screen: and fail=screen:, compiled into bit masks and run as one
// 64-bit set of states: no allocation, no backtracking, at most some 80 instructions a byte of text whatever
// the pattern. Understood: literals, . * + ? [a-z] [^a-z] \x (x itself), ^ at the start and $ at the end of
// an alternative, | between alternatives. No groups. Pure.
#pragma once
#include "arch/reason.h"
#include "arch/types.h"

enum { REGEX_STATES = 64, REGEX_BYTES = 129 }; // 128 ASCII characters, and one entry for all other bytes

// State i of the set means "item i comes next". Each alternative's items are followed by one state that
// stands for "all of it was seen".
struct regex {
    uint64_t accepts[REGEX_BYTES]; // per byte: items that accept it
    uint64_t skip;                 // items that may be left out: * ?
    uint64_t loop;                 // items that may repeat: * +
    uint64_t start, start_text;    // first items: anywhere, only at the start of the text
    uint64_t end, end_text;        // end states: anywhere, only at the end of the text
};

// E_MALFORMED, E_TOO_BIG (more than REGEX_STATES items and alternatives), E_UNSUPPORTED (groups, {}), with
// the sentence in `why`.
enum error regex_compile(struct regex *re, const char *pattern, struct reason *why);
// Whether `text` contains a match. `text` may hold any bytes.
bool regex_search(const struct regex *re, const char *text, size_t len);
