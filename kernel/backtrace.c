#include "kernel/backtrace.h"
#include "arch/pcpu.h"

struct stack_bounds backtrace_stack(uint64_t slot, uint64_t address)
{
    static const struct {
        uint32_t at, size;
    } stacks[] = {
        {PCPU_STACK,                 PCPU_STACK_SIZE},
        {IST_STACK,                  IST_STACK_SIZE },
        {IST_STACK + IST_STRIDE,     IST_STACK_SIZE },
        {IST_STACK + 2 * IST_STRIDE, IST_STACK_SIZE },
    };
    for (size_t i = 0; i < array_size(stacks); i++)
        if (address - slot - stacks[i].at < stacks[i].size)
            return (struct stack_bounds){slot + stacks[i].at, slot + stacks[i].at + stacks[i].size};
    return (struct stack_bounds){0, 0};
}

struct frame { // what `push rbp; mov rbp, rsp` leaves
    uint64_t caller, return_address;
};

static bool is_frame(uint64_t rbp, struct stack_bounds stack)
{
    return rbp % 8 == 0 && rbp >= stack.low && rbp < stack.high && stack.high - rbp >= sizeof(struct frame);
}

size_t backtrace_walk(uint64_t rbp, struct stack_bounds stack, uint64_t addresses[BACKTRACE_MAX])
{
    size_t n = 0;
    while (n < BACKTRACE_MAX && is_frame(rbp, stack)) {
        const struct frame *f = (const struct frame *)(uintptr_t)rbp;
        if (!f->return_address)
            break;
        addresses[n++] = f->return_address;
        stack.low = rbp + sizeof *f; // upwards only: a chain cannot loop
        rbp = f->caller;
    }
    return n;
}
