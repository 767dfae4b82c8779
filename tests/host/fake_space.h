// A space for loader and device tests: one block of RAM from gpa 0, plain malloc, so that the sanitizers see
// every step beyond it. Include it in one source of the test: it takes the place of mm/space.c.
#pragma once
#include <stdlib.h>
#include <string.h>
#include "mm/guest_view.h"

struct space {
    uint8_t *ram;
    uint64_t bytes;
    unsigned writes;                       // guest_write calls
    void (*before_write)(struct space *s); // what another processor does meanwhile; NULL: nothing
};

static inline struct space *fake_space(uint64_t bytes)
{
    struct space *s = calloc(1, sizeof(*s));
    s->ram = calloc(1, bytes);
    s->bytes = bytes;
    return s;
}

static inline void fake_space_free(struct space *s)
{
    free(s->ram);
    free(s);
}

static inline bool fake_inside(const struct space *s, gpa_t at, size_t len)
{
    return at.v <= s->bytes && len <= s->bytes - at.v;
}

enum error guest_read(struct space *s, gpa_t from, void *to, size_t len)
{
    if (!fake_inside(s, from, len))
        return E_BAD_ADDRESS;
    memcpy(to, s->ram + from.v, len);
    return E_OK;
}

enum error guest_write(struct space *s, gpa_t to, const void *from, size_t len)
{
    s->writes++;
    if (s->before_write)
        s->before_write(s);
    if (!fake_inside(s, to, len))
        return E_BAD_ADDRESS;
    memcpy(s->ram + to.v, from, len);
    return E_OK;
}

enum error guest_exchange(struct space *s, gpa_t at, uint64_t was, uint64_t value, size_t len)
{
    uint64_t now = 0;
    if (s->before_write)
        s->before_write(s);
    enum error e = guest_read(s, at, &now, len);
    if (e == E_OK && now != was)
        e = E_AGAIN;
    if (e == E_OK)
        memcpy(s->ram + at.v, &value, len);
    return e;
}

void *guest_map(struct space *s, gpa_t at, size_t len)
{
    if (!fake_inside(s, at, len) || at.v / PAGE_SIZE != (at.v + len - 1) / PAGE_SIZE)
        return NULL;
    return s->ram + at.v;
}

const void *guest_peek_far(struct guest_view *g, gpa_t at)
{
    return fake_inside(g->space, at, 1) ? g->space->ram + at.v : NULL;
}
