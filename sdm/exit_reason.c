#include "sdm/exit_reason.h"

#define REASON_TO_ROW(number, name, words) [number] = {#name, words},
static const struct {
    const char *name, *words;
} reasons[REASON_COUNT] = {EXIT_REASONS(REASON_TO_ROW)};

bool exit_reason_known(uint32_t reason)
{
    reason &= REASON_BASIC;
    return reason < REASON_COUNT && reasons[reason].name;
}

const char *exit_reason_words(uint32_t reason)
{
    return exit_reason_known(reason) ? reasons[reason & REASON_BASIC].words : "unknown exit reason";
}

const char *exit_reason_name(uint32_t reason)
{
    return exit_reason_known(reason) ? reasons[reason & REASON_BASIC].name : "UNKNOWN";
}
