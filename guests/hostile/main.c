#include "guests/hostile/hostile.h"

static const struct {
    const char *name;
    attack *run;
} attacks[] = {
#define X(name, function) {name, function},
    ATTACKS(X)
#undef X
};

uint64_t *page_directory(void)
{
    uint64_t *pml4 = (uint64_t *)(read_cr3() & PTE_ADDRESS);
    uint64_t *pdpt = (uint64_t *)(pml4[0] & PTE_ADDRESS);
    return (uint64_t *)(pdpt[0] & PTE_ADDRESS);
}

int main(const struct start_info *start)
{
    for (unsigned i = 0; i < array_size(attacks); i++) {
        if (!strcmp(attacks[i].name, command_line(start)))
            return attacks[i].run(start);
    }
    print("expected an attack's name in cmdline=\ngot \"%s\"\n", command_line(start));
    return 2;
}
