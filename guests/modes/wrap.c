// The instruction pointer behind an instruction at the end of 64 KiB in a 16-bit segment that is larger: it
// goes on, whoever executes the instruction. It wraps at 4 GiB only (SDM, "RIP" of the checks on guest
// state).
#include "guests/modes/modes.h"

static const struct {
    const char *name, *bytes;
} rows[] = {
    {"wrap16-native",   "\x89\xc0"}, // mov ax, ax
    {"wrap16-emulated", "\x0f\xa2"}, // cpuid
};

unsigned wrap_points(void)
{
    return array_size(rows);
}

void wrap_test(void)
{
    for (unsigned i = 0; i < array_size(rows); i++) {
        struct call c = {.ds = DATA, .es = DATA, .cs = CODE16, .flags = RFLAGS_FIXED};
        struct ending e = modes_run(&c, rows[i].bytes, 2, 0x1fffe);
        check(e.vector == VECTOR_NONE, rows[i].name, "expected no exception\ngot %s", fault_name(e.vector));
    }
}
