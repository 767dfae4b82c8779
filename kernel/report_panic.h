// The report in the hands of panic(): no locks, no rings, the other processors stand still.
#pragma once
#include "arch/log.h"

// Sends what the rings hold, then "Bail out! sentence". From now on log lines go out at once.
void report_seize(const char *sentence);
// The log_sink of then: for a panic inside report_seize(), which must not enter it again.
void report_seized_line(enum log_level level, const char *line, size_t len);
void report_settle(void); // waits until it can be seen

bool report_has_pcpus(void); // may this_pcpu() be called?
bool report_has_sinks(void); // is there a console yet?
