// What pure code expects of the kernel around it, for unit tests and fuzzers on the host.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "arch/log.h"
#include "arch/panic.h"
#include "arch/memory.h"

char *host_ram; // a test that needs RAM allocates it

enum log_level log_threshold = LOG_WARN;

void log_print(enum log_level level, const char *format, ...)
{
    if (level > log_threshold)
        return;
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

// A panic in a unit test is a failure unless the test set this to a jump of its own.
void (*host_panic_hook)(void);

void panic(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    if (host_panic_hook)
        host_panic_hook();
    abort();
}
