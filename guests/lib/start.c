#include "guests/lib/guest.h"

enum { STACK_BYTES = 32 * 1024 };

static char stack[STACK_BYTES] __attribute__((aligned(16), used));
// The assembly entry loads this address as its first stack pointer.
__asm__(".globl stack_top\n.set stack_top, stack + 32768");
_Static_assert(STACK_BYTES == 32768, "stack_top above names the same size");

void guest_start(const struct start_info *start);

void guest_exit(word_t code)
{
    hypercall1(HC_EXIT, code);
    for (;;)
        __asm__ volatile("cli; hlt");
}

void guest_start(const struct start_info *start)
{
    exceptions_init();
    guest_exit((word_t)main(start));
}

static bool overlaps(uint64_t at, size_t bytes, uint64_t from, uint64_t to)
{
    return at < to && from < at + bytes;
}

bool loader_owns(const struct start_info *start, word_t at, size_t bytes)
{
    uint64_t text = start->cmdline;
    return overlaps(at, bytes, START_AREA, START_AREA_END) ||
           overlaps(at, bytes, (word_t)image_start, (word_t)image_end) ||
           overlaps(at, bytes, text, text + strlen(command_line(start)) + 1) ||
           overlaps(at, bytes, start->initrd, start->initrd + start->initrd_bytes);
}
