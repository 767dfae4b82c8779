// From log records to lines of TAP 13 (docs/log.md). Whatever a record holds, lines come out in bytes 20H..7EH and
// start as its kind says. Pure.
#pragma once
#include "kernel/log_ring.h"

enum { TAP_LINE_MAX = 4 * RECORD_TEXT_MAX + 40 };

struct tap {
    bool off;   // no TAP: points become "# " lines and there is no plan
    bool ended; // the plan is out: a late point would contradict it
    uint32_t points, passed, failed, skipped;
};

// Renders a record into out[TAP_LINE_MAX] and counts it if it is a point. Returns the length of its lines, not
// terminated.
size_t tap_render(struct tap *t, const struct log_record *record, const char *text, char *out);

// The last lines, plan and summary, into out[TAP_LINE_MAX]; returns their length.
size_t tap_end(struct tap *t, char *out);
