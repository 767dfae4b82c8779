#include "vmx/task_switch.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "sdm/bits.h"

enum {
    MEMORY = 0x4000,
    GDT = 0x1000,
    OLD = 0x2000,
    NEW = 0x3000,
    LDT_AT = 0x1800,
    SIZE32 = 104,
    SIZE16 = 44
};
enum {
    CODE = 0x08,
    DATA = 0x10,
    OLD_TSS = 0x18,
    NEW_TSS = 0x20,
    LDT = 0x28,
    USER_DATA = 0x30,
    CONFORMING = 0x38,
    GDT_END = 0x40
};
enum { TSS32 = 0x89, TSS16 = 0x81, BUSY = 2, EIP = 0x1234 };

// One linear memory of the machine, and what the switch did to it and CR3.
struct fixture {
    struct task task; // first
    uint8_t memory[MEMORY];
    unsigned stores;
    uint32_t refuse_from, refuse_to; // an access that touches these bytes is refused
    enum guest_move refuse_how;
    uint32_t cr3;
    bool bad_cr3;
};

static bool move(struct task *t, uint32_t linear, void *value, unsigned size, enum guest_move how)
{
    struct fixture *f = (struct fixture *)t;
    if (linear >= MEMORY || size > MEMORY - linear)
        return false;
    if (how == f->refuse_how && linear < f->refuse_to && linear + size > f->refuse_from)
        return false;
    if (how == GUEST_STORE)
        memcpy(f->memory + linear, value, size);
    else if (how == GUEST_LOAD)
        memcpy(value, f->memory + linear, size);
    f->stores += how == GUEST_STORE;
    return true;
}

static bool load_cr3(struct task *t, uint32_t cr3)
{
    struct fixture *f = (struct fixture *)t;
    f->cr3 = cr3;
    return !f->bad_cr3;
}

static void put(struct fixture *f, uint32_t at, unsigned size, uint64_t value)
{
    memcpy(f->memory + at, &value, size);
}
static uint32_t get(const struct fixture *f, uint32_t at, unsigned size)
{
    uint32_t value = 0;
    memcpy(&value, f->memory + at, size);
    return value;
}

