// The buddy's invariants (mm/buddy.h).
#pragma once
#include "mm/buddy.h"

// Checks every one over all records; NULL or the sentence that is broken.
const char *buddy_check(const struct buddy *b);
