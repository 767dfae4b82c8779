// The test option fail-alloc= (docs/options.md): an allocation fails though there is memory.
#pragma once
#include "arch/reason.h"
#include "kernel/machines.h"

// Before processors have caches of frames: they are to stay empty. Boot processor.
void fail_alloc_init(void);
// From here on allocations count: machines are about to be built. Boot processor.
void fail_alloc_start(const struct verdict *verdicts, uint32_t count);
// The machine of that id is about to be built: with `rising`, the next allocation fails in this life of its.
void fail_alloc_life(uint32_t id);
// It could not be built. True: with `rising`, because of that, and it is to be tried once more.
bool fail_alloc_again(uint32_t id, const struct reason *why);
