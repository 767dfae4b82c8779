// INS and OUTS, in every address size, with all that may be wrong with their memory operand (SDM, "INS/INSB/
// INSW/INSD", "OUTS/OUTSB/OUTSW/OUTSD", "REP/REPE/REPZ/REPNE/REPNZ").
#include "guests/modes/modes.h"

enum { SCRATCH = 0x3ff, NOBODY = 0x2222, PAGE = 4096 };
enum { PF_WRITE = 2 };
#define NOT_CANONICAL 0x0000900000000000ull
#define HIGH          0x0000000700000000ull

// SI and DI start at the buffer plus `from`; what they and CX are behind it is relative to their start.
// `last`: the byte that the scratch register holds at the end (OUTS), or that the buffer holds at `from`
// (INS).
struct row {
    const char *name, *bytes;
    uint8_t length;
    enum selector cs, ds, es;
    uint16_t port;
    bool down;
    uint16_t from;
    uint64_t add; // to SI and DI, beside
    uint64_t cx, cx_after;
    int moved;
    uint8_t vector, last;
    uint16_t error_code;
    uint16_t fault_at; // from the buffer's start
};
#define CODE(text) .bytes = (text), .length = sizeof(text) - 1
#define FLAT       .ds = DATA, .es = DATA
#define GOOD       .vector = VECTOR_NONE

// clang-format off
static const struct row rows[] = {
    {"outsb-64",        CODE("\x6e"),         CODE64, FLAT, SCRATCH, .moved = 1, GOOD, .last = 0x10},
    {"insb-64",         CODE("\x6c"),         CODE64, FLAT, SCRATCH, .moved = 1, GOOD, .last = 0x5a},
    {"rep-outsb-64",    CODE("\xf3\x6e"),     CODE64, FLAT, SCRATCH, .cx = 3, .moved = 3, GOOD, .last = 0x12},
    {"rep-outsb-down",  CODE("\xf3\x6e"),     CODE64, FLAT, SCRATCH, .down = true, .from = 8, .cx = 3, .moved = -3, GOOD, .last = 0x16},
    {"rep-insw-64",     CODE("\x66\xf3\x6d"), CODE64, FLAT, NOBODY, .cx = 5, .moved = 10, GOOD, .last = 0xff},
    {"rep-insd-64",     CODE("\xf3\x6d"),     CODE64, FLAT, NOBODY, .cx = 5, .moved = 20, GOOD, .last = 0xff},
    {"rep-insb-none",   CODE("\xf3\x6c"),     CODE64, FLAT, NOBODY, .cx = 0, GOOD, .last = 0x10},
    {"rep-outsb-a32",   CODE("\x67\xf3\x6e"), CODE64, FLAT, SCRATCH, .add = 0, .cx = HIGH | 2, .moved = 2, GOOD, .last = 0x11},
    {"insb-unmapped",   CODE("\x6c"),         CODE64, FLAT, NOBODY, .from = PAGE, .vector = VECTOR_PF, .error_code = PF_WRITE, .fault_at = PAGE},
    {"outsb-unmapped",  CODE("\x6e"),         CODE64, FLAT, NOBODY, .from = PAGE, .vector = VECTOR_PF, .fault_at = PAGE},
    {"rep-insb-into-unmapped", CODE("\xf3\x6c"), CODE64, FLAT, NOBODY, .from = PAGE - 2, .cx = 5, .cx_after = 3, .moved = 2,
                        .vector = VECTOR_PF, .error_code = PF_WRITE, .fault_at = PAGE, .last = 0xff},
    {"insd-straddling", CODE("\x6d"),         CODE64, FLAT, NOBODY, .from = PAGE - 2, .vector = VECTOR_PF, .error_code = PF_WRITE, .fault_at = PAGE},
    {"insb-not-canonical",  CODE("\x6c"),     CODE64, FLAT, NOBODY, .add = NOT_CANONICAL, .vector = VECTOR_GP},
    {"outsb-not-canonical", CODE("\x6e"),     CODE64, FLAT, NOBODY, .add = NOT_CANONICAL, .vector = VECTOR_GP},
    {"outsb-32",        CODE("\x6e"),         CODE32, FLAT, SCRATCH, .moved = 1, GOOD, .last = 0x10},
    {"rep-insb-32",     CODE("\xf3\x6c"),     CODE32, FLAT, NOBODY, .cx = 4, .moved = 4, GOOD, .last = 0xff},
    {"rep-insb-32-into-unmapped", CODE("\xf3\x6c"), CODE32, FLAT, NOBODY, .from = PAGE - 1, .cx = 3, .cx_after = 2, .moved = 1,
                        .vector = VECTOR_PF, .error_code = PF_WRITE, .fault_at = PAGE, .last = 0xff},
    {"insb-null-es",    CODE("\x6c"),         CODE32, .ds = DATA, .es = 0, NOBODY, .vector = VECTOR_GP},
    {"outsb-null-ds",   CODE("\x6e"),         CODE32, .ds = 0, .es = DATA, NOBODY, .vector = VECTOR_GP},
    {"insb-read-only",  CODE("\x6c"),         CODE32, .ds = DATA, .es = READ_ONLY, NOBODY, .vector = VECTOR_GP},
    {"insb-beyond",     CODE("\x6c"),         CODE32, .ds = DATA, .es = SHORT_DATA, NOBODY, .vector = VECTOR_GP},
    {"outsb-beyond",    CODE("\x6e"),         CODE32, .ds = SHORT_DATA, .es = DATA, NOBODY, .vector = VECTOR_GP},
    {"outsb-execute-only", CODE("\x2e\x6e"),  EXECUTE_ONLY, FLAT, NOBODY, .vector = VECTOR_GP},
    {"outsb-cs",        CODE("\x2e\x6e"),     CODE32, FLAT, SCRATCH, .moved = 1, GOOD, .last = 0x10},
    {"rep-outsb-16-a32", CODE("\x67\xf3\x6e"), CODE16, FLAT, SCRATCH, .cx = 2, .moved = 2, GOOD, .last = 0x11},
};
// clang-format on

