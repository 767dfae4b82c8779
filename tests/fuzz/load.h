// What the loaders' fuzzers share: one file against one loader in a machine of 1 to 4 MB, some with an
// initrd. A loader may never write outside the machine's memory (the fake space refuses), and what it accepts
// must start inside it.
#pragma once
#include "kernel/load.h"
#include "tests/host/fake_space.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline int fuzz_load(bool (*is)(struct blob image), enum error (*load)(struct load *l),
                            const uint8_t *data, size_t size)
{
    static struct space space;
    static struct machine m = {.name = "fuzz", .cmdline = "a=b", .initrd = "data"};
    struct guest_start start;
    struct reason why = {""};
    uint8_t initrd[32] = {0};

    if (size < 2)
        return 0;
    if (!space.ram)
        space.ram = malloc(4 << 20); // contents do not matter to loaders
    m.mem = space.bytes = (1 + data[0] % 4) << 20;
    uint8_t *copy = malloc(size - 1);
    memcpy(copy, data + 1, size - 1);
    memset(&start, 0, sizeof(start));
    struct load l = {
        &m, {copy,   size - 1                           },
         {initrd, data[0] & 0x80 ? sizeof(initrd) : 0},
         1, 1, &space, &start, &why
    };
    if (is(l.image)) {
        enum error e = load(&l);
        if (e == E_OK ? start.rip >= m.mem : !why.text[0])
            abort();
    }
    free(copy);
    return 0;
}
