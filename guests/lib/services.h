// The hypervisor as a peer (abi/services.h, docs/ipc.md), 64- and 32-bit.
#pragma once
#include "abi/services.h"
#include "guests/lib/ipc.h"

// The ports to and from the hypervisor.
struct services {
    word_t out, in;
};

// False: the machine's line does not name it.
static inline bool services_find(struct services *s)
{
    sword_t out = port_out(HYPERVISOR_PEER), in = port_in(HYPERVISOR_PEER);
    *s = (struct services){(word_t)out, (word_t)in};
    return out > 0 && in > 0;
}

static inline word_t service_word(enum service_operation op, word_t tag)
{
    return op | tag << SERVICE_TAG_SHIFT;
}

// Asks and gets the answer in `m`: its result, or the error of HC_CALL.
static inline sword_t service_ask(const struct services *s, struct words *m)
{
    sword_t from = ipc_call(s->out, s->in, m);
    return from < 0 ? from : (sword_t)m->w[1];
}

// The same without tag and with one argument, for those who want nothing but the result.
static inline sword_t service_do(const struct services *s, enum service_operation op, word_t argument)
{
    return service_ask(s, &(struct words){
                              {op, argument}
    });
}

// The value of an answer or event.
static inline uint64_t service_value(const struct words *m)
{
    return (uint32_t)m->w[2] | (uint64_t)m->w[3] << 32;
}
