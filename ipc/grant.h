// Pages that one machine grants to another along a port: what is granted, and where the other has it mapped. The
// mapping itself is mm/lend.c's. Pure.
//
// A *grant* is a run of pages with rights. Its owner, the writer of the port, gives and revokes it; its reader maps
// it into its window and unmaps it. Each call does a part that lasts no longer than a handler may, and says how
// far it has come; who wants the rest calls again.
//
// Locking: one lock for the grants of a port, held while pages are mapped or taken back, so that neither space goes
// away meanwhile. Only the two machines take it, and a space's lock is taken under it.
#pragma once
#include "abi/error.h"
#include "arch/lock.h"
#include "arch/types.h"

enum { GRANTS = 16, GRANT_BATCH = 16 }; // of a port; leaves mapped or taken back by one call

struct space;

enum grant_state {
    GRANT_FREE,
    GRANT_GIVEN,
    GRANT_REVOKED, // is not mapped any further; free as soon as nothing is mapped
};

struct grant {
    uint64_t page, pages; // of the owner
    uint64_t at, mapped;  // the reader has the first `mapped` of them at page `at`; mapped 0: nowhere
    uint8_t rights;       // enum slot_flags
    uint8_t state;        // enum grant_state
};

struct grants {
    struct lock lock;
    struct space *from, *to; // NULL: no machine is there
    struct grant grant[GRANTS];
};

// The machine at that end has come, or ends (NULL). Pages that an owner leaves behind stay with who has them mapped
// until he unmaps them or ends, too.
void grants_set_owner(struct grants *g, struct space *from);
void grants_set_reader(struct grants *g, struct space *to);

// By the owner. The number of the new grant. E_INVALID: rights (SLOT_READ, with it SLOT_WRITE and SLOT_EXEC), no pages;
// E_BAD_ADDRESS: not all of it is RAM of the owner; E_TOO_BIG: GRANTS are given.
int64_t grants_give(struct grants *g, uint64_t page, uint64_t pages, uint64_t rights);
// By the owner: takes a part back; how many pages are still mapped, 0: the grant is no more. E_NOT_FOUND.
int64_t grants_revoke(struct grants *g, uint64_t number);
// By the reader: maps a part at page `at` of its window and behind; how many pages of the grant are mapped by now.
// E_NOT_FOUND; E_EXISTS: it is mapped elsewhere, or one of the pages is granted and mapped otherwise, or taken back
// from somebody who could still reach it a moment ago, or something is mapped there; E_BAD_ADDRESS: beyond the
// window; E_NO_MEMORY.
int64_t grants_map(struct grants *g, uint64_t number, uint64_t at);
// By the reader: unmaps a part; how many pages are still mapped. E_NOT_FOUND.
int64_t grants_unmap(struct grants *g, uint64_t number);
