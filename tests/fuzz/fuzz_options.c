// Any text as the hypervisor's command line: what results must be in the bounds that options.h states.
#include "kernel/options.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void complain(const char *sentence)
{
    if (!*sentence)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct options o;
    char *line = malloc(size + 1);
    memcpy(line, data, size);
    line[size] = '\0';
    options_parse(line, &o, complain);
    if (o.slice_us < SLICE_US_MIN || o.slice_us > SLICE_US_MAX || o.loglevel > LOG_DEBUG ||
        o.exit > POWER_HALT || (o.console & ~(uint32_t)(CONSOLE_COM1 | CONSOLE_COM2 | CONSOLE_SCREEN)))
        abort();
    free(line);
    return 0;
}
