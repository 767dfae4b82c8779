// Who may talk to whom: the ends and ports of a run (ipc/port.h), made from all module lines at once. By machine id.
// Boot processor, but for the calls of one machine's coming and going.
#pragma once
#include "ipc/port.h"
#include "kernel/machines.h"

struct buddy;

// Makes an end for each machine that sends to another or is sent to, and a port for each name behind `ipc=`. A machine
// whose ports find no memory is refused. Once, before the first machine is built; `b` gives the memory, for good.
void peers_connect(struct verdict *verdicts, size_t count, struct buddy *b);
// The end of a machine; NULL when it has none.
struct end *peers_end(uint32_t id);
// The number of the port of `e` out to, or in from, the machine of that name; PORTS when there is none.
unsigned peers_find(struct port *const ports[PORTS], const struct end *e, const char *name);
