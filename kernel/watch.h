// The screen of a machine with expect=screen: or fail=screen:, watched for those regular expressions.
#pragma once
#include "kernel/machine.h"
#include "kernel/screen.h"

void watch_init(void);
// *watch stays NULL when the machine names no expression. E_MALFORMED..., E_NO_MEMORY with the sentence.
enum error watch_create(struct screen_watch **watch, const struct machine *m, uint16_t owner,
                        struct reason *why);
void watch_destroy(struct screen_watch *watch, uint16_t owner); // NULL is fine
uint64_t watch_bytes(void);
