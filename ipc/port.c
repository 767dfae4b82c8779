#include "ipc/port.h"
#include "ipc/events.h"

const struct ipc_ops *ipc_ops;

void port_connect(struct port *p, struct end *from, unsigned out, struct end *to, unsigned in)
{
    p->from = from;
    p->out = (uint8_t)out;
    p->to = to;
    p->in = (uint8_t)in;
    p->bit = port_bit(in);
    p->many_writers = from->shared;
    from->out[out] = p;
    to->in[in] = p;
    to->open |= port_bit(in);
    to->ins |= port_bit(in);
}

// ---- Waking ----

// All that wait for one of these ports: the first takes the message, the others look and wait again.
static bool wake_waiters(struct end *e, uint64_t ports)
{
    bool woken = false;
    uint32_t left = __atomic_load_n(&e->look, __ATOMIC_ACQUIRE) & LOOK_WAITERS;
    for (; left; left &= left - 1) {
        unsigned cpu = (unsigned)__builtin_ctz(left);
        if (__atomic_load_n(&e->waiter[cpu].from, __ATOMIC_RELAXED) & ports && end_take_waiter(e, cpu)) {
            ipc_ops->wake(e, cpu);
            woken = true;
        }
    }
    return woken;
}

static inline_always void tell(struct end *e, const struct port *p)
{
    uint8_t vector = __atomic_load_n(&e->vector[p->in], __ATOMIC_RELAXED);
    if (e->machine && !wake_waiters(e, p->bit) && vector)
        ipc_ops->raise(e, __atomic_load_n(&e->vector_cpu[p->in], __ATOMIC_RELAXED), vector);
}

// Who only sends has no need of its registers.
__attribute__((noinline)) void port_tell(struct port *p)
{
    struct end *e = p->to;
    lock_take(&e->lock);
    tell(e, p);
    lock_release(&e->lock);
}

void port_tell_locked(struct port *p)
{
    tell(p->to, p);
}

// ---- Vcpus of one machine write and read one at a time ----

bool port_put_locked(struct port *p, struct message m)
{
    lock_take(&p->writers);
    bool done = port_put(p, &m);
    lock_release(&p->writers);
    return done;
}

static bool get_locked(struct port *p, struct message *m)
{
    lock_take(&p->readers);
    bool got = port_get(p, m);
    lock_release(&p->readers);
    return got;
}

enum error port_send(struct port *p, const struct message *m)
{
    uint32_t look = __atomic_load_n(&p->to->look, __ATOMIC_RELAXED);
    if (unlikely(look & (LOOK_GONE | LOOK_SERVES)))
        return look & LOOK_GONE ? E_GONE : ipc_ops->serve(p, m);
    if (unlikely(!port_put_any(p, m)))
        return E_AGAIN;
    port_arrived(p);
    return E_OK;
}

bool port_begin_answer(struct port *p)
{
    lock_take(&p->writers);
    bool room = p->tail - __atomic_load_n(&p->head, __ATOMIC_ACQUIRE) < PORT_DEPTH;
    if (!room)
        lock_release(&p->writers);
    return room;
}

void port_end_answer(struct port *p, const struct message *m)
{
    port_put(p, m);
    lock_release(&p->writers);
    port_arrived(p);
}

// ---- Receiving ----

// The lowest of `bits` from `first` on, else the lowest.
static inline unsigned next_bit(uint64_t bits, unsigned first)
{
    uint64_t behind = bits >> first << first;
    return (unsigned)__builtin_ctzll(behind ? behind : bits);
}

static inline unsigned next_port(const struct end *e, uint64_t ports)
{
    return next_bit(ports, __atomic_load_n(&e->cursor, __ATOMIC_RELAXED));
}

// Another vCPU of the machine may have gone waiting while the bit was off.
static void set_again(struct end *e, unsigned in)
{
    __atomic_fetch_or(&e->ready, port_bit(in), __ATOMIC_SEQ_CST);
    lock_take(&e->lock);
    if (e->machine)
        wake_waiters(e, port_bit(in));
    lock_release(&e->lock);
}

