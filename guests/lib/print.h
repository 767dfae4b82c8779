// Console output by HC_CONSOLE_WRITE.
#pragma once
#include <stdarg.h>
#include <stddef.h>

// Formats %c %s %d %u %x %p and %%, with l and ll, a width, 0 and #. Returns the length, at most size - 1.
size_t format_text(char *to, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
size_t format_text_v(char *to, size_t size, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

// Writes to the console; waits while the log is full.
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void console_write(const char *text, size_t bytes);
