// Command lines into words, words into numbers: shared by the hypervisor's own command line and by module
// lines. Pure.
// GRUB puts double quotes around a whole argument that has spaces, and a backslash before each \, ' and " in
// any argument (2.06, captured in tests/data). The user's cmdline="a b" therefore arrives as "cmdline=a b".
#pragma once
#include "arch/types.h"

enum word_result { WORD_NONE, WORD_OK, WORD_UNBALANCED, WORD_TOO_LONG };

// Takes the next word from *line and puts it, without quotes and escapes, into buf[size]. Quotes, ' or ", may
// stand anywhere in a word; a backslash before \, ' or " is dropped, any other is kept. WORD_UNBALANCED: the
// line ends inside quotes (buf holds what there is). WORD_TOO_LONG: buf holds the start of the word. After
// either, *line stands behind the word.
enum word_result word_next(const char **line, char *buf, size_t size);

// All of `text` must be the number; false when it is malformed or does not fit.
bool number_parse(const char *text, uint64_t *value);  // 10, 0x1f
bool bytes_parse(const char *text, uint64_t *bytes);   // 4096, 4K, 16M, 1G
bool time_parse(const char *text, uint64_t *us);       // 100us, 10ms, 2s (a unit is required, except for 0)
bool cpu_list_parse(const char *text, uint64_t *bits); // 0,2-3: a bit per id; ids below 64

bool text_is(const char *a, const char *b); // equal strings
// True when `text` begins with `start`; *rest is what follows.
bool text_starts(const char *text, const char *start, const char **rest);
