#include "kernel/watch.h"
#include "mm/mm.h"

static struct object_cache watch_cache;

void watch_init(void)
{
    object_cache_init(&watch_cache, &frames, sizeof(struct screen_watch), 64);
}

uint64_t watch_bytes(void)
{
    return object_cost(&watch_cache);
}

enum error watch_create(struct screen_watch **watch, const struct machine *m, uint16_t owner,
                        struct reason *why)
{
    if (!*m->expect_screen && !*m->fail_screen)
        return E_OK;
    struct screen_watch *w = *watch = object_alloc(&watch_cache, owner);
    if (!w)
        return reason_set(why, E_NO_MEMORY, "no memory left to watch its screen");
    return screen_watch_init(w, m->expect_screen, m->fail_screen, why);
}

void watch_destroy(struct screen_watch *watch, uint16_t owner)
{
    if (watch)
        object_free(&watch_cache, watch, owner);
}
