#include "sdm/exit_reason.h"

#define REASON_TO_ROW(number, name, words) [number] = {#name, words},
static const struct {
    const char *name, *words;
} reasons[REASON_COUNT] = {EXIT_REASONS(REASON_TO_ROW)};

const char *exit_reason_words(uint32_t reason)
{
    reason &= REASON_BASIC;
    return reason < REASON_COUNT && reasons[reason].words ? reasons[reason].words : "unknown exit reason";
}

const char *exit_reason_name(uint32_t reason)
{
    reason &= REASON_BASIC;
    return reason < REASON_COUNT && reasons[reason].name ? reasons[reason].name : "UNKNOWN";
}