static void describe(struct fixture *f, uint16_t selector, uint32_t base, uint32_t limit, uint32_t rights)
{
    uint64_t d = (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)rights << 40 |
                 (uint64_t)(limit >> 16) << 48 | (uint64_t)(base >> 24) << 56;
    put(f, GDT + selector, 8, d);
}
static uint8_t rights_of(const struct fixture *f, uint16_t selector)
{
    return f->memory[GDT + selector + 5];
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    static const uint16_t selectors[6] = {DATA, CODE, DATA, DATA, DATA, DATA};
    f->task = (struct task){.move = move,
                            .load_cr3 = load_cr3,
                            .gdt_base = GDT,
                            .gdt_limit = GDT_END - 1,
                            .eip = EIP,
                            .eflags = RFLAGS_FIXED1 | RFLAGS_NT};
    f->task.segment[TASK_TR] =
        (struct task_segment){.selector = OLD_TSS, .base = OLD, .limit = SIZE32 - 1, .rights = TSS32 | BUSY};
    f->task.segment[TASK_LDTR].rights = AR_UNUSABLE;
    memset(f->memory + OLD, 0xee, SIZE32);
    describe(f, CODE, 0, 0xfffff, 0xc09a);
    describe(f, DATA, 0x12345678, 0xfffff, 0xc092);
    describe(f, OLD_TSS, OLD, SIZE32 - 1, TSS32 | BUSY);
    describe(f, NEW_TSS, NEW, SIZE32 - 1, TSS32);
    describe(f, LDT, LDT_AT, 0xf, 0x82);
    describe(f, USER_DATA, 0, 0xffff, 0x40f2);
    describe(f, CONFORMING, 0, 0xffff, 0x409e);
    for (unsigned i = 0; i < 8; i++) {
        f->task.gpr[i] = 0x11110000 + i;
        put(f, NEW + 0x28 + 4 * i, 4, 0x22220000 + i);
    }
    for (unsigned i = 0; i < 6; i++) {
        f->task.segment[i].selector = (uint16_t)(0xa0 + i);
        put(f, NEW + 0x48 + 4 * i, 4, 0xffff0000u | selectors[i]);
    }
    put(f, NEW + 0x1c, 4, 0x5000);
    put(f, NEW + 0x20, 4, 0x87654321);
    put(f, NEW + 0x24, 4, ~(uint32_t)(RFLAGS_VM | RFLAGS_NT));
    put(f, NEW, 2, 0x7777);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static bool switch_by(struct fixture *f, enum task_switch_source source)
{
    return task_switch(&f->task, (struct task_switch){NEW_TSS, (uint8_t)source});
}

static void assert_old_saved(const struct fixture *f, uint32_t flags)
{
    assert_int_equal(get(f, OLD + 0x20, 4), EIP);
    assert_int_equal(get(f, OLD + 0x24, 4), flags);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(get(f, OLD + 0x28 + 4 * i, 4), 0x11110000 + i);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(get(f, OLD + 0x48 + 4 * i, 4), 0xeeee0000u + 0xa0 + i);
    for (unsigned at = 0; at < 0x20; at++)
        assert_int_equal(f->memory[OLD + at], 0xee);
    assert_int_equal(get(f, OLD + 0x60, 4), 0xeeeeeeee);
}

// SDM, "Effect of a Task Switch on Busy Flag, NT Flag, Previous Task Link Field, and TS Flag".
static void links_and_flags(void **state)
{
    static const struct {
        enum task_switch_source source;
        bool new_busy_before, old_busy_after, links, keeps_nt;
    } rows[] = {
        {TASK_BY_CALL, false, true,  true,  true },
        {TASK_BY_GATE, false, true,  true,  true },
        {TASK_BY_JMP,  false, false, false, true },
        {TASK_BY_IRET, true,  false, false, false},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        teardown(state);
        setup(state);
        struct fixture *f = *state;
        if (rows[i].new_busy_before)
            f->memory[GDT + NEW_TSS + 5] |= BUSY;
        assert_true(switch_by(f, rows[i].source));
        assert_true(f->task.committed && f->task.wide && !f->task.trap);
        assert_int_equal(rights_of(f, NEW_TSS), TSS32 | BUSY);
        assert_int_equal(rights_of(f, OLD_TSS), TSS32 | (rows[i].old_busy_after ? BUSY : 0));
        assert_int_equal(get(f, NEW, 2), rows[i].links ? OLD_TSS : 0x7777);
        assert_old_saved(f, RFLAGS_FIXED1 | (rows[i].keeps_nt ? (uint32_t)RFLAGS_NT : 0));
        assert_int_equal(f->task.eflags & RFLAGS_NT, rows[i].links ? RFLAGS_NT : 0);
        assert_int_equal(f->task.eflags & ~(uint32_t)RFLAGS_NT, 0x3d7fd7 & ~(uint32_t)RFLAGS_NT);
        assert_int_equal(f->task.segment[TASK_TR].selector, NEW_TSS);
        assert_int_equal(f->task.segment[TASK_TR].rights, TSS32 | BUSY);
        assert_int_equal(f->cr3, 0x5000);
        assert_int_equal(f->task.eip, 0x87654321);
        for (unsigned r = 0; r < 8; r++)
            assert_int_equal(f->task.gpr[r], 0x22220000 + r);
    }
}

static void segments_are_loaded(void **state)
{
    struct fixture *f = *state;
    put(f, NEW + 0x60, 2, LDT);
    put(f, LDT_AT + 8, 8, 0x00409a0000001234);
    put(f, NEW + 0x58, 2, 0x0c); // FS: readable code of the LDT
    put(f, NEW + 0x5c, 2, 0);
    assert_true(switch_by(f, TASK_BY_CALL));
    const struct task_segment *s = f->task.segment;
    assert_int_equal(s[SEG_CS].rights, 0xc09b);
    assert_int_equal(s[SEG_CS].limit, 0xffffffff);
    assert_int_equal(s[SEG_SS].base, 0x12345678);
    assert_int_equal(s[SEG_SS].rights, 0xc093);
    assert_int_equal(s[SEG_FS].selector, 0x0c);
    assert_int_equal(s[SEG_FS].limit, 0x1234);
    assert_true(s[SEG_GS].rights & AR_UNUSABLE);
    assert_int_equal(s[TASK_LDTR].base, LDT_AT);
    assert_int_equal(rights_of(f, CODE), 0x9b); // accessed
    assert_int_equal(f->memory[LDT_AT + 8 + 5], 0x9b);
}

static void sixteen_bits(void **state)
{
    struct fixture *f = *state;
    describe(f, NEW_TSS, NEW, SIZE16 - 1, TSS16);
    memset(f->memory + NEW, 0, SIZE32);
    for (unsigned i = 0; i < 10; i++)
        put(f, NEW + 0x0e + 2 * i, 2, 0x4000 + i);
    static const uint16_t selectors[4] = {DATA, CODE, DATA, DATA};
    for (unsigned i = 0; i < 4; i++)
        put(f, NEW + 0x22 + 2 * i, 2, selectors[i]);
    put(f, NEW + 0x64, 2, 1);
    assert_true(switch_by(f, TASK_BY_CALL));
    assert_false(f->task.wide || f->task.trap);
    assert_int_equal(f->task.eip, 0x4000);
    assert_int_equal(f->task.gpr[RAX], 0x4002);
    assert_int_equal(f->task.gpr[RDI], 0x4009);
    assert_int_equal(f->cr3, 0); // stays
    assert_int_equal(f->task.segment[SEG_FS].selector, 0);
    assert_true(f->task.segment[SEG_FS].rights & AR_UNUSABLE);
    // And back, which saves 16 bits each.
    memset(f->memory + NEW, 0xee, SIZE32);
    describe(f, OLD_TSS, OLD, SIZE32 - 1, TSS32 | BUSY);
    for (unsigned i = 0; i < 6; i++)
        put(f, OLD + 0x48 + 4 * i, 2, i == SEG_CS ? CODE : DATA);
    put(f, OLD + 0x60, 2, 0);
    assert_true(task_switch(&f->task, (struct task_switch){OLD_TSS, TASK_BY_IRET}));
    assert_int_equal(get(f, NEW + 0x0c, 2), 0xeeee);
    assert_int_equal(get(f, NEW + 0x0e, 2), 0x4000);
    assert_int_equal(get(f, NEW + 0x20, 2), 0x4009);
    assert_int_equal(get(f, NEW + 0x28, 2), DATA);
    assert_int_equal(get(f, NEW + 0x2a, 2), 0xeeee);
    assert_int_equal(rights_of(f, NEW_TSS), TSS16);
}

static void virtual_8086(void **state)
{
    struct fixture *f = *state;
    put(f, NEW + 0x24, 4, RFLAGS_VM);
    for (unsigned i = 0; i < 6; i++)
        put(f, NEW + 0x48 + 4 * i, 2, 0xf000 + i);
    assert_true(switch_by(f, TASK_BY_CALL));
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(f->task.segment[i].base, 0xf0000 + 16 * i);
        assert_int_equal(f->task.segment[i].limit, 0xffff);
        assert_int_equal(f->task.segment[i].rights, 0xf3);
    }
}

