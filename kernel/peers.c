#include "kernel/peers.h"
#include "arch/memory.h"
#include "arch/string.h"
#include "kernel/services.h"
#include "mm/buddy.h"

enum { ENDS_MAX = 256, CHUNK_ORDER = 2 };

static struct end *ends[ENDS_MAX];

// Ends and ports are never given back, so they are simply cut off larger blocks.
struct knife {
    struct buddy *buddy;
    char *at;
    size_t left;
};

static void *cut(struct knife *k, size_t size)
{
    size = align_up(size, 64);
    if (k->left < size) {
        pfn_t f = buddy_alloc(k->buddy, CHUNK_ORDER, OWNER_KERNEL);
        if (pfn_is_none(f))
            return NULL;
        k->left = PAGE_SIZE << CHUNK_ORDER;
        k->at = memset(pfn_to_virt(f), 0, k->left);
    }
    void *p = k->at;
    k->at += size;
    k->left -= size;
    return p;
}

static struct end *end_of(struct knife *k, const struct verdict *verdicts, size_t id)
{
    const struct machine *m = &verdicts[id].machine;
    if (!ends[id] && (ends[id] = cut(k, sizeof(struct end)))) {
        ends[id]->name = m->name;
        ends[id]->shared = m->vcpus > 1;
    }
    return ends[id];
}

static unsigned first_free(struct port *const ports[PORTS])
{
    unsigned i = FIRST_PEER;
    while (i < PORTS && ports[i])
        i++;
    return i;
}

static bool connect_hypervisor(struct knife *k, const struct verdict *verdicts, size_t id)
{
    struct end *e = end_of(k, verdicts, id);
    struct services *s = e ? cut(k, sizeof(struct services)) : NULL;
    if (!s)
        return false;
    s->end.name = HYPERVISOR_PEER;
    s->end.shared = e->shared;
    s->end.look = LOOK_SERVES;
    s->answers.events = &s->events;
    port_connect(&s->requests, e, first_free(e->out), &s->end, FIRST_PEER);
    port_connect(&s->answers, &s->end, FIRST_PEER, e, first_free(e->in));
    return true;
}

// machines_judge() has seen to it that there is a free number at both.
static bool connect(struct knife *k, const struct verdict *verdicts, size_t from, size_t to)
{
    struct end *a = end_of(k, verdicts, from), *b = end_of(k, verdicts, to);
    struct port *p = a && b ? cut(k, sizeof(struct port)) : NULL;
    if (p)
        port_connect(p, a, first_free(a->out), b, first_free(b->in));
    return p;
}

static bool connect_all(struct knife *k, const struct verdict *verdicts, size_t count, size_t id)
{
    char name[MACHINE_NAME_MAX + 1];
    for (unsigned i = 0; machine_peer(&verdicts[id].machine, i, name); i++)
        if (!(strcmp(name, HYPERVISOR_PEER) ? connect(k, verdicts, id, machines_find(verdicts, count, name))
                                            : connect_hypervisor(k, verdicts, id)))
            return false;
    return true;
}

void peers_connect(struct verdict *verdicts, size_t count, struct buddy *b)
{
    struct knife k = {.buddy = b};
    memset(ends, 0, sizeof ends);
    for (size_t id = 0; id < count; id++) {
        struct verdict *v = &verdicts[id];
        if (v->role == MODULE_MACHINE && !connect_all(&k, verdicts, count, id)) {
            v->role = MODULE_REFUSED;
            v->error = reason_set(&v->why, E_NO_MEMORY, "no memory left for its ports");
        }
    }
}

struct end *peers_end(uint32_t id)
{
    return id < ENDS_MAX ? ends[id] : NULL;
}

unsigned peers_find(struct port *const ports[PORTS], const struct end *e, const char *name)
{
    for (unsigned i = 0; i < PORTS; i++)
        if (ports[i] && !strcmp((ports[i]->from == e ? ports[i]->to : ports[i]->from)->name, name))
            return i;
    return PORTS;
}
