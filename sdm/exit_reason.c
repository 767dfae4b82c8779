#include "sdm/exit_reason.h"
#include <stddef.h>
#include "sdm/text.h"

// Name and words of a reason stand behind each other.
#define REASON_TO_MEMBER(number, name, words) char name[sizeof(#name "\0" words)];
#define REASON_TO_NAME(number, name, words)   #name "\0" words,
static const struct reason_names {
    char none[1];
    EXIT_REASONS(REASON_TO_MEMBER)
} names = {"", EXIT_REASONS(REASON_TO_NAME)};

#define REASON_TO_OFFSET(number, name, words) [number] = offsetof(struct reason_names, name),
static const uint16_t offsets[REASON_COUNT] = {EXIT_REASONS(REASON_TO_OFFSET)};

bool exit_reason_known(uint32_t reason)
{
    reason &= REASON_BASIC;
    return reason < REASON_COUNT && offsets[reason];
}

const char *exit_reason_name(uint32_t reason)
{
    return exit_reason_known(reason) ? names.none + offsets[reason & REASON_BASIC] : "UNKNOWN";
}

const char *exit_reason_words(uint32_t reason)
{
    return exit_reason_known(reason) ? text_next(exit_reason_name(reason)) : "unknown exit reason";
}
