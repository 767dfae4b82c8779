// struct space: one guest-physical address space: slots of memory, the EPT that maps them, a generation
// for invalidation. Devices, hypercalls and loaders reach guest memory only through guest_read,
// guest_write, guest_exchange and guest_map, which check slots and rights and mark pages dirty.
// Backing is lazy: a page gets a zeroed frame when it is first touched, by guest or hypervisor; all of it
// was reserved when the slot was added, so that touching cannot fail while the box keeps its promises. A slot can be
// backed at once, too, in leaves as large as alignment and free memory allow. A 2-MiB leaf is one block of the buddy;
// what concerns a part of it splits both, and when its pages are alike again they are put together.
// Locking: a space's own lock guards slots and EPT changes; guests of other spaces never take it.
#pragma once
#include "abi/error.h"
#include "arch/types.h"

enum slot_flags { // the rights as in EPT: reading, with it writing; execution, alone if the processor can
    SLOT_READ = 1,
    SLOT_WRITE = 2,
    SLOT_EXEC = 4,
    SLOT_RAM = 7,
    SLOT_BALLOON = 16, // with rights: no page is there before space_take() (mm/balloon.c)
    SLOT_WINDOW = 8,   // alone: no memory of its own, pages of other spaces are mapped there by space_lend()
};
enum access { ACCESS_READ = 1, ACCESS_WRITE = 2, ACCESS_EXEC = 4 }; // as in EPT-violation qualifications

struct space;

// `owner` marks every frame of this space (mm/frame.h). NULL when out of memory.
struct space *space_create(uint16_t owner);
// Unmaps everything and gives all frames back, as soon as no processor runs it, in portions: a small space at
// once, the rest by quarantine_poll() (mm/quarantine.h). `s` is gone for the caller.
void space_destroy(struct space *s);

// Adds `pages` pages of RAM at `base`. E_NO_MEMORY when the box cannot promise them, E_EXISTS on overlap. Of slots
// with SLOT_BALLOON nothing is promised.
enum error space_add_slot(struct space *s, gfn_t base, uint64_t pages, enum slot_flags flags);

// Backs the whole slot around `page` now, in large leaves where that can be: as long as zeroing it takes.
void space_populate(struct space *s, gfn_t page);

// Gives pages of one RAM slot `rights` of their own, not more than the slot has; backs them first. Goes as far as a
// handler may, and the end of a 2-MiB region, and says how many pages that were in `done`. What was taken away is still
// possible until the processors of `s` have passed the new generation. E_BAD_ADDRESS: not in one RAM slot; E_INVALID:
// no rights, or writing without reading; E_DENIED: more than the slot has; E_UNSUPPORTED: execution alone, which this
// processor does not know; E_EXISTS: a part of a leaf that is lent whole; E_NO_MEMORY.
// Call vcpu_attention() when the current vCPU runs in `s`.
enum error space_set_rights(struct space *s, gfn_t first, uint64_t pages, unsigned rights, uint64_t *done);

// ---- The balloon (mm/balloon.c): a machine gives pages back and takes some again ----

// Pages of one RAM slot from `first` on go back to the box as soon as nobody can reach them any more, and are a hole
// until they are taken again. As many as a handler may, in order, up to the first that cannot: `done`; on error none.
// E_BAD_ADDRESS: not in one RAM slot; E_NOT_FOUND: the page is given already; E_DENIED: the space would have less than
// was promised to it; E_EXISTS: it is lent, or part of a leaf that is; E_NO_MEMORY: for a page table.
// Call vcpu_attention() when the current vCPU runs in `s`.
enum error space_give(struct space *s, gfn_t first, uint64_t pages, uint64_t *done);
// The other way: holes get zeroed pages, until the space holds `most`; a page table that this takes comes on top.
// E_AGAIN: it holds as many; E_BAD_ADDRESS; E_EXISTS: it is no hole; E_NO_MEMORY.
enum error space_take(struct space *s, gfn_t first, uint64_t pages, uint64_t most, uint64_t *done);
// Pages of RAM that it has, touched or not, and page tables that were made for holes. No lock.
uint64_t space_held(const struct space *s);

