// The other end of bench's vcpu-switch: yields in the shortest loop there is (yields=N). bench knows its length and
// that it ends well before bench stops yielding. Then it grants pages, 64 of 4 KiB or, with `large`, one leaf of 2
// MiB, and answers messages, until bench (peer=NAME) has ended.
#include "guests/lib/guest.h"
#include "guests/lib/ipc.h"

enum { YIELDS = 500, FIRST_GRANTED = 0x80, GRANTED = 64, LARGE = 512 }; // pages, which bench maps

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

static void yield_in_a_loop(uint32_t left)
{
    __asm__ volatile("1: mov %[yield], %%eax\n\t"
                     "vmcall\n\t"
                     "dec %[left]\n\t"
                     "jnz 1b"
                     : [left] "+r"(left)
                     : [yield] "i"(HC_YIELD)
                     : "rax", "memory", "cc");
}

static void grant(word_t out, word_t first, word_t pages)
{
    for (word_t i = 0; i < pages; i++)
        *(volatile char *)((first + i) * 4096) = 1;
    hypercall(HC_GRANT, GRANT_GIVE, out, first, pages, MEMORY_READ);
}

int main(const struct start_info *start)
{
    const char *line = command_line(start), *peer = "bench";
    uint32_t yields = (uint32_t)word_number(line, "yields", YIELDS);
    word_list(line, "peer", &peer, 1);
    if (yields)
        yield_in_a_loop(yields);
    sword_t out = port_out(peer), in = port_in(peer);
    if (out < 0 || in < 0)
        return 0;
    if (word_present(line, "large"))
        grant((word_t)out, LARGE, LARGE);
    else
        grant((word_t)out, FIRST_GRANTED, GRANTED);
    answer((word_t)out, (word_t)in);
    return 0;
}
