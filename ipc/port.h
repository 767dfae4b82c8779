// Message queues between machines. Pure; tests/models has the protocol as a model, docs/ipc.md in words.
//
// A *port* is one direction from one machine to another: a ring of PORT_DEPTH messages, written by the one and read
// by the other. An *end* is what a machine has of it all: its ports out and in, which of those in may have messages,
// and which of its vCPUs wait for some. The machine behind an end is awaited first: what is sent to it waits. Then it
// is there, then gone, and perhaps there again. Ends and ports are made before the first machine, from the module
// lines, and stay for the whole run, so that no pointer between them ever dangles; what comes and goes is the machine
// behind an end.
//
// Nobody waits for another machine. The ring needs no lock: each side writes only its own index. Vcpus of one machine
// exclude each other by the lock of their side, which a machine with one vCPU does not take. The lock of an end is held
// only while a vCPU of its machine is woken or interrupted, so that the machine is there meanwhile; it is taken by
// who sends to that machine, and by its last vCPU that halts.
//
// The hypervisor has an end for each machine that may send to it. Nobody waits there: it takes a message as it is
// sent, on the sender's own processor (ops->serve), and answers into its port to that machine. What it tells unasked,
// ipc/events.h has.
//
// Invariants: a port's `tail` less its `head` is 0 to PORT_DEPTH. When a message is in a port and no sender is on its
// way, either the port's bit in `ready` of its reader is set, or a vCPU of the reader is about to look at the port.
// A vCPU whose bit is set in `look` finds nothing in the ports that it waits for, and who may still send, or will be woken.
#pragma once
#include "abi/error.h"
#include "abi/micronova.h"
#include "arch/lock.h"
#include "arch/types.h"
#include "ipc/grant.h"

enum { PORT_DEPTH = 32, END_CPUS = 16 };

struct message {
    uint64_t word[MESSAGE_WORDS];
};

struct end;
struct events;
struct pcpu;

struct port {
    struct end *from, *to; // constant
    uint64_t bit;          // 1 << in; constant
    uint8_t out, in;       // its number among the ports out of `from` and in of `to`; constant
    bool many_writers;     // `from` has several vCPUs; constant
    // The writer's.
    uint32_t tail __attribute__((aligned(64)));
    struct lock writers;
    // The reader's.
    uint32_t head __attribute__((aligned(64)));
    struct lock readers;
    struct events *events; // of a port from the hypervisor; else NULL
    struct message slot[PORT_DEPTH] __attribute__((aligned(64)));
    struct grants grants; // pages that go the same way
};

// A vCPU that waits while its bit in `look` is set.
struct waiter {
    uint64_t from;            // ports in that it waits for; its own to write while it does not
    const struct pcpu *where; // the processor that it belongs to, which does not change while it waits
    void *who;                // what the room above knows it by
    uint32_t bit;             // in `look`; constant
} __attribute__((aligned(32)));

// `look`: what a sender has to look at. In the common case it is 0.
enum {
    LOOK_WAITERS = (1 << END_CPUS) - 1, // bit per vCPU that waits
    LOOK_EVENTS = 1 << END_CPUS,        // some port has a vector
    LOOK_GONE = 2 << END_CPUS,          // its machine has ended
    LOOK_SERVES = 4 << END_CPUS,        // it is the hypervisor's, and takes messages as they are sent
};

struct end {
    const char *name;                    // of its machine; constant
    struct port *in[PORTS], *out[PORTS]; // NULL: no such port; constant
    uint64_t ins;                        // which ports in there are; constant
    bool shared;                         // its machine has several vCPUs; constant
    uint8_t cursor;                      // the reader's: the port to look at first
    uint8_t vector[PORTS],
        vector_cpu[PORTS]; // arrival raises it there; 0: none. The reader's, read by writers
    struct waiter waiter[END_CPUS];
    // Written by others.
    uint64_t ready __attribute__((aligned(64))); // ports in that may have messages
    uint64_t open;                               // ports in whose writer may still send
    uint32_t look;                               // see above
    struct lock lock;                            // guards `machine`
    void *machine;                               // NULL unless it is there
};

