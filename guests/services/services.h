// Roles of the guest `services`, by the first word of cmdline=.
#pragma once
#include "guests/lib/apic.h"
#include "guests/lib/guest.h"
#include "guests/lib/services.h"

enum { VECTOR = 0x61, TAG = 0x5a5a };

extern struct services hv;
extern const struct start_info *start_info;

// Each delivers its points.
void clock(void);
void hostile(void);
void many(void);
void control(void);
void meek(void);
void balloon(void);
void pressure(void);
void console(void);
void input(void);
// Each ends as its line's expect= says.
int stuck(void);
int stuck_late(void);
int outlives(void);
int reborn(void);

// ---- What they share ----

// A result, negated error or not.
void result(const char *name, sword_t expected, sword_t got);
// Asks with tag TAG; the answer has to carry it. The result, and the answer in `m` if that is not NULL.
sword_t ask(enum service_operation op, word_t argument, struct words *m);
uint64_t value_of(enum service_operation op);
uint64_t ticks_of_us(uint64_t us);
void spin_us(uint64_t us);
// Interrupts of the port from the hypervisor at VECTOR, counted.
void start_events(void);
extern volatile unsigned interrupts;
// Takes from the hypervisor's port: whether it is the event that `op` with this tag asked for, which goes into `m`.
bool take_event(enum service_operation op, word_t tag, word_t us, struct words *m);
