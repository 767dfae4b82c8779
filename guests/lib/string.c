#include "guests/lib/string.h"

// By words first: where every iteration counts as an instruction there are fewer of them.
#ifdef __x86_64__
#define REP_MOVS_WORD "rep movsq"
#define REP_STOS_WORD "rep stosq"
#else
#define REP_MOVS_WORD "rep movsl"
#define REP_STOS_WORD "rep stosl"
#endif

void *memset(void *to, int byte, size_t n)
{
    void *d = to;
    uintptr_t pattern = (uintptr_t)0x0101010101010101ull * (uint8_t)byte;
    size_t words = n / sizeof(uintptr_t), bytes = n % sizeof(uintptr_t);
    __asm__ volatile(REP_STOS_WORD : "+D"(d), "+c"(words) : "a"(pattern) : "memory");
    __asm__ volatile("rep stosb" : "+D"(d), "+c"(bytes) : "a"(pattern) : "memory");
    return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    void *d = to;
    size_t words = n / sizeof(uintptr_t), bytes = n % sizeof(uintptr_t);
    __asm__ volatile(REP_MOVS_WORD : "+D"(d), "+S"(from), "+c"(words) : : "memory");
    __asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(bytes) : : "memory");
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    if ((uintptr_t)to - (uintptr_t)from >= n)
        return memcpy(to, from, n);
    for (size_t i = n; i > 0; i--)
        ((volatile char *)to)[i - 1] = ((const char *)from)[i - 1];
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *x = a, *y = b;
    for (size_t i = 0; i < n; i++) {
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    }
    return 0;
}

size_t strlen(const char *s)
{
    size_t n = 0;
    while (((const volatile char *)s)[n])
        n++;
    return n;
}

int strcmp(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return (uint8_t)*a - (uint8_t)*b;
}

// The place behind `word` where it starts a word of `line`, or NULL.
static const char *behind_word(const char *line, const char *word)
{
    size_t n = strlen(word);
    while (*line) {
        if (!memcmp(line, word, n < strlen(line) ? n : strlen(line) + 1))
            return line + n;
        while (*line && *line != ' ')
            line++;
        while (*line == ' ')
            line++;
    }
    return NULL;
}

bool word_present(const char *line, const char *word)
{
    const char *end = behind_word(line, word);
    return end && (*end == '\0' || *end == ' ');
}

uint64_t word_number(const char *line, const char *key, uint64_t fallback)
{
    const char *at = behind_word(line, key);
    if (!at || *at++ != '=')
        return fallback;
    bool hex = at[0] == '0' && at[1] == 'x';
    if (hex)
        at += 2;
    uint64_t value = 0;
    for (; *at && *at != ' '; at++) {
        unsigned digit = *at <= '9' ? (unsigned)(*at - '0') : (unsigned)((*at | 32) - 'a' + 10);
        value = value * (hex ? 16 : 10) + digit;
    }
    return value;
}

unsigned word_list(const char *line, const char *key, const char *names[], unsigned max)
{
    static char text[512];
    static size_t used;
    unsigned count = 0;
    const char *at = behind_word(line, key);
    if (!at || *at != '=')
        return 0;
    while (*at && *at != ' ' && count < max) {
        names[count++] = text + used;
        for (at++; *at && *at != ' ' && *at != ',' && used < sizeof text - 2; at++)
            text[used++] = *at;
        text[used++] = '\0';
    }
    return count;
}
