// Emits no code: the build makes an assembly listing of it and turns each comment that OFFSET
// leaves there into a %define for NASM (build/gen/offsets.inc).
#include "arch/descriptors.h"
#include "arch/pcpu.h"

#define CONSTANT(name, value)      __asm__ volatile("# @@ " #name " %0" ::"i"((uint64_t)(value)))
#define OFFSET(name, type, member) CONSTANT(name, offsetof(type, member))

void offsets(void);
void offsets(void)
{
    OFFSET(PCPU_STACK_TOP, struct pcpu, stack_top);
    CONSTANT(PCPU_SLOT_SIZE, PCPU_SLOT);
    CONSTANT(PCPU_COUNT_MAX, PCPU_MAX);
    CONSTANT(STACK_TOP_0, slot_stack_top(0));
    CONSTANT(CODE_SELECTOR, SELECTOR_CODE);
    CONSTANT(DATA_SELECTOR, SELECTOR_DATA);
}