// What ipc/ asks of the room above, of a machine's vCPU `cpu`; with the end's lock held, `e->machine` is not NULL.
struct ipc_ops {
    void (*wake)(struct end *e, unsigned cpu);                  // has it look at its ports: end_take()
    void (*raise)(struct end *e, unsigned cpu, uint8_t vector); // interrupts it
    // Without the lock: `m` is sent through `p` to the hypervisor, by the vCPU that runs here. What port_send()
    // returns.
    enum error (*serve)(struct port *p, const struct message *m);
    // With the lock, so it takes none of the room's: event number `event` of `p` is taken; words 1 to 3 of its message.
    // False: there is nothing to tell after all. `more`: it stays noted.
    bool (*tell)(struct port *p, unsigned event, struct message *m, bool *more);
};
extern const struct ipc_ops *ipc_ops; // before the first message

static inline uint64_t port_bit(unsigned port)
{
    return 1ull << port;
}

// Before anything is sent: `p` (zeroed) becomes port `out` of `from` and `in` of `to`.
void port_connect(struct port *p, struct end *from, unsigned out, struct end *to, unsigned in);

// ---- Sending ----

// True when nothing waits in it. Anybody; what the other side does meanwhile may be seen or not.
static inline bool port_empty(const struct port *p)
{
    return __atomic_load_n(&p->head, __ATOMIC_RELAXED) == __atomic_load_n(&p->tail, __ATOMIC_ACQUIRE);
}

// The message is written before the index that shows it.
static inline_always bool port_put(struct port *p, const struct message *m)
{
    uint32_t tail = p->tail;
    if (unlikely(tail - __atomic_load_n(&p->head, __ATOMIC_ACQUIRE) == PORT_DEPTH))
        return false;
    p->slot[tail % PORT_DEPTH] = *m;
    __atomic_store_n(&p->tail, tail + 1, __ATOMIC_RELEASE);
    return true;
}

// Wakes or interrupts who wants to know that there is something in `p`, or that its writer is gone. The second: with
// the lock of the reader's end.
void port_tell(struct port *p);
void port_tell_locked(struct port *p);

// The same under the lock of the writers.
bool port_put_locked(struct port *p, struct message m);

// The same for any writer.
static inline_always bool port_put_any(struct port *p, const struct message *m)
{
    return likely(!p->many_writers) ? port_put(p, m) : port_put_locked(p, *m);
}

// Behind every message that was put: shows it, and returns who has to be told, as end_look() does.
static inline_always uint32_t port_arrives(struct port *p)
{
    struct end *to = p->to;
    // The locked OR is needed as a fence, too: what was put into the ring is seen by everybody before we look who
    // waits. Who goes waiting does the same the other way round (end_wait), so that one of us sees the other.
    __atomic_fetch_or(&to->ready, p->bit, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&to->look, __ATOMIC_SEQ_CST);
}

static inline_always void port_arrived(struct port *p)
{
    if (unlikely(port_arrives(p)))
        port_tell(p);
}

// Puts a message behind those of the port, and wakes or interrupts who wants to know. E_AGAIN: the port is full;
// E_GONE: the machine behind it has ended. Any vCPU of the writer.
enum error port_send(struct port *p, const struct message *m);

// From the hypervisor's end: whether `p` has a place. If so, it is kept, and other vCPUs of the reader's machine wait,
// until port_end_answer() fills it. Any vCPU of that machine.
bool port_begin_answer(struct port *p);
void port_end_answer(struct port *p, const struct message *m);

// Whoever takes a vCPU's bit off `look` lets it run, and only he.
static inline_always bool end_take_waiter(struct end *e, unsigned cpu)
{
    uint32_t bit = 1u << cpu;
    return __atomic_fetch_and(&e->look, ~bit, __ATOMIC_ACQ_REL) & bit;
}

// Who has to be looked at before a message is sent to `e`.
static inline_always uint32_t end_look(const struct end *e)
{
    return __atomic_load_n(&e->look, __ATOMIC_ACQUIRE);
}