// The ring of `in` was empty: the bit of `ready` is taken off. The locked AND is needed as a fence: a sender whose
// bit it took away has its message seen by the look behind it. Others may have gone waiting meanwhile, so the bit is
// set again for what has come, and for events. True: an event was taken.
static __attribute__((noinline)) bool look_again(struct end *e, unsigned in, struct message *m)
{
    __atomic_fetch_and(&e->ready, ~port_bit(in), __ATOMIC_SEQ_CST);
    bool more = !port_empty(e->in[in]), got = !more && events_take(e->in[in], m, &more);
    if (more)
        set_again(e, in);
    return got;
}

// A bit of `ready` stays when its port's last message is taken; who finds the port empty takes it off.
int end_take(struct end *e, uint64_t from, struct message *m)
{
    for (uint64_t ports; (ports = __atomic_load_n(&e->ready, __ATOMIC_ACQUIRE) & from);) {
        unsigned in = next_port(e, ports);
        struct message event; // `m` may stay in registers
        if (likely(likely(!e->shared) ? port_get(e->in[in], m) : get_locked(e->in[in], m))) {
            __atomic_store_n(&e->cursor, (uint8_t)((in + 1) % PORTS), __ATOMIC_RELAXED);
            return (int)in;
        }
        if (unlikely(look_again(e, in, &event))) {
            *m = event;
            return (int)in;
        }
    }
    return NOBODY;
}

// The locked OR is needed as a fence: the vector is seen by senders before we look what was there already.
void end_set_event(struct end *e, unsigned in, unsigned cpu, uint8_t vector)
{
    __atomic_store_n(&e->vector_cpu[in], (uint8_t)cpu, __ATOMIC_RELAXED);
    __atomic_store_n(&e->vector[in], vector, __ATOMIC_RELAXED);
    __atomic_fetch_or(&e->look, LOOK_EVENTS, __ATOMIC_SEQ_CST);
    if (vector && (!port_empty(e->in[in]) || events_noted(e->in[in])))
        port_tell(e->in[in]);
}

// ---- Coming and going ----

// What was sent to its former life is dropped.
static void reset_in(struct end *e, unsigned in)
{
    struct port *p = e->in[in];
    __atomic_store_n(&e->vector[in], 0, __ATOMIC_RELAXED);
    if (p && p->events)
        events_forget(p);
    if (p && e->look & LOOK_GONE)
        __atomic_store_n(&p->head, __atomic_load_n(&p->tail, __ATOMIC_ACQUIRE), __ATOMIC_RELEASE);
}

void end_attach(struct end *e, void *machine)
{
    for (unsigned i = 0; i < PORTS; i++)
        reset_in(e, i);
    lock_take(&e->lock);
    e->machine = machine;
    lock_release(&e->lock);
    __atomic_store_n(&e->look, 0, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < PORTS; i++)
        if (e->out[i])
            __atomic_fetch_or(&e->out[i]->to->open, e->out[i]->bit, __ATOMIC_SEQ_CST);
}

// `p` has no writer any more. Under the lock, so that who halts either finds the port open, and is interrupted later, or
// was interrupted. The locked AND is needed as a fence: who goes waiting sees it, or is seen here (end_wait).
static void tell_end(struct port *p)
{
    struct end *to = p->to;
    lock_take(&to->lock);
    __atomic_fetch_and(&to->open, ~p->bit, __ATOMIC_SEQ_CST);
    port_tell_locked(p);
    lock_release(&to->lock);
}

// What it had sent is still there for its readers; only then they hear that it is gone.
void end_detach(struct end *e)
{
    lock_take(&e->lock);
    e->machine = NULL;
    lock_release(&e->lock);
    __atomic_store_n(&e->look, LOOK_GONE, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < PORTS; i++)
        if (e->out[i])
            tell_end(e->out[i]);
}

// The hypervisor never ends, but tells only what is expected of it; who halts sends itself nothing.
static bool may_interrupt(const struct end *e, unsigned in, uint32_t events)
{
    const struct port *p = e->in[in];
    return p->events ? events_to_come(p, events) : p->from != e && end_open(e, p->bit);
}

bool end_awaits_interrupt(struct end *e, uint32_t events)
{
    bool awaits = false;
    if (!(end_look(e) & LOOK_EVENTS))
        return false;
    lock_take(&e->lock);
    for (unsigned in = 0; in < PORTS; in++)
        awaits |= e->vector[in] && may_interrupt(e, in, events);
    lock_release(&e->lock);
    return awaits;
}