static void trap_flag(void **state)
{
    struct fixture *f = *state;
    put(f, NEW + 0x64, 2, 1);
    assert_true(switch_by(f, TASK_BY_JMP));
    assert_true(f->task.trap);
}

// What VM entry asks of segment registers (SDM, "Checks on Guest Segment Registers"), under unrestricted guest.
static void assert_enterable(const struct task *t)
{
    const struct task_segment *s = t->segment;
    unsigned cs = s[SEG_CS].rights, ss_dpl = s[SEG_SS].rights >> AR_DPL_SHIFT & 3,
             dpl = cs >> AR_DPL_SHIFT & 3;
    assert_false(cs & AR_UNUSABLE);
    if (t->eflags & RFLAGS_VM)
        return;
    assert_true(cs & AR_S && cs & AR_P && cs & AR_TYPE_CODE && cs & AR_TYPE_ACCESSED);
    assert_true(cs & AR_TYPE_EXPAND_DOWN ? dpl <= ss_dpl : dpl == ss_dpl);
    for (unsigned i = 0; i < TASK_SEGMENTS; i++) {
        if (s[i].rights & AR_UNUSABLE)
            continue;
        assert_true(s[i].rights & AR_P && !(s[i].rights & AR_RESERVED));
        assert_true(s[i].rights & AR_G ? (s[i].limit & 0xfff) == 0xfff : s[i].limit >> 20 == 0);
    }
}