// `look`: end_look() of the reader, in which somebody waits. The first vCPU that waits behind `p`, if it waits for a
// message of it and belongs to the processor `here`, on which we are: what it is known by. Once its bit in `look` is
// taken (end_take_waiter() of the first one) it may be given the message by hand, instead of sending it; nothing is
// in the ring that this would overtake. No lock is needed: on its own processor a vCPU that waits neither ends nor
// moves meanwhile. NULL: there is no such vCPU.
static inline_always void *port_waiter(const struct port *p, uint32_t look, const struct pcpu *here)
{
    const struct waiter *w = &p->to->waiter[(unsigned)__builtin_ctz(look)];
    if (__atomic_load_n(&w->where, __ATOMIC_RELAXED) != here || !port_empty(p) ||
        !(__atomic_load_n(&w->from, __ATOMIC_RELAXED) & p->bit))
        return NULL;
    if (!w->who)
        __builtin_unreachable();
    return w->who;
}

// ---- Receiving ----

// The message is read before the index that gives its place back.
static inline_always bool port_get(struct port *p, struct message *m)
{
    uint32_t head = p->head;
    if (head == __atomic_load_n(&p->tail, __ATOMIC_ACQUIRE))
        return false;
    *m = p->slot[head % PORT_DEPTH];
    __atomic_store_n(&p->head, head + 1, __ATOMIC_RELEASE);
    return true;
}

// Takes the next message from one of the ports in `from` (bits), turn about. Its port's number, or NOBODY. Any vCPU of
// the machine.
enum { NOBODY = -1 };
int end_take(struct end *e, uint64_t from, struct message *m);
// Vcpu `cpu` is known as `who` and belongs to `where`: before it waits for the first time, and whenever it has moved.
// It does not wait meanwhile.
static inline struct waiter *end_seat(struct end *e, unsigned cpu, void *who, const struct pcpu *where)
{
    struct waiter *w = &e->waiter[cpu];
    w->bit = 1u << cpu;
    w->who = who;
    __atomic_store_n(&w->where, where, __ATOMIC_RELAXED);
    return w;
}
// Those of the ports in `from` whose writer may still send. Asked before end_take(): then what that takes is all.
static inline uint64_t end_open(const struct end *e, uint64_t from)
{
    return __atomic_load_n(&e->open, __ATOMIC_ACQUIRE) & from;
}
// From now on the vCPU of `w`, one of e->waiter, is woken when a message arrives at one of the ports w->from, or a
// writer of them is gone. False: it does not wait, for one of them is ready already, of which end_take() says more, or
// all the writers are gone.
static inline_always bool end_wait(struct end *e, struct waiter *w, uint64_t from)
{
    __atomic_store_n(&w->from, from, __ATOMIC_RELAXED);
    // The locked OR is needed as a fence: we are seen to wait before we look for the last time whether there is
    // something, or somebody.
    __atomic_fetch_or(&e->look, w->bit, __ATOMIC_SEQ_CST);
    if (likely(!(__atomic_load_n(&e->ready, __ATOMIC_SEQ_CST) & from) && end_open(e, from)))
        return true;
    end_take_waiter(e, (unsigned)(w - e->waiter));
    return false;
}
// It waits no more. A wake that was on its way may still come.
static inline_always void end_stop_waiting(struct end *e, unsigned cpu)
{
    if (__atomic_load_n(&e->look, __ATOMIC_RELAXED) >> cpu & 1)
        end_take_waiter(e, cpu);
}

// Whether an interrupt of some port in is still to come, of the hypervisor's events only one of `events` (bits). Asked
// when all vCPUs of the machine halt; if the answer is no, every interrupt that there was to come was raised before.
// Takes the end's lock.
bool end_awaits_interrupt(struct end *e, uint32_t events);

// Arrival of a message at `in` from now on interrupts vCPU `cpu` with `vector`, unless a vCPU waits for it; so does one
// that is there already, and the end of the writer. 0: nothing does.
void end_set_event(struct end *e, unsigned in, unsigned cpu, uint8_t vector);

// ---- The machine behind an end ----

// It is there, for the first time or again: what had been sent to its former life is dropped.
void end_attach(struct end *e, void *machine);
// It has ended, and none of its vCPUs runs any more; or it will never be built. Its readers are told; after that nobody
// reaches `machine` through the end.
void end_detach(struct end *e);
