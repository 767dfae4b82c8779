// Text formatting without a C library. Understood: %s %.*s %c %% %d %u %x with l, ll, z, width, 0 and -.
#pragma once
#include <stdarg.h>
#include "arch/types.h"

// Formats into buf[size] (always terminated when size > 0) and returns the length that the whole text has,
// like snprintf: a return >= size means it was cut.
size_t format(char *buf, size_t size, const char *fmt, ...) printf_like(3, 4);
size_t format_v(char *buf, size_t size, const char *fmt, va_list args) __attribute__((format(printf, 3, 0)));
