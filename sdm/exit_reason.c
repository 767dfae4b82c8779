#include "sdm/exit_reason.h"

#define REASON_TO_ROW(number, name, words) [number] = words,
static const char *const all_words[REASON_COUNT] = {EXIT_REASONS(REASON_TO_ROW)};

bool exit_reason_known(uint32_t reason)
{
    reason &= REASON_BASIC;
    return reason < REASON_COUNT && all_words[reason];
}

const char *exit_reason_words(uint32_t reason)
{
    return exit_reason_known(reason) ? all_words[reason & REASON_BASIC] : "unknown exit reason";
}
