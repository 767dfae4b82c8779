// The instruction pointer behind an instruction at the end of what it may run through, whoever executes it.
// In a 16-bit segment larger than 64 KiB it goes on (SDM, "Checks on Guest RIP, RFLAGS, and SSP": only 4 GiB
// are a limit there); at the end of the canonical addresses the next fetch faults.
#include "guests/modes/modes.h"

enum { P_W = 3, PAGE = 4096 };
#define BEHIND_LOWER_HALF 0x0000800000000000ull

static const struct {
    const char *name, *top_name, *bytes;
} rows[] = {
    {"wrap16-native",   "canonical-end-native",   "\x89\xc0"}, // mov ax, ax
    {"wrap16-emulated", "canonical-end-emulated", "\x0f\xa2"}, // cpuid
};

unsigned wrap_points(void)
{
    return 2 * array_size(rows);
}

// The last page of the lower half.
static uint8_t *map_top(void)
{
    static uint8_t page[PAGE] __attribute__((aligned(PAGE)));
    static uint64_t tables[3][512] __attribute__((aligned(PAGE)));
    uint64_t *pml4 = (uint64_t *)(read_cr3() & ~0xfffull);
    pml4[255] = (word_t)tables[0] | P_W;
    tables[0][511] = (word_t)tables[1] | P_W;
    tables[1][511] = (word_t)tables[2] | P_W;
    tables[2][511] = (word_t)page | P_W;
    write_cr3(read_cr3());
    return page;
}

static void run_at_top(void *arg)
{
    (void)arg;
    __asm__ volatile("jmp *%0" : : "r"(BEHIND_LOWER_HALF - 2) : "rax", "rbx", "rcx", "rdx");
}

void wrap_test(void)
{
    uint8_t *top = map_top();
    for (unsigned i = 0; i < array_size(rows); i++) {
        struct call c = {.ds = DATA, .es = DATA, .cs = CODE16, .flags = RFLAGS_FIXED};
        struct ending e = modes_run(&c, rows[i].bytes, 2, 0x1fffe);
        check(e.vector == VECTOR_NONE, rows[i].name, "expected no exception\ngot %s", fault_name(e.vector));

        memcpy(top + PAGE - 2, rows[i].bytes, 2);
        struct fault f = catch_exception(run_at_top, NULL);
        check(f.vector == VECTOR_GP && f.ip == BEHIND_LOWER_HALF, rows[i].top_name,
              "expected #GP at %#llx\ngot %s at %#lx", BEHIND_LOWER_HALF, fault_name(f.vector),
              (unsigned long)f.ip);
    }
}
