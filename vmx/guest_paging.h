// The guest's own paging: from a linear to a guest-physical address, as its processor would walk (SDM,
// "Paging"). For the few instructions that are emulated with a memory operand. Pure.
#pragma once
#include "abi/error.h"
#include "arch/types.h"
#include "mm/guest_view.h"

struct guest_paging {
    uint64_t cr0, cr3, cr4, efer, rflags;
    uint64_t pdpte[4]; // PAE paging: what the processor holds
    unsigned cpl;
    unsigned physical_bits;
};

// E_OK with `to`; E_NOT_FOUND: the guest gets #PF with `*pf_error`; E_DENIED: the rights of a table's page forbid its
// use; E_BAD_ADDRESS: a table lies outside the machine's memory; E_NO_MEMORY. `access` is ACCESS_READ or ACCESS_WRITE.
// Sets accessed and dirty flags.
enum error guest_translate(const struct guest_paging *p, struct space *space, uint64_t linear,
                           enum access access, gpa_t *to, uint32_t *pf_error);

// Where the byte is that a processor with 4-level paging fetched from `linear` just now, and the rest of its page;
// NULL: guest_translate() knows why. Rights, reserved bits and accessed flags were looked at by the processor: who
// changes his tables meanwhile gets what a stale translation would give him.
const void *guest_fetched(struct guest_view *g, uint64_t cr3, uint64_t linear);
