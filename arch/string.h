// The few functions of <string.h> that a freestanding GCC expects, and the string helpers we use.
// Names and meanings are those of the C standard. Pure; on the host libc's own are used.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef MICRONOVA_HOST
#include <string.h>
#else
void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *s, int byte, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);

// A freestanding GCC takes these for functions like any other. As builtins, a copy of a few bytes becomes
// moves where it stands; larger ones would become byte-wise string instructions under -Os, so they stay
// calls.
#ifndef STRING_DEFINITIONS // arch/string.c
#define STRING_IS_SHORT(n) (__builtin_constant_p(n) && (n) <= 64)

static inline __attribute__((always_inline)) void *string_copy(void *restrict to, const void *restrict from,
                                                               size_t n)
{
    return STRING_IS_SHORT(n) ? __builtin_memcpy(to, from, n) : (memcpy)(to, from, n);
}
static inline __attribute__((always_inline)) void *string_fill(void *to, int byte, size_t n)
{
    return STRING_IS_SHORT(n) ? __builtin_memset(to, byte, n) : (memset)(to, byte, n);
}

#define memcpy(...) string_copy(__VA_ARGS__) // any number: a compound literal has commas of its own
#define memset(...) string_fill(__VA_ARGS__)
#define memcmp(...) __builtin_memcmp(__VA_ARGS__)
#define strlen(...) __builtin_strlen(__VA_ARGS__)
#endif
#endif
