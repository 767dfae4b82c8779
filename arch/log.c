#include "arch/log.h"
#include "sdm/text.h"

enum log_level log_threshold = LOG_INFO;
void (*log_sink)(enum log_level level, const char *line, size_t len);

void log_print(enum log_level level, const char *fmt, ...)
{
    if (level > log_threshold || !log_sink)
        return;
    char line[LOG_LINE_MAX + 1];
    struct text t = text_in(line, sizeof line);
    va_list args;
    va_start(args, fmt);
    text_add_v(&t, fmt, args);
    va_end(args);
    log_sink(level, line, min_u64(t.len, LOG_LINE_MAX));
}
