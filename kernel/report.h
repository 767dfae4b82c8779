// The report: what leaves over serial and screen, as TAP 13 (docs/log.md). Lines and points are records in
// per-processor rings; whoever drains them numbers the points, so numbers are in order on the wire.
// A line is reserved whole: lines of different processors never mix, and nothing a guest prints can start a
// line or forge a point (bytes outside 20H..7EH become \xNN, ANSI sequences are dropped).
#pragma once
#include "arch/log.h"
#include "arch/types.h"

struct pcpu;
struct sink;

// Start-up, in this order. report_start(), once there is this_pcpu(), gives the boot processor a static ring, so that log
// lines work from the first lines of C on. Nothing is written out until the report is open.
void report_start(void);
// Another processor's ring, before it starts: `bytes` zeroed bytes, a power of two (16 KiB is plenty).
void report_add_ring(struct pcpu *p, void *zeroed, uint32_t bytes);
// A console (kernel/consoles.h opens the usual ones). At most SINKS_MAX.
void report_add_sink(const struct sink *sink);
// Begins to write, to the sinks there are; without any, all is dropped. `tap`: option tap=; off, points become "# "
// lines and there is no plan.
void report_open(bool tap);
bool report_is_open(void);
// Timeouts work from here on: what is in a ring drains by itself, a FIFO-full at a time.
void report_use_timeouts(uint64_t tsc_hz);

// Moves about `max_bytes` to the consoles, waiting for nothing, and returns whether something is left. If so,
// a timeout of this processor goes on with it: an idle processor may halt. Bounded by some 100 instructions a
// byte and 5,000 a line: 64 suits an exit, 1024 a processor that has nothing else to do. Only one processor
// drains at a time; for the others this is a short yes.
bool report_drain_step(size_t max_bytes);
// Everything goes out now, this processor waits for it: power-off, bail-out.
void report_drain(void);

enum point_result { POINT_NOT_OK, POINT_OK, POINT_SKIP };

// One test point "machine/name", both of [A-Za-z0-9._+/-]. `detail` (NULL or text, lines split at '\n') follows on "# "
// lines; for POINT_SKIP its first line is the reason. What makes more than RECORD_TEXT_MAX bytes with them is cut. Waits
// for nobody: if this processor's ring is full it drains it synchronously (points are never lost). Any context but NMI.
void report_point(enum point_result result, const char *machine, const char *name, const char *detail);

// REPORT_ROOM bytes of this processor's ring are free, enough for a point with details or some lines: a guest that
// finds less gets -E_AGAIN. Whoever checks first never waits and never loses a line.
enum { REPORT_ROOM = 4096 };
bool report_has_room(void);

// "# NAME| text": a line of guest console output. Control bytes are escaped here.
void report_guest_line(const char *machine, const char *text, size_t len);

// Ends the report: drains, writes the plan "1..N" and the summary line. Returns how many points were not ok.
uint32_t report_end(void);

// "Bail out! sentence": the log ends here, no plan follows. Drains.
void report_bail_out(const char *sentence);

// In the hands of panic(), while the other processors stand still: no locks, no rings.
// Sends what the rings hold, then "Bail out! sentence". From now on log lines go out at once.
void report_seize(const char *sentence);
// The log_sink of then: for a panic inside report_seize(), which must not enter it again.
void report_seized_line(enum log_level level, const char *line, size_t len);
void report_settle(void); // waits until it can be seen
