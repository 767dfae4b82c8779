// The hypervisor as a peer of machines (abi/services.h, docs/ipc.md): an end for each machine that may send to it,
// the two ports between them, and what the machine asked to be told. Made with the other ports, for the whole run;
// what was asked is forgotten with the machine.
//
// A request is served by the processor and in the exit of the vCPU that sends it: nothing is queued, nobody is waited
// for, nothing is allocated. Events come from any processor.
//
// Locking: a request that is sent is served under the lock of the writers of the port that its answer goes to, one that
// is called (HC_CALL) under none, so that two vCPUs may be served at once. Either may take every lock of kernel/.
// Events: ipc/events.h.
#pragma once
#include "abi/services.h"
#include "ipc/events.h"
#include "kernel/vm.h"

// Numbers of events of the port to a machine.
enum service_event {
    EVENT_ALARM, // and one more for each other vCPU
    EVENT_ENDED = EVENT_ALARM + MACHINE_VCPUS_MAX,
    EVENT_TARGET,
    EVENT_PRESSURE,
    EVENT_INPUT,
    EVENT_COUNT,
};
static const uint32_t EVENTS_ALL = ~0u, EVENTS_ALARMS = (1u << EVENT_ENDED) - 1;
_Static_assert((int)EVENT_COUNT <= (int)PORT_EVENTS, "a port has a bit for each event");

struct services {
    struct end end;
    struct port requests, answers;
    struct events events;
    uint32_t ends_told; // of control_end(): how many it has been told; atomic
    struct alarm {
        struct timeout timeout;
        struct services *of;
    } alarm[MACHINE_VCPUS_MAX]; // each on the home of its vCPU
};

// The machine behind that end is about to run: its services; NULL if it has no port to the hypervisor.
struct services *services_start(const struct end *machine);

// A request while it is served.
struct service_request {
    struct vcpu *v;
    struct services *services;
    bool wide;          // its words have 64 bits
    const uint64_t *of; // its words
    uint64_t *values;   // words 2 and 3 of the answer
};
// A "value" of abi/services.h.
static inline void put_value(uint64_t words[2], uint64_t value)
{
    words[0] = value;
    words[1] = value >> 32;
}

// The port that answers what is sent through `p` to the hypervisor.
static inline const struct port *services_answers(const struct port *p)
{
    return &container_of(p->to, struct services, end)->answers;
}

// By argument 1, the event is expected from now on, or no more: 0 or an error.
int64_t services_watch(const struct service_request *r, enum service_event event);

// ops->serve and ops->tell of kernel/ipc.c.
enum error services_serve(struct port *p, const struct message *m);
bool services_tell(struct port *p, unsigned event, struct message *m, bool *more);
// HC_CALL of `v` by which it waits for the port from the hypervisor alone: `m` becomes the answer, past what is in
// there.
void services_call(struct vcpu *v, struct port *p, struct message *m);

// The handlers, by the rows of SERVICE_OPERATIONS: what goes to word 1 of the answer.
#define X(service, name, number) int64_t serve_##service##_##name(const struct service_request *r);
SERVICE_OPERATIONS(X)
#undef X
// Words 1 to 3 of an event's message, by the service that it belongs to: as ops->tell.
bool tell_alarm(struct services *s, unsigned event, uint64_t words[3], bool *more);
bool tell_ended(struct services *s, unsigned event, uint64_t words[3], bool *more);
bool tell_target(struct services *s, unsigned event, uint64_t words[3], bool *more);
bool tell_pressure(struct services *s, unsigned event, uint64_t words[3], bool *more);
// The alarm of a vCPU has gone off: fires on its home.
void services_alarm(struct timeout *t);

// For who makes events: the machine may have no port to the hypervisor.
static inline void services_note(struct vm *vm, enum service_event event)
{
    if (vm->services)
        events_note(&vm->services->answers, event);
}
static inline bool services_expects(struct vm *vm, enum service_event event)
{
    return vm->services && events_expected(&vm->services->answers, event);
}