static const struct fault_row {
    const char *name;
    uint16_t at, value; // two bytes of memory
    uint8_t source;
    uint8_t vector;
    uint16_t error_code;
    bool committed;
} faults[] = {
  // clang-format off
    {"new is an LDT",          GDT + NEW_TSS + 5, 0x82,      TASK_BY_CALL, EXC_GP, NEW_TSS, false},
    {"new is code",            GDT + NEW_TSS + 5, 0x99,      TASK_BY_GATE, EXC_TS, NEW_TSS, false},
    {"new is busy",            GDT + NEW_TSS + 5, 0x8b,      TASK_BY_JMP,  EXC_GP, NEW_TSS, false},
    {"new is not busy",        GDT + NEW_TSS + 5, 0x89,      TASK_BY_IRET, EXC_TS, NEW_TSS, false},
    {"new is not present",     GDT + NEW_TSS + 5, 0x09,      TASK_BY_CALL, EXC_NP, NEW_TSS, false},
    {"new is too short",       GDT + NEW_TSS, SIZE32 - 2,    TASK_BY_CALL, EXC_TS, NEW_TSS, false},
    {"LDT from an LDT",        NEW + 0x60, LDT | 4,          TASK_BY_CALL, EXC_TS, LDT | 4, true},
    {"LDT is data",            NEW + 0x60, DATA,             TASK_BY_CALL, EXC_TS, DATA,    true},
    {"LDT beyond the GDT",     NEW + 0x60, GDT_END,          TASK_BY_CALL, EXC_TS, GDT_END, true},
    {"SS null",                NEW + 0x50, 3,                TASK_BY_CALL, EXC_TS, 0,       true},
    {"SS of another level",    NEW + 0x50, USER_DATA | 3,    TASK_BY_CALL, EXC_TS, USER_DATA, true},
    {"SS RPL of another level", NEW + 0x50, DATA | 1,        TASK_BY_CALL, EXC_TS, DATA,    true},
    {"SS without an LDT",      NEW + 0x50, DATA | 4,         TASK_BY_CALL, EXC_TS, DATA | 4, true},
    {"SS not present",         GDT + DATA + 5, 0x4012,       TASK_BY_CALL, EXC_SS, DATA,    true},
    {"SS not writable",        GDT + DATA + 5, 0x4090,       TASK_BY_CALL, EXC_TS, DATA,    true},
    {"CS null",                NEW + 0x4c, 0,                TASK_BY_CALL, EXC_TS, 0,       true},
    {"CS data",                NEW + 0x4c, DATA,             TASK_BY_CALL, EXC_TS, DATA,    true},
    {"CS not present",         GDT + CODE + 5, 0x401a,       TASK_BY_CALL, EXC_NP, CODE,    true},
    {"CS of a higher level",   GDT + CODE + 5, 0x40fa,       TASK_BY_CALL, EXC_TS, CODE,    true},
    {"DS a TSS",               NEW + 0x54, OLD_TSS,          TASK_BY_CALL, EXC_TS, OLD_TSS, true},
    {"ES RPL above DPL",       NEW + 0x48, DATA | 1,         TASK_BY_CALL, EXC_TS, DATA,    true},
    {"GS beyond the GDT",      NEW + 0x5c, 0xfff8,           TASK_BY_CALL, EXC_TS, 0xfff8,  true},
  // clang-format on
};

