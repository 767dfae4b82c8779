// Touches the first byte behind the machine's memory, or the byte that `at=` names, by `read`, `write` or
// `exec`. The machine must end as expect=outside-memory says; when the access comes back, it exits with 1.
#include "guests/lib/guest.h"

int main(const struct start_info *start)
{
    const char *line = command_line(start);
    volatile uint8_t *at = (volatile uint8_t *)(word_t)word_number(line, "at", start->mem_bytes);
    if (word_present(line, "exec"))
        ((void (*)(void))(word_t)at)();
    else if (word_present(line, "write"))
        *at = 0xc3;
    else
        print("read %#x\n", *at);
    print("expected the machine to end at %#lx\ngot past it\n", (unsigned long)(word_t)at);
    return 1;
}
