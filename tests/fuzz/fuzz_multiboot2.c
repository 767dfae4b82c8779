// Any bytes as Multiboot2 information; whatever comes out must lie inside it.
#include "boot/multiboot2.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t touched;

static void touch(const char *s)
{
    touched += strlen(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct boot_info info;
    struct reason why;
    uint32_t total = (uint32_t)size;
    uint8_t *bytes = malloc(size ? size : 1);

    memcpy(bytes, data, size);
    if (size >= 8 && data[0] & 1)
        memcpy(bytes, &total, 4); // most inputs get past the first check
    if (multiboot2_parse(bytes, size, &info, touch, &why) == E_OK) {
        touch(info.cmdline);
        touch(info.loader_name);
        for (uint32_t i = 0; i < info.module_count; i++)
            touch(info.modules[i].line);
        for (uint32_t i = 0; i < info.rsdp_bytes; i++)
            touched += ((const uint8_t *)info.rsdp)[i];
        for (uint32_t i = 0; i < info.range_count; i++)
            if (!info.ranges[i].bytes ||
                info.ranges[i].base.v + (info.ranges[i].bytes - 1) < info.ranges[i].base.v)
                abort();
    }
    free(bytes);
    return 0;
}