static void every_fault(void **state)
{
    for (unsigned i = 0; i < sizeof faults / sizeof *faults; i++) {
        const struct fault_row *r = &faults[i];
        teardown(state);
        setup(state);
        struct fixture *f = *state;
        if (r->source == TASK_BY_IRET)
            f->memory[GDT + NEW_TSS + 5] |= BUSY;
        put(f, r->at, 2, r->value);
        bool done = switch_by(f, (enum task_switch_source)r->source);
        if (done || f->task.vector != r->vector || f->task.error_code != r->error_code ||
            f->task.committed != r->committed)
            fail_msg("%s: expected %s(%#x), committed %u, got %s(%#x), committed %u", r->name,
                     exception_name(r->vector), r->error_code, r->committed,
                     done ? "done" : exception_name(f->task.vector), f->task.error_code, f->task.committed);
        if (!r->committed)
            assert_int_equal(f->stores, 0);
        else
            assert_enterable(&f->task);
    }
}

static void conforming_code_below(void **state)
{
    struct fixture *f = *state;
    put(f, NEW + 0x4c, 2, CONFORMING | 3);
    put(f, NEW + 0x50, 2, USER_DATA | 3);
    put(f, NEW + 0x48, 2, CONFORMING);
    put(f, NEW + 0x54, 2, 0);
    put(f, NEW + 0x58, 2, 0);
    put(f, NEW + 0x5c, 2, 0);
    assert_true(switch_by(f, TASK_BY_CALL));
    assert_enterable(&f->task);
}

static void bad_directory_pointers(void **state)
{
    struct fixture *f = *state;
    f->bad_cr3 = true;
    assert_false(switch_by(f, TASK_BY_CALL));
    assert_true(f->task.committed);
    assert_int_equal(f->task.vector, EXC_GP);
    assert_int_equal(f->task.error_code, 0);
    assert_enterable(&f->task);
}

static void old_tss_too_short(void **state)
{
    struct fixture *f = *state;
    f->task.segment[TASK_TR].limit = 0x5e;
    assert_false(switch_by(f, TASK_BY_CALL));
    assert_int_equal(f->task.vector, EXC_TS);
    assert_int_equal(f->task.error_code, OLD_TSS);
    assert_int_equal(f->stores, 0);
}

// Memory that cannot be reached stops the switch before anything has changed, and only where it is needed.
static void unreachable_memory(void **state)
{
    static const struct {
        uint32_t at;
        enum guest_move how;
        bool stops[4]; // enum task_switch_source
    } rows[] = {
        {GDT + NEW_TSS,     GUEST_LOAD,  {true, true, true, true}  },
        {OLD + 0x20,        GUEST_PROBE, {true, true, true, true}  },
        {OLD + 0x5c,        GUEST_PROBE, {true, true, true, true}  },
        {NEW + 0x67,        GUEST_LOAD,  {true, true, true, true}  },
        {NEW,               GUEST_PROBE, {true, false, false, true}},
        {GDT + OLD_TSS + 5, GUEST_PROBE, {false, true, true, false}},
        {GDT + NEW_TSS + 5, GUEST_PROBE, {true, false, true, true} },
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
        for (unsigned source = 0; source < 4; source++) {
            teardown(state);
            setup(state);
            struct fixture *f = *state;
            if (source == TASK_BY_IRET)
                f->memory[GDT + NEW_TSS + 5] |= BUSY;
            f->refuse_from = rows[i].at;
            f->refuse_to = rows[i].at + 1;
            f->refuse_how = rows[i].how;
            bool done = switch_by(f, (enum task_switch_source)source);
            if (done == rows[i].stops[source])
                fail_msg("row %u by %u: expected %u, got %u", i, source, !rows[i].stops[source], done);
            if (!done) {
                assert_int_equal(f->task.vector, TASK_STOPPED);
                assert_int_equal(f->stores, 0);
                assert_false(f->task.committed);
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(links_and_flags, setup, teardown),
        cmocka_unit_test_setup_teardown(segments_are_loaded, setup, teardown),
        cmocka_unit_test_setup_teardown(sixteen_bits, setup, teardown),
        cmocka_unit_test_setup_teardown(virtual_8086, setup, teardown),
        cmocka_unit_test_setup_teardown(trap_flag, setup, teardown),
        cmocka_unit_test_setup_teardown(every_fault, setup, teardown),
        cmocka_unit_test_setup_teardown(conforming_code_below, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_directory_pointers, setup, teardown),
        cmocka_unit_test_setup_teardown(old_tss_too_short, setup, teardown),
        cmocka_unit_test_setup_teardown(unreachable_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
