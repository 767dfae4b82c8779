// The ports of a machine with several vCPUs: its devices, each behind the machine's lock. A machine with one vCPU
// does without, so that its IN and OUT pay nothing.
#pragma once
#include "arch/reason.h"
#include "dev/io.h"

struct vm;
struct shared_io;

void shared_io_init(void);
enum error shared_io_create(struct shared_io **s, struct vm *vm, uint16_t owner, struct reason *why);
void shared_io_destroy(struct shared_io *s, uint16_t owner); // NULL is fine
struct io_map *shared_io_map(struct shared_io *s);
uint64_t shared_io_bytes(void);