// ---- Pages lent to another space (mm/lend.c). A page, or 2-MiB leaf, is lent to one space at a time. ----

// Maps the page `page` of `owner` at `at` in a window of `to`, with `rights` (SLOT_READ, with it SLOT_WRITE and
// SLOT_EXEC), a 4-KiB page or, with `large`, a whole 2-MiB leaf; backs it first. The hypervisor's own accesses
// (guest_read...) never go through windows. E_INVALID: the same space twice, rights, `large` unaligned;
// E_BAD_ADDRESS: not in a RAM slot, not in a window; E_DENIED: more rights than the owner's slot has; E_EXISTS: it is
// lent already, or may still be reached by whom it was lent to, or it is part of a leaf that is, or something is
// mapped at `at`; E_UNSUPPORTED: `large`, and no leaf of 2 MiB or more there (see space_leaf_pages); E_NO_MEMORY:
// for a page table. A leaf that is larger than what is lent is split. On error nothing else changed. Takes one
// space's lock, then the other's. The caller sees to it that neither is being destroyed.
enum error space_lend(struct space *owner, gfn_t page, bool large, struct space *to, gfn_t at,
                      enum slot_flags rights);
// Takes a page back: `to` reaches it no more as soon as its processors have passed the new generation, which
// nobody waits for (mm/quarantine.h); until then it cannot be lent again. E_NOT_FOUND: nothing of that size is
// mapped at `at`, or it is not a window. Call vcpu_attention() when the current vCPU runs in `to`.
enum error space_take_back(struct space *to, gfn_t at, bool large);
// Whoever runs `s` has passed all that was unmapped from it so far. No lock.
bool space_has_passed(const struct space *s);
// How many pages the leaf maps in which `page`, of 48 bits with its offset, lies: 1, 512, 262144; 0: none.
uint64_t space_leaf_pages(struct space *s, gfn_t page);

// First touch, from an EPT violation: backs and maps the page. E_BAD_ADDRESS outside every slot,
// E_DENIED when slot or page forbid the access or nothing is lent there, E_NO_MEMORY.
enum error space_fault(struct space *s, gpa_t at, enum access access);

// E_BAD_ADDRESS; E_DENIED: rights of slot or page; E_NO_MEMORY.
enum error guest_read(struct space *s, gpa_t from, void *to, size_t len);
enum error guest_write(struct space *s, gpa_t to, const void *from, size_t len);
// Whether a guest_write() to [at, at + len), within one page, would do: its error. Backs the page and marks it dirty.
enum error guest_probe(struct space *s, gpa_t at, size_t len);
// Writes `value`, of `len` 4 or 8 bytes, aligned to that, where `was` stands. E_AGAIN: something else does; else as
// guest_write().
enum error guest_exchange(struct space *s, gpa_t at, uint64_t was, uint64_t value, size_t len);
// A pointer to [at, at+len), which must lie within one page; marks it dirty. NULL: outside, not writable, or out
// of memory.
// Valid until the space is destroyed or the page unmapped.
void *guest_map(struct space *s, gpa_t at, size_t len);

// Whether the frame `f` is a RAM page of a slot: a walk through all leaves if it is one that nobody else has. True
// stays true, for who runs on a processor of `s`, until that one has passed a newer generation.
bool space_has_frame(struct space *s, pfn_t f);

// Links a page directory of EPT that spaces share and none owns (ept_link) at a GiB in which this one has no slot, or
// with hpa(0) takes it out: whoever runs `s` reaches it no more as soon as it has passed the new generation, so call
// vcpu_attention() when the current vCPU runs there. A slot that is added there takes it out, too. E_EXISTS: there is
// one; E_NO_MEMORY.
enum error space_link(struct space *s, gpa_t at, hpa_t directory);

uint64_t space_eptp(const struct space *s);  // value for the EPTP field
uint64_t space_bytes(const struct space *s); // hypervisor memory it costs, its RAM aside
uint64_t space_ram(const struct space *s);   // bytes of RAM slots, holes of the balloon too
uint64_t space_generation(const struct space *s);
