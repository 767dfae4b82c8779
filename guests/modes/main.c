// 16- and 32-bit code in compatibility mode: what depends on address size, operand size and segments, and
// what an emulator of single instructions easily gets wrong there.
#include "guests/modes/modes.h"

uint8_t modes_code[CODE_ROOM] __attribute__((aligned(64)));
word_t fresh_memory;
uint8_t buffer[8192] __attribute__((aligned(4096)));

#define DESCRIPTOR(rights) ((uint64_t)(rights) << 40 | 0x000f00000000ffffull)
enum {
    BASE_SHIFT = 16,
    RIGHTS_CODE = 0x9b,
    RIGHTS_DATA = 0x93,
    RIGHTS_READ_ONLY = 0x91,
    RIGHTS_EXECUTE_ONLY = 0x99
};
#define G (1ull << 55)
#define D (1ull << 54)
#define L (1ull << 53)

static uint64_t gdt[] = {
    [CODE64 / 8] = DESCRIPTOR(RIGHTS_CODE) | G | L,
    [DATA / 8] = DESCRIPTOR(RIGHTS_DATA) | G | D,
    [CODE32 / 8] = DESCRIPTOR(RIGHTS_CODE) | G | D,
    [CODE16 / 8] = DESCRIPTOR(RIGHTS_CODE) | G,
    [SHORT_DATA / 8] = (uint64_t)RIGHTS_DATA << 40 | D | (SHORT_BYTES - 1),
    [READ_ONLY / 8] = DESCRIPTOR(RIGHTS_READ_ONLY) | G | D,
    [EXECUTE_ONLY / 8] = DESCRIPTOR(RIGHTS_EXECUTE_ONLY) | G | D,
};

static struct {
    word_t start, end; // offsets in its segment; end: of the far return
    struct ending ending;
} run;

static void set_base(enum selector s, uint32_t base)
{
    gdt[s / 8] &= ~(0xffffffull << BASE_SHIFT | 0xffull << 56);
    gdt[s / 8] |= (uint64_t)(base & 0xffffff) << BASE_SHIFT | (uint64_t)(base >> 24) << 56;
}

static bool on_fault(struct frame *f)
{
    if (f->ip < run.start || f->ip > run.end)
        return false;
    run.ending = (struct ending){(uint8_t)f->vector, f->error_code, f->vector == VECTOR_PF ? read_cr2() : 0};
    f->ip = run.end;
    f->flags &= ~(word_t)RFLAGS_TF;
    return true;
}

struct ending modes_run(struct call *c, const char *bytes, unsigned length, uint32_t offset)
{
    bool narrow = c->cs == CODE16;
    memcpy(modes_code, bytes, length);
    memcpy(modes_code + length, narrow ? "\x66\xcb" : "\xcb", 2); // RETF of 32 bits
    uint32_t at = (uint32_t)(word_t)modes_code;
    set_base(CODE16, narrow ? at - offset : 0);
    c->offset = narrow ? offset : at;
    run.start = c->offset;
    run.end = run.start + length;
    run.ending = (struct ending){.vector = VECTOR_NONE};
    modes_call(c);
    return run.ending;
}

static void load_gdt(void)
{
    struct {
        uint16_t limit;
        word_t base;
    } __attribute__((packed)) gdtr = {sizeof gdt - 1, (word_t)gdt};
    set_base(SHORT_DATA, (uint32_t)(word_t)buffer);
    __asm__ volatile("lgdt %0" : : "m"(gdtr));
}

int main(const struct start_info *start)
{
    fresh_memory = start->mem_bytes / 2;
    unsigned points = 0;
#define X(group) points += group##_points();
    GROUPS(X)
#undef X
    tap_plan(points);
    load_gdt();
    static const enum vector watched[] = {VECTOR_DB, VECTOR_UD, VECTOR_SS, VECTOR_GP, VECTOR_PF};
    for (unsigned i = 0; i < array_size(watched); i++)
        exception_handle(watched[i], on_fault);
#define X(group) group##_test();
    GROUPS(X)
#undef X
    return tap_end();
}
