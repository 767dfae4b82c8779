#include "kernel/watch.h"
#include "mm/mm.h"

struct screen_watch {
    struct regex expect, fail;
    struct screen_search search;
};

static struct object_cache watch_cache;

void watch_init(void)
{
    object_cache_init(&watch_cache, "screen watches", &frames, sizeof(struct screen_watch), 64);
}

uint64_t watch_bytes(void)
{
    return object_cost(&watch_cache);
}

static enum error compile(struct regex *re, const char *pattern, struct reason *why)
{
    return *pattern ? regex_compile(re, pattern, why) : E_OK;
}

enum error watch_create(struct screen_watch **watch, const struct machine *m, uint16_t owner,
                        struct reason *why)
{
    if (!*m->expect_screen && !*m->fail_screen)
        return E_OK;
    struct screen_watch *w = *watch = object_alloc(&watch_cache, owner);
    if (!w)
        return reason_set(why, E_NO_MEMORY, "no memory left to watch its screen");
    enum error e = compile(&w->expect, m->expect_screen, why);
    if (!e)
        e = compile(&w->fail, m->fail_screen, why);
    screen_search_init(&w->search, *m->expect_screen ? &w->expect : NULL, *m->fail_screen ? &w->fail : NULL);
    return e;
}

void watch_destroy(struct screen_watch *watch, uint16_t owner)
{
    if (watch)
        object_free(&watch_cache, watch, owner);
}

enum screen_verdict watch_step(struct screen_watch *watch, struct space *space)
{
    return screen_search_step(&watch->search, space);
}
