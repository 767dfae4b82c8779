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

// A freestanding GCC takes these for functions like any other. As builtins, a copy of known size becomes a
// few moves where it stands, instead of a call.
#ifndef STRING_DEFINITIONS // arch/string.c
#define memcpy(...)  __builtin_memcpy(__VA_ARGS__)
#define memmove(...) __builtin_memmove(__VA_ARGS__)
#define memset(...)  __builtin_memset(__VA_ARGS__)
#define memcmp(...)  __builtin_memcmp(__VA_ARGS__)
#define strlen(...)  __builtin_strlen(__VA_ARGS__)
#endif
#endif
