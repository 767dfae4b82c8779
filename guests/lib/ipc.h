// Messages (docs/ipc.md), 64- and 32-bit.
#pragma once
#include "guests/lib/hypercall.h"

struct words {
    word_t w[MESSAGE_WORDS];
};

// The calls that take a message, give one, or both: `number` with its first argument, `m` in and out.
static inline sword_t message_call(enum hypercall number, word_t first, struct words *m)
{
    word_t result = number;
#ifdef __x86_64__
    register word_t r10 __asm__("r10") = m->w[2];
    register word_t r8 __asm__("r8") = m->w[3];
    __asm__ volatile("vmcall"
                     : "+a"(result), "+S"(m->w[0]), "+d"(m->w[1]), "+r"(r10), "+r"(r8)
                     : "D"(first)
                     : "memory");
    m->w[2] = r10;
    m->w[3] = r8;
#else
    __asm__ volatile("vmcall"
                     : "+a"(result), "+c"(m->w[0]), "+d"(m->w[1]), "+S"(m->w[2]), "+D"(m->w[3])
                     : "b"(first)
                     : "memory");
#endif
    return (sword_t)result;
}

static inline sword_t ipc_send(word_t port, const struct words *m)
{
    struct words copy = *m;
    return message_call(HC_SEND, port, &copy);
}
// The port that the message came from, or an error.
static inline sword_t ipc_receive(word_t port, word_t us, struct words *m)
{
    *m = (struct words){{us}};
    return message_call(HC_RECEIVE, port, m);
}
// Sends `m` and waits for the answer, which takes its place.
static inline sword_t ipc_call(word_t out, word_t in, struct words *m)
{
    return message_call(HC_CALL, out | in << 8, m);
}

// Numbers of ports by the name of the machine at the other end.
sword_t port_out(const char *name);
sword_t port_in(const char *name);
// Arrival at `in` raises `vector` on this processor.
static inline sword_t port_event(word_t in, uint8_t vector)
{
    return hypercall(HC_PORT, PORT_EVENT, in, vector, 0, 0);
}
