#include "ipc/events.h"

static uint32_t event_bit(unsigned event)
{
    return 1u << event;
}

static struct events *take(struct port *p)
{
    lock_take(&p->to->lock);
    return p->events;
}

static void release(struct port *p)
{
    lock_release(&p->to->lock);
}

// ---- Expecting ----

static void set_expected(struct events *e, uint32_t events)
{
    __atomic_store_n(&e->expected, events, __ATOMIC_RELEASE);
}

void events_expect(struct port *p, unsigned event, uint64_t word, bool once)
{
    uint32_t bit = event_bit(event);
    struct events *e = take(p);
    set_expected(e, e->expected | bit);
    e->noted &= ~bit;
    e->once = once ? e->once | bit : e->once & ~bit;
    e->word[event] = word;
    release(p);
}

bool events_expect_no_more(struct port *p, unsigned event)
{
    uint32_t bit = event_bit(event);
    struct events *e = take(p);
    bool was = e->expected & bit;
    set_expected(e, e->expected & ~bit);
    e->noted &= ~bit;
    release(p);
    return was;
}

bool events_expected(const struct port *p, unsigned event)
{
    return __atomic_load_n(&p->events->expected, __ATOMIC_ACQUIRE) & event_bit(event);
}

bool events_to_come(const struct port *p, uint32_t events)
{
    return p->events->expected & ~p->events->noted & events;
}

void events_forget(struct port *p)
{
    struct events *e = take(p);
    set_expected(e, 0);
    e->noted = 0;
    release(p);
}

// ---- Noting and taking ----

// Noted and told under one lock: who halts (end_awaits_interrupt) finds an event that is still to come, or one whose
// interrupt was raised. The locked OR into `ready` is needed as a fence, as that of port_arrived() is.
void events_note(struct port *p, unsigned event)
{
    uint32_t bit = event_bit(event);
    struct events *e = take(p);
    if (p->to->machine && e->expected & ~e->noted & bit) {
        e->noted |= bit;
        __atomic_fetch_or(&p->to->ready, p->bit, __ATOMIC_SEQ_CST);
        port_tell_locked(p);
    }
    release(p);
}

// The lowest noted from the first on, else the lowest.
static unsigned next(struct events *e)
{
    uint32_t behind = e->noted >> e->first << e->first;
    unsigned event = (unsigned)__builtin_ctz(behind ? behind : e->noted);
    e->first = (uint8_t)((event + 1) % PORT_EVENTS);
    return event;
}

static bool tell(struct port *p, unsigned event, struct message *m)
{
    struct events *e = p->events;
    bool more = false;
    *m = (struct message){{e->word[event]}};
    bool got = ipc_ops->tell(p, event, m, &more);
    if (more)
        return got;
    e->noted &= ~event_bit(event);
    set_expected(e, e->expected & ~(e->once & event_bit(event)));
    return got;
}

bool events_noted(struct port *p)
{
    bool any = p->events && take(p)->noted;
    if (p->events)
        release(p);
    return any;
}

bool events_take(struct port *p, struct message *m, bool *noted)
{
    *noted = false;
    if (!p->events)
        return false;
    struct events *e = take(p);
    *noted = e->noted;
    bool got = e->noted && tell(p, next(e), m);
    release(p);
    return got;
}
