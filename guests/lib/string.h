// The C library's memory and string functions, as far as guests and the compiler need them.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *memset(void *to, int byte, size_t n);
void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);

// The value of KEY=VALUE in a command line of words, or `fallback`. Decimal, or hexadecimal behind 0x.
uint64_t word_number(const char *line, const char *key, uint64_t fallback);
// The names of KEY=NAME,NAME... in a command line, `max` at most, in a buffer of the function's own. Returns how many.
unsigned word_list(const char *line, const char *key, const char *names[], unsigned max);
// Whether `word` stands in the line as a word of its own.
bool word_present(const char *line, const char *word);
