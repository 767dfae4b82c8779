#include "ipc/grant.h"
#include "mm/space.h"

enum { LARGE_PAGES = 512 };

// The grant of that number, NULL when it is free. The lock is held.
static struct grant *find(struct grants *g, uint64_t number)
{
    struct grant *n = number < GRANTS ? &g->grant[number] : NULL;
    return n && n->state != GRANT_FREE ? n : NULL;
}

static void settle(struct grant *n)
{
    if (n->state == GRANT_REVOKED && !n->mapped)
        n->state = GRANT_FREE;
}

// ---- Coming and going ----

void grants_set_owner(struct grants *g, struct space *from)
{
    lock_take(&g->lock);
    g->from = from;
    for (unsigned i = 0; i < GRANTS; i++)
        if (g->grant[i].state == GRANT_GIVEN) {
            g->grant[i].state = GRANT_REVOKED;
            settle(&g->grant[i]);
        }
    lock_release(&g->lock);
}

void grants_set_reader(struct grants *g, struct space *to)
{
    lock_take(&g->lock);
    g->to = to;
    for (unsigned i = 0; i < GRANTS; i++) {
        g->grant[i].mapped = 0; // its space takes care of that
        settle(&g->grant[i]);
    }
    lock_release(&g->lock);
}

// ---- Giving ----

static bool is_ram(const struct space *s, uint64_t page, uint64_t pages)
{
    uint64_t all = space_ram(s) >> PAGE_SHIFT;
    return page < all && pages <= all - page;
}

static int64_t give(struct grants *g, const struct grant *new)
{
    if (!is_ram(g->from, new->page, new->pages))
        return -E_BAD_ADDRESS;
    for (unsigned i = 0; i < GRANTS; i++)
        if (g->grant[i].state == GRANT_FREE) {
            g->grant[i] = *new;
            return i;
        }
    return -E_TOO_BIG;
}

int64_t grants_give(struct grants *g, uint64_t page, uint64_t pages, uint64_t rights)
{
    if (!pages || !(rights & SLOT_READ) || rights & ~(uint64_t)SLOT_RAM)
        return -E_INVALID;
    struct grant new = {.page = page, .pages = pages, .rights = (uint8_t)rights, .state = GRANT_GIVEN};
    lock_take(&g->lock);
    int64_t number = give(g, &new);
    lock_release(&g->lock);
    return number;
}

// ---- Mapping ----

static bool may_be_large(const struct grants *g, const struct grant *n)
{
    uint64_t page = n->page + n->mapped, at = n->at + n->mapped;
    return !((page | at) % LARGE_PAGES) && n->pages - n->mapped >= LARGE_PAGES &&
           space_leaf_pages(g->from, gfn(page)) >= LARGE_PAGES;
}

static enum error map_one(const struct grants *g, struct grant *n)
{
    bool large = may_be_large(g, n);
    enum error e = space_lend(g->from, gfn(n->page + n->mapped), large, g->to, gfn(n->at + n->mapped),
                              (enum slot_flags)n->rights);
    if (e == E_OK)
        n->mapped += large ? LARGE_PAGES : 1;
    return e;
}

// What was mapped counts, whatever the next page says.
static int64_t map(const struct grants *g, struct grant *n, uint64_t at)
{
    if (!n || n->state != GRANT_GIVEN)
        return -E_NOT_FOUND;
    if (n->mapped && n->at != at)
        return -E_EXISTS;
    uint64_t before = n->mapped;
    enum error e = E_OK;
    n->at = at;
    for (unsigned i = 0; e == E_OK && i < GRANT_BATCH && n->mapped < n->pages; i++)
        e = map_one(g, n);
    return e != E_OK && n->mapped == before ? -(int64_t)e : (int64_t)n->mapped;
}

int64_t grants_map(struct grants *g, uint64_t number, uint64_t at)
{
    lock_take(&g->lock);
    int64_t result = map(g, find(g, number), at);
    lock_release(&g->lock);
    return result;
}

// ---- Taking back, from the end ----

static bool ends_large(const struct grant *n)
{
    return n->mapped >= LARGE_PAGES && !((n->at + n->mapped) % LARGE_PAGES);
}

static void take_one(const struct grants *g, struct grant *n)
{
    if (ends_large(n) && space_take_back(g->to, gfn(n->at + n->mapped - LARGE_PAGES), true) == E_OK) {
        n->mapped -= LARGE_PAGES;
        return;
    }
    n->mapped--;
    space_take_back(g->to, gfn(n->at + n->mapped), false);
}

static int64_t take_back(const struct grants *g, struct grant *n)
{
    if (!n)
        return -E_NOT_FOUND;
    for (unsigned i = 0; i < GRANT_BATCH && n->mapped; i++)
        take_one(g, n);
    settle(n);
    return (int64_t)n->mapped;
}

int64_t grants_unmap(struct grants *g, uint64_t number)
{
    lock_take(&g->lock);
    int64_t result = take_back(g, find(g, number));
    lock_release(&g->lock);
    return result;
}

int64_t grants_revoke(struct grants *g, uint64_t number)
{
    lock_take(&g->lock);
    struct grant *n = find(g, number);
    if (n)
        n->state = GRANT_REVOKED;
    int64_t result = take_back(g, n);
    lock_release(&g->lock);
    return result;
}