// In a 16-bit segment SI and CX are the low words alone; the data are reached by a segment of their own.
enum { OTHER_POINTS = 4 };

unsigned strings_points(void)
{
    return array_size(rows) + OTHER_POINTS;
}

static void fill(void)
{
    for (unsigned i = 0; i < 32; i++)
        buffer[i] = (uint8_t)(0x10 + i);
    buffer[PAGE - 1] = buffer[PAGE - 2] = 0;
    outb(SCRATCH, 0x5a);
}

static bool is_in(const struct row *r)
{
    uint8_t opcode = (uint8_t)r->bytes[r->length - 1];
    return opcode == 0x6c || opcode == 0x6d;
}

static void test(const struct row *r)
{
    uint64_t base = (uint64_t)(word_t)buffer + r->from + r->add;
    struct call c = {
        .cx = r->cx, .dx = r->port, .si = base, .di = base, .ds = r->ds, .es = r->es, .cs = r->cs};
    c.flags = RFLAGS_FIXED | (r->down ? RFLAGS_DF : 0);
    fill();
    struct ending e = modes_run(&c, r->bytes, r->length, 0);
    uint64_t moved = (is_in(r) ? c.di : c.si) - base, other = (is_in(r) ? c.si : c.di) - base;
    uint8_t last = is_in(r) ? buffer[r->from < PAGE ? r->from : 0] : inb(SCRATCH);
    word_t address = r->vector == VECTOR_PF ? (word_t)buffer + r->fault_at : 0;
    bool same = e.vector == r->vector && moved == (uint64_t)r->moved && !other && c.cx == r->cx_after &&
                (!r->last || last == r->last);
    if (e.vector != VECTOR_NONE)
        same = same && e.error_code == r->error_code && e.address == address;
    check(same, r->name,
          "expected %s, error code %#x, CR2 %#lx, moved by %d, CX %#llx, byte %#x\n"
          "got %s, error code %#lx, CR2 %#lx, moved by %lld (other index %lld), CX %#llx, byte %#x",
          fault_name(r->vector), r->error_code, (unsigned long)address, r->moved,
          (unsigned long long)r->cx_after, r->last, fault_name(e.vector), (unsigned long)e.error_code,
          (unsigned long)e.address, (long long)moved, (long long)other, (unsigned long long)c.cx, last);
}

static void test_16bit(void)
{
    struct call c = {.cx = HIGH | 0x50002,
                     .dx = SCRATCH,
                     .si = 0x70001,
                     .di = 0x70001,
                     .ds = SHORT_DATA,
                     .es = SHORT_DATA,
                     .cs = CODE16,
                     .flags = RFLAGS_FIXED};
    fill();
    struct ending e = modes_run(&c, "\xf3\x6e", 2, 0);
    check(e.vector == VECTOR_NONE, "rep-outsb-16", "expected no exception\ngot %s", fault_name(e.vector));
    check_equal("rep-outsb-16-byte", 0x12, inb(SCRATCH));
    check_equal("rep-outsb-16-si", 0x70003, c.si);
    check_equal("rep-outsb-16-cx", 0x50000, (uint32_t)c.cx);
}

static void map_second_page(bool present)
{
    static uint64_t table[512] __attribute__((aligned(4096)));
    uint64_t *pml4 = (uint64_t *)(read_cr3() & ~0xfffull);
    uint64_t *directory = (uint64_t *)(((uint64_t *)(pml4[0] & ~0xfffull))[0] & ~0xfffull);
    word_t at = (word_t)buffer & ~0x1fffffull;
    if (!table[0]) {
        for (unsigned i = 0; i < 512; i++)
            table[i] = (at + i * PAGE) | 3;
        directory[at >> 21] = (word_t)table | 3;
    }
    table[((word_t)buffer - at) / PAGE + 1] = present ? ((word_t)buffer + PAGE) | 3 : 0;
    write_cr3(read_cr3());
}

void strings_test(void)
{
    map_second_page(false);
    for (unsigned i = 0; i < array_size(rows); i++)
        test(&rows[i]);
    test_16bit();
    map_second_page(true);
}
