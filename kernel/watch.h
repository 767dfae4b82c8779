// The screen of a machine with expect=screen: or fail=screen:, watched for those regular expressions.
#pragma once
#include "kernel/machine.h"
#include "kernel/screen.h"

struct screen_watch;

void watch_init(void);
// *watch stays NULL when the machine names no expression. E_MALFORMED..., E_NO_MEMORY with the sentence.
enum error watch_create(struct screen_watch **watch, const struct machine *m, uint16_t owner,
                        struct reason *why);
void watch_destroy(struct screen_watch *watch, uint16_t owner); // NULL is fine
// Bounded work; see screen_search_step().
enum screen_verdict watch_step(struct screen_watch *watch, struct space *space);
uint64_t watch_bytes(void);
