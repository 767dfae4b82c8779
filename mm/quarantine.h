// Who may still reach an unmapped frame, and when it can go back. No processor ever waits for another.
//
// Generations are drawn from one counter for all spaces. Making a space and unmapping from it give it a new
// one. Every processor has a seat, where it says which space it runs and the generation that it compared
// before entry; it does its own INVEPT (all contexts) when the space is newer than its last one. An unmapped
// frame, and a dead space, wait until no seat holds the space with an older generation; a processor that is
// idle or runs another space counts as passed, for it compares before it comes back.
//
//   unmapper: clear the entry, new generation, look at the seats      (and kick who sits there)
//   runner:   take the seat,   read generation, INVEPT if newer, note it, enter
//
// Both orders of the first two steps are fenced, so one of the two always sees the other.
#pragma once
#include "arch/pcpu.h"
#include "mm/space.h"

struct seat {
    struct space *space; // runs it; NULL: idle. Written by its processor, read by others
    uint64_t generation; // of that space, when it was compared last
    uint64_t flushed;    // the newest generation when this processor did its last INVEPT
} __attribute__((aligned(64)));

extern struct seat seats[PCPU_MAX];

extern uint64_t quarantine_newest; // the generation drawn last
// The processor goes idle, or will not run its space again. No lock.
void space_leave(uint32_t pcpu);

// Gives back what nobody can reach any more, about 10,000 instructions of it at most, or has a space put leaves
// together (mm/tidy.c), 14,000. Any processor, when idle or between exits. Returns true while something is left to
// wait for.
bool quarantine_poll(void);
