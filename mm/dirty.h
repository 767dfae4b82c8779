// Dirty log of a slot: which pages were written, by the guest on any processor or by the hypervisor for it, since the
// log was started, or last read. Whatever the method (mm/dirty.c), the answer is the same:
// - Everything counts as written at the start.
// - dirty_read() tells of all that was written before it, once dirty_sync() was called after the write and the
//   processors have passed (space_has_passed); a write after the processors have passed behind dirty_read() is told of
//   by a later one. Without a dirty_sync() some is told of late, or again. A page may be copied, then, as soon as they
//   have passed behind the read that named it.
// - The processor's own accesses to a guest's page tables count as writes where it has accessed and dirty flags for EPT.
// Locking: the space's lock, taken inside.
#pragma once
#include "mm/space.h"

// By preference.
// clang-format off
#define DIRTY_METHODS(X)     \
    X(PML, "pml")            \
    X(BITS, "bits")          \
    X(PROTECT, "protect")
// clang-format on

enum dirty_method {
#define X(name, word) DIRTY_##name,
    DIRTY_METHODS(X)
#undef X
        DIRTY_METHOD_COUNT // as a wish: the best there is
};

extern enum dirty_method dirty_method; // of all spaces; set before the first is made
const char *dirty_method_word(enum dirty_method m);

// Starts the log of the RAM slot around `page`. E_BAD_ADDRESS: no such slot; E_EXISTS: it has one; E_UNSUPPORTED: its
// first page's number is no multiple of 64; E_NO_MEMORY.
enum error dirty_start(struct space *s, gfn_t page);
// E_BAD_ADDRESS, E_NOT_FOUND: it has none.
enum error dirty_stop(struct space *s, gfn_t page);
// One bit a page from `first` on, a multiple of 64, into `bits`: written since the last time. As far as a handler's
// work goes and the slot has pages, at least for 64 pages; `done`: for how many. E_INVALID: `first`, or no pages;
// E_BAD_ADDRESS; E_NOT_FOUND: no log. Call vcpu_attention() when the current vCPU runs in `s`.
enum error dirty_read(struct space *s, gfn_t first, uint64_t pages, uint64_t *bits, uint64_t *done);
// The caller could not use what dirty_read() gave.
void dirty_put_back(struct space *s, gfn_t first, uint64_t pages, const uint64_t *bits);
// Guest-physical addresses that a processor noted. What is not logged is passed over.
void dirty_note(struct space *s, const uint64_t *at, unsigned count);
// Has every processor that runs `s` come by: when they have passed, all notes are taken.
void dirty_sync(struct space *s);
