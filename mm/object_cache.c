#include "mm/object_cache.h"
#include "arch/memory.h"
#include "arch/panic.h"
#include "arch/string.h"

// A slab is one page: this header, the owner of each place (OWNER_NONE: free), then the objects.
struct slab {
    struct list link;           // on the list `partial`, unless it is full
    struct object_cache *cache; // tells a slab's page from any other
    uint16_t used;
    uint16_t owner[];
};

static uint32_t first_object(unsigned n, size_t align)
{
    return (uint32_t)align_up(sizeof(struct slab) + n * sizeof(uint16_t), align);
}

void object_cache_init(struct object_cache *c, struct buddy *b, size_t size, size_t align)
{
    *c = (struct object_cache){.buddy = b, .size = (uint32_t)align_up(size, align)};
    list_init(&c->partial);
    unsigned n = PAGE_SIZE / c->size;
    while (n && first_object(n, align) + n * c->size > PAGE_SIZE)
        n--;
    if (n >= 2) {
        c->per_slab = (uint16_t)n;
        c->first = first_object(n, align);
        return;
    }
    while ((uint64_t)PAGE_SIZE << c->order < c->size)
        c->order++;
}

uint64_t object_cost(const struct object_cache *c)
{
    return c->per_slab ? c->size : (uint64_t)PAGE_SIZE << c->order;
}

// ---- Objects with a block of their own: the buddy's records know owner and state ----

static void *alloc_block(struct object_cache *c, uint16_t owner)
{
    pfn_t f = buddy_alloc_or_fail(c->buddy, c->order, owner);
    return pfn_is_none(f) ? NULL : memset(pfn_to_virt(f), 0, c->size);
}

static enum error free_block(struct object_cache *c, void *object, uint16_t owner)
{
    hpa_t at = virt_to_hpa(object);
    return at.v % PAGE_SIZE ? E_INVALID : buddy_free(c->buddy, hpa_to_pfn(at), owner);
}

// ---- Objects in slabs, under the cache's lock ----

static struct slab *new_slab(struct object_cache *c)
{
    pfn_t f = buddy_alloc(c->buddy, 0, OWNER_OBJECTS);
    if (pfn_is_none(f))
        return NULL;
    struct slab *s = memset(pfn_to_virt(f), 0, c->first);
    s->cache = c;
    list_push_front(&c->partial, &s->link);
    return s;
}

static void *take_place(struct object_cache *c, struct slab *s, uint16_t owner)
{
    unsigned i = 0;
    while (s->owner[i] != OWNER_NONE)
        i++; // ends: a slab on the list has a free place
    s->owner[i] = owner;
    if (++s->used == c->per_slab)
        list_remove(&s->link);
    return (char *)s + c->first + i * c->size;
}

void *object_alloc(struct object_cache *c, uint16_t owner)
{
    if (!c->per_slab)
        return alloc_block(c, owner);
    if (buddy_fails(c->buddy, owner))
        return NULL;
    lock_take(&c->lock);
    struct slab *s = list_empty(&c->partial) ? new_slab(c) : list_entry(c->partial.next, struct slab, link);
    void *object = s ? take_place(c, s, owner) : NULL;
    lock_release(&c->lock);
    if (!object)
        return NULL;
    __atomic_fetch_add(&c->buddy->account[owner].bytes, c->size, __ATOMIC_RELAXED);
    return memset(object, 0, c->size);
}

// The place of `object` in its slab; per_slab when it is none of this cache's.
static unsigned place_of(const struct object_cache *c, const struct slab *s, const void *object)
{
    uint64_t offset = (uint64_t)((const char *)object - (const char *)s);
    if (s->cache != c || offset < c->first || (offset - c->first) % c->size)
        return c->per_slab;
    return (unsigned)min_u64((offset - c->first) / c->size, c->per_slab);
}

static void give_place(struct object_cache *c, struct slab *s, unsigned i)
{
    s->owner[i] = OWNER_NONE;
    if (s->used-- == c->per_slab)
        list_push_front(&c->partial, &s->link);
    if (s->used)
        return;
    list_remove(&s->link);
    s->cache = NULL;
    enum error e = buddy_free(c->buddy, hpa_to_pfn(virt_to_hpa(s)), OWNER_OBJECTS);
    assert(e == E_OK);
}

enum error object_free(struct object_cache *c, void *object, uint16_t owner)
{
    if (!c->per_slab)
        return free_block(c, object, owner);
    struct slab *s = pfn_to_virt(hpa_to_pfn(virt_to_hpa(object)));
    lock_take(&c->lock);
    unsigned i = place_of(c, s, object);
    enum error e = i == c->per_slab            ? E_INVALID
                   : s->owner[i] == OWNER_NONE ? E_DOUBLE_FREE
                   : s->owner[i] != owner      ? E_FOREIGN
                                               : E_OK;
    if (e == E_OK)
        give_place(c, s, i);
    lock_release(&c->lock);
    if (e == E_OK)
        __atomic_fetch_sub(&c->buddy->account[owner].bytes, c->size, __ATOMIC_RELAXED);
    return e;
}
