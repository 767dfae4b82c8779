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

static void check(bool ok)
{
    if (!ok)
        abort();
}

// The tag gives 32 bits to where a module starts and ends, so none lies beyond.
static void touch_module(const struct boot_module *m)
{
    touch(m->line);
    check(m->bytes <= UINT32_MAX && m->base.v + m->bytes <= UINT32_MAX);
}

// Who paints counts lines of `pitch` bytes from its base on. Without one all is 0.
static void check_framebuffer(const struct framebuffer *f)
{
    check(f->base.v <= UINT64_MAX - f->pitch * (uint64_t)f->height);
    check(f->type == FRAMEBUFFER_NONE || (f->width && f->height));
}

// What stands in front of most inputs, so that their tags count: the fixed part, and a memory map of one range.
static const uint32_t front[] = {0, 0, 6, 40, 24, 0, 0, 0, 1 << 30, 0, MEMORY_RAM, 0};

// Bit 0 of the first byte says whether they do; the others are the information or the tags.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct boot_info info;
    struct reason why;
    if (!size)
        return 0;
    size_t front_bytes = data[0] & 1 ? sizeof(front) : 0, bytes_all = front_bytes + size - 1;
    uint32_t total = (uint32_t)bytes_all;
    uint8_t *bytes = malloc(bytes_all ? bytes_all : 1);

    memcpy(bytes, front, front_bytes);
    memcpy(bytes + front_bytes, data + 1, size - 1);
    if (front_bytes)
        memcpy(bytes, &total, 4);
    if (multiboot2_parse(bytes, bytes_all, &info, touch, &why) == E_OK) {
        touch(info.cmdline);
        touch(info.loader_name);
        for (uint32_t i = 0; i < info.module_count; i++)
            touch_module(&info.modules[i]);
        for (uint32_t i = 0; i < info.rsdp_bytes; i++)
            touched += ((const uint8_t *)info.rsdp)[i];
        for (uint32_t i = 0; i < info.range_count; i++)
            check(info.ranges[i].bytes &&
                  info.ranges[i].base.v + (info.ranges[i].bytes - 1) >= info.ranges[i].base.v);
        check_framebuffer(&info.framebuffer);
    }
    free(bytes);
    return 0;
}
