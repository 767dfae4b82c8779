// The other end of bench's vcpu-switch: yields in the shortest loop there is. bench knows its length and that
// it ends well before bench stops yielding.
#include "guests/lib/guest.h"

enum { YIELDS = 500 };

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
    return 0;
}
