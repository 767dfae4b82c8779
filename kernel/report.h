// The report: what leaves over serial and screen, as TAP 13 (docs/log.md). Lines and points are records in
// per-processor rings; whoever drains them numbers the points, so numbers are in order on the wire.
// A line is reserved whole: lines of different processors never mix, and nothing a guest prints can start a
// line or forge a point (bytes outside 20H..7EH become \xNN, ANSI sequences are dropped).
#pragma once
#include <stdarg.h>
#include "arch/log.h"
#include "arch/types.h"

enum point_result { POINT_NOT_OK, POINT_OK, POINT_SKIP };

// One test point "machine/name". `detail` (NULL or text, lines split at '\n') follows on "# " lines; for
// POINT_SKIP its first line is the reason. Waits for nobody: if this processor's ring is full it drains it
// synchronously (points are never lost). Any context but NMI.
void report_point(enum point_result result, const char *machine, const char *name, const char *detail);

// Room in this processor's ring for one more full line: a guest that finds none gets -E_AGAIN.
bool report_has_room(void);

// "# NAME| text": a line of guest console output. Control bytes are escaped here.
void report_guest_line(const char *machine, const char *text, size_t len);

// Ends the report: drains, writes the plan "1..N" and the summary line. Returns how many points were not ok.
uint32_t report_end(void);

// "Bail out! sentence": the log ends here, no plan follows. Drains.
void report_bail_out(const char *sentence);
