#include "sdm/exit_reason.h"
#include <stddef.h>

// All words in one block, to whose members `offsets` has the way.
#define REASON_TO_MEMBER(number, name, words) char name[sizeof(words)];
#define REASON_TO_WORDS(number, name, words)  words,
static const struct reason_words {
    char none[1];
    EXIT_REASONS(REASON_TO_MEMBER)
} all_words = {"", EXIT_REASONS(REASON_TO_WORDS)};

#define REASON_TO_OFFSET(number, name, words) [number] = offsetof(struct reason_words, name),
static const uint16_t offsets[REASON_COUNT] = {EXIT_REASONS(REASON_TO_OFFSET)};

bool exit_reason_known(uint32_t reason)
{
    reason &= REASON_BASIC;
    return reason < REASON_COUNT && offsets[reason];
}

const char *exit_reason_words(uint32_t reason)
{
    return exit_reason_known(reason) ? (const char *)&all_words + offsets[reason & REASON_BASIC]
                                     : "unknown exit reason";
}
