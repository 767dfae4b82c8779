// Guest loaders: turn a module's bytes into a machine's first state. Pure: memory is reached through
// mm/space.h only (guest_write), so all of it runs on the host against a fake space.
#pragma once
#include "arch/reason.h"
#include "kernel/machine.h"
#include "mm/space.h"
#include "vmx/start.h"

struct blob { // a boot module's bytes, read only; hostile
    const uint8_t *bytes;
    size_t size;
};

// Recognises the format (bzImage, Multiboot1, ELF64/ELF32 of our ABI, in this order), writes the guest's
// memory and fills `start`. `initrd` has size 0 when there is none. Errors: E_MALFORMED, E_TOO_BIG,
// E_UNSUPPORTED, E_NO_MEMORY, with the sentence in `why`. On error the space is destroyed by the caller.
enum error loader_load(const struct machine *m, struct blob image, struct blob initrd, uint32_t vm_id,
                       uint64_t tsc_hz, struct space *space, struct guest_start *start, struct reason *why);
