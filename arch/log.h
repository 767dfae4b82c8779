// The log, as every room sees it. A line goes out as "# text" on serial and screen; kernel/ owns rings,
// draining and TAP (kernel/report.h) and is reached through `log_sink`, set once at start-up.
// Formats: what sdm/text.h lists (a subset of printf). A line longer than LOG_LINE_MAX is cut.
// Any context: no lock is taken, nothing is allocated.
#pragma once
#include "arch/types.h"

enum { LOG_LINE_MAX = 480 };
enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

extern enum log_level log_threshold; // lines above it are dropped; kernel option loglevel=
extern void (*log_sink)(enum log_level level, const char *line, size_t len);

void log_print(enum log_level level, const char *format, ...) printf_like(2, 3);

#define log_error(...) log_print(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_print(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_print(LOG_INFO, __VA_ARGS__)
