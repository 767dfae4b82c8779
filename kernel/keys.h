// Words of the form key=value, judged by a table of keys: module lines and the hypervisor's own command line. Pure.
#pragma once
#include "arch/reason.h"
#include "kernel/words.h"

struct key;
// Stores `value` in `to`, which is what the table fills in. An error has its sentence in `why`; the field does not count
// then.
typedef enum error key_parser(const struct key *key, const char *value, void *to, struct reason *why);

struct choice {
    const char *word;
    uint64_t value;
};

struct key {
    const char *name;
    const char *expected; // what a good value is, for the sentence
    key_parser *parse;
    size_t offset, size; // of its field
    const char *none;    // a value that leaves the field as it is; NULL: there is none
    // For key_number: what reads it, and its bounds; 0 as the highest: none but the field's.
    bool (*read)(const char *text, uint64_t *value);
    uint64_t least, most, multiple_of;
    const struct choice *choices; // for key_choice and key_choices: WORDS
};
// clang-format off
#define WORDS(...) (const struct choice[]){__VA_ARGS__, {NULL, 0}}
// clang-format on
#define KEY_FIELD(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)

key_parser key_number;
key_parser key_choice;  // one of the words
key_parser key_choices; // some of them, commas between: the sum of their bits
key_parser key_text;    // kept as it is; E_TOO_BIG beyond the field

static inline void *key_field(const struct key *key, void *to)
{
    return (char *)to + key->offset;
}
// E_MALFORMED and "key=value: expected ...".
enum error key_refuse(const struct key *key, const char *value, struct reason *why);

// Judges a word and what word_next() said of it. `seen` has a bit for each key that was there already, which is an
// error; NULL: the last one counts. E_MALFORMED, E_TOO_BIG, and what parsers say.
enum error keys_parse(const struct key *keys, size_t count, enum word_result result, const char *word,
                      void *to, uint32_t *seen, struct reason *why);
