// The other end of bench's vcpu-switch: yields in the shortest loop there is. bench knows its length and that
// it ends well before bench stops yielding. Then it answers messages, until bench has ended.
#include "guests/lib/guest.h"
#include "guests/lib/ipc.h"

enum { YIELDS = 500, FIRST_GRANTED = 0x80, GRANTED = 64 }; // pages, which bench maps

// Each answer is {TSC behind the VMCALL that brought the message, first word of that message}.
static void answer(word_t out, word_t in)
{
    uint32_t first, second = 0;
    sword_t got;
    struct words m;
    if (ipc_receive(in, WAIT_FOREVER, &m) < 0)
        return;
    first = (uint32_t)rdtsc(); // of the first message only: bench takes medians
    do
        __asm__ volatile("vmcall\n\txchg %%eax, %%r9d\n\trdtsc\n\tmov %%esi, %%edx\n\t"
                         "mov %%eax, %%esi\n\tmovslq %%r9d, %%rax"
                         : "=a"(got), "+S"(first), "+d"(second)
                         : "a"(HC_CALL), "D"(out | in << 8)
                         : "r8", "r9", "r10", "memory");
    while (got >= 0);
}

int main(const struct start_info *start)
{
    (void)start;
    uint32_t left = YIELDS;
    __asm__ volatile("1: mov %[yield], %%eax\n\t"
                     "vmcall\n\t"
                     "dec %[left]\n\t"
                     "jnz 1b"
                     : [left] "+r"(left)
                     : [yield] "i"(HC_YIELD)
                     : "rax", "memory", "cc");
    sword_t out = port_out("bench"), in = port_in("bench");
    for (unsigned i = 0; i < GRANTED; i++)
        *(volatile char *)(word_t)((FIRST_GRANTED + i) * 4096) = 1;
    hypercall(HC_GRANT, GRANT_GIVE, (word_t)out, FIRST_GRANTED, GRANTED, MEMORY_READ);
    if (out >= 0 && in >= 0)
        answer((word_t)out, (word_t)in);
    return 0;
}
