// What the loaders' tests share: a machine in a fake space, and a load from a block of exactly the file's size, so
// that the sanitizers see every step beyond it.
#pragma once
#include "kernel/loader.h"
#include "tests/host/fake_space.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct machine m;
static struct guest_start start;
static struct reason why;
static struct space *space;
static struct blob initrd;

static inline int begin_with(const char *cmdline, uint64_t mem)
{
    memset(&m, 0, sizeof(m));
    strcpy(m.name, "guest");
    strcpy(m.cmdline, cmdline);
    m.mem = mem;
    space = fake_space(mem);
    initrd = (struct blob){NULL, 0};
    return 0;
}

static inline int end(void **state)
{
    (void)state;
    fake_space_free(space);
    return 0;
}

// A refusal always has its words.
static inline enum error load_bytes(const void *bytes, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    memcpy(copy, bytes, size);
    why.text[0] = '\0';
    enum error e = loader_load(&m, (struct blob){copy, size}, initrd, 7, 1000000, space, &start, &why);
    assert_true(e == E_OK || why.text[0]);
    free(copy);
    return e;
}
