// How tests of spaces begin and end: a box of RAM, and at the end everything is back. They run under cmocka.
#pragma once
#include "mm/ept.h"
#include "tests/host/ram.h"

extern uint64_t free_at_start; // pages

// RAM of that many pages, a processor that can do this.
void mm_test_start(uint64_t pages, struct ept_features features);
// No processor runs a space any more, and all have been destroyed: every page, promise and object has come back.
void mm_test_finish(void);
// A group's teardown.
int mm_test_stop(void **state);
