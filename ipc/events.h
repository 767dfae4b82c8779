// What the hypervisor tells a machine unasked: events of the port from it (ipc/port.h). Pure.
//
// A machine *expects* an event, by a request whose first word comes back with it; once, or each time. One that occurs
// is *noted*, and becomes a message when the machine takes from the port and all in the ring has been taken: it needs
// no place there, so none is lost, however full the ring is. One that occurs again before it was taken is the same.
// Events of a port take turns.
//
// Locking: all of it is under the lock of the reader's end, which these calls take where they do not say otherwise.
// It is taken under other locks, but not under a machine's (vm_lock()) or the buddy's: ops->raise and ops->tell, which
// are called under it, may take those.
//
// Invariant: what is noted is expected. When an event is noted and nobody is on his way to tell it, the port's bit in
// `ready` is set, or a vCPU of the machine is about to look at the port.
#pragma once
#include "ipc/port.h"

enum { PORT_EVENTS = 32 };

struct events {
    uint32_t expected, noted, once; // bit per event; `expected` is read without the lock
    uint8_t first;                  // the one that is looked at first
    uint64_t word[PORT_EVENTS];
};

// The machine expects it from now on, with `word`, `once` or until events_expect_no_more(), which returns whether it
// was expected. What was noted before is forgotten. Any vCPU of the machine.
void events_expect(struct port *p, unsigned event, uint64_t word, bool once);
bool events_expect_no_more(struct port *p, unsigned event);
bool events_expected(const struct port *p, unsigned event); // as of now; no lock
// It occurs: if the machine is there and expects it, it is noted, and told as a message's arrival is. Any processor.
void events_note(struct port *p, unsigned event);

// For ipc/port.c. Makes a message of the next event that is noted. False: of none; `noted`: there was one, and there
// may be more. Also for a port without events.
bool events_take(struct port *p, struct message *m, bool *noted);
bool events_noted(struct port *p); // any of them; false for a port without events
// One of `events` (bits) is expected that is not noted; with the lock.
bool events_to_come(const struct port *p, uint32_t events);
void events_forget(struct port *p); // all: the machine is about to come
