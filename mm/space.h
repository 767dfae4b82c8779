// struct space: one guest-physical address space: slots of memory, the EPT that maps them, a generation
// for invalidation. Devices, hypercalls and loaders reach guest memory only through guest_read,
// guest_write and guest_map, which check slots and rights and mark pages dirty.
// Backing is lazy: a page gets a zeroed frame when it is first touched, by guest or hypervisor; all of it
// was reserved when the slot was added, so that touching cannot fail while the box keeps its promises.
// Locking: a space's own lock guards slots and EPT changes; guests of other spaces never take it.
#pragma once
#include "abi/error.h"
#include "arch/types.h"

enum slot_flags { SLOT_READ = 1, SLOT_WRITE = 2, SLOT_EXEC = 4, SLOT_RAM = 7 };
enum access { ACCESS_READ = 1, ACCESS_WRITE = 2, ACCESS_EXEC = 4 }; // as in EPT-violation qualifications

struct space;

// `owner` marks every frame of this space (mm/frame.h). NULL when out of memory.
struct space *space_create(uint16_t owner);
// Unmaps everything and gives all frames back, as soon as no processor runs it, in portions: a small space at
// once, the rest by quarantine_poll() (mm/quarantine.h). `s` is gone for the caller.
void space_destroy(struct space *s);

// Adds `pages` pages of RAM at `base`. E_NO_MEMORY when the box cannot promise them, E_EXISTS on overlap.
enum error space_add_slot(struct space *s, gfn_t base, uint64_t pages, enum slot_flags flags);

// First touch, from an EPT violation: backs and maps the page. E_BAD_ADDRESS outside every slot,
// E_DENIED when the slot forbids the access, E_NO_MEMORY.
enum error space_fault(struct space *s, gpa_t at, enum access access);

enum error guest_read(struct space *s, gpa_t from, void *to, size_t len);        // E_BAD_ADDRESS, E_NO_MEMORY
enum error guest_write(struct space *s, gpa_t to, const void *from, size_t len); // E_BAD_ADDRESS, E_NO_MEMORY
enum error guest_zero(struct space *s, gpa_t to, size_t len); // lazily backed pages are zero already
// A pointer to [at, at+len), which must lie within one page; marks it dirty. NULL: outside or out of memory.
// Valid until the space is destroyed or the page unmapped.
void *guest_map(struct space *s, gpa_t at, size_t len);

uint64_t space_eptp(const struct space *s);  // value for the EPTP field
uint64_t space_bytes(const struct space *s); // hypervisor memory it costs, its RAM aside
uint64_t space_ram(const struct space *s);   // bytes of RAM slots
uint64_t space_generation(const struct space *s);
