// Pattern, NUL, text. Whatever they are, compiling and searching ends soon and stays within its memory, and a
// pattern of literals finds what a plain search finds.
#define _GNU_SOURCE // memmem
#include "kernel/regex.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PATTERN_MAX = 256 };

static bool plain(const char *pattern)
{
    return !strpbrk(pattern, ".*+?[](){}^$|\\");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char pattern[PATTERN_MAX] = "";
    size_t n = strnlen((const char *)data, size < PATTERN_MAX - 1 ? size : PATTERN_MAX - 1);
    memcpy(pattern, data, n);
    size_t skip = n < size ? n + 1 : size, len = size - skip;
    const char *text = (const char *)data + skip;
    struct regex re;
    struct reason why;
    clock_t before = clock();
    if (regex_compile(&re, pattern, &why) != E_OK) {
        if (memchr(why.text, '\0', sizeof(why.text)) == NULL || why.text[0] == '\0')
            abort();
        return 0;
    }
    bool found = regex_search(&re, text, len);
    if (clock() - before > CLOCKS_PER_SEC)
        abort();
    if (plain(pattern) && found != (memmem(text, len, pattern, n) != NULL))
        abort();
    return 0;
}
