// Debug exceptions around emulated instructions, and those that the hypervisor sees before the guest does
// (SDM, "Debug Exceptions", "Breakpoint Exceptions"): how many there are, where, and what DR6 says.
#include "guests/modes/modes.h"

enum { DR6_B0 = 1, DR6_B1 = 2, DR6_BD = 1 << 13, DR6_BS = 1 << 14, DR7_L0 = 1, DR7_GD = 1 << 13 };
enum { DR6_TELLS = 0xe00f, RFLAGS_RF = 1 << 16, SCRATCH = 0x3ff };
#define DR6_INIT 0xffff0ff0u
#define DR7_INIT 0x400u

static const struct row {
    const char *name, *bytes;
    uint8_t length;
    uint16_t flags, dr7, cx;
    uint16_t dr6;             // bits set before
    uint8_t at_start, at_end; // #DBs there
    uint16_t dr6_at_start, dr6_at_end;
    uint8_t vector; // of another exception; 0: none
} rows[] = {
#define CODE(text) .bytes = (text), .length = sizeof(text) - 1
  // clang-format off
    // INT1 sets no bit of DR6.
    {"int1",                 CODE("\xf1"),     .at_end = 1, .dr6 = DR6_B1, .dr6_at_end = DR6_B1},
    {"int1-behind-movss",    CODE("\x8e\xd2\xf1"), .at_end = 1, .dr6 = DR6_B1, .dr6_at_end = DR6_B1},
    {"breakpoint-nop",       CODE("\x90"),     .dr7 = DR7_L0, .at_start = 1, .dr6_at_start = DR6_B0},
    {"breakpoint-cpuid",     CODE("\x0f\xa2"), .dr7 = DR7_L0, .at_start = 1, .dr6_at_start = DR6_B0},
    {"breakpoint-rep-outs",  CODE("\xf3\x6e"), .cx = 3, .dr7 = DR7_L0, .at_start = 1, .dr6_at_start = DR6_B0},
    {"general-detect",       CODE("\x0f\x21\xc0"), .dr7 = DR7_GD, .at_start = 1, .dr6_at_start = DR6_BD},
    // Behind the far call, then behind each element.
    {"step-rep-movs",        CODE("\xf3\xa4"), .flags = RFLAGS_TF, .cx = 3, .at_start = 3, .at_end = 1, .dr6_at_start = DR6_BS, .dr6_at_end = DR6_BS},
    {"step-rep-outs",        CODE("\xf3\x6e"), .flags = RFLAGS_TF, .cx = 3, .at_start = 3, .at_end = 1, .dr6_at_start = DR6_BS, .dr6_at_end = DR6_BS},
    {"step-rep-ins",         CODE("\xf3\x6c"), .flags = RFLAGS_TF, .cx = 2, .at_start = 2, .at_end = 1, .dr6_at_start = DR6_BS, .dr6_at_end = DR6_BS},
    // The fault of an emulated instruction, while MOV SS blocks and TF is set: the held-back step is lost.
    {"fault-behind-movss",   CODE("\x8e\xd2\x0f\x01\xc4"), .flags = RFLAGS_TF, .at_start = 1, .dr6_at_start = DR6_BS, .vector = VECTOR_UD},
    {"gp-behind-movss",      CODE("\x8e\xd2\x0f\x30"), .flags = RFLAGS_TF, .cx = 0x1234, .at_start = 1, .dr6_at_start = DR6_BS, .vector = VECTOR_GP},
    {"gp-behind-sti",        CODE("\xfb\x0f\x30"), .cx = 0x1234, .vector = VECTOR_GP},
    // A debug exception ends the halt.
    {"step-hlt",             CODE("\xf4"),     .flags = RFLAGS_TF, .at_start = 1, .at_end = 1, .dr6_at_start = DR6_BS, .dr6_at_end = DR6_BS},
  // clang-format on
};

static struct {
    unsigned at_start, at_end;
    word_t dr6_at_start, dr6_at_end;
} seen;

static bool on_debug(struct frame *f)
{
    word_t start = (word_t)modes_code, dr6 = read_dr6() & DR6_TELLS;
    write_dr6(DR6_INIT);
    if (f->ip == start) {
        seen.at_start++;
        seen.dr6_at_start |= dr6;
        if (dr6 & DR6_B0)
            f->flags |= RFLAGS_RF;
    } else if (f->ip > start && f->ip < start + CODE_ROOM) {
        seen.at_end++;
        seen.dr6_at_end |= dr6;
        f->flags &= ~(word_t)RFLAGS_TF;
    }
    return true;
}

unsigned debug_points(void)
{
    return array_size(rows);
}

static void test(const struct row *r)
{
    struct call c = {
        .cx = r->cx, .dx = SCRATCH, .si = (word_t)buffer, .di = (word_t)buffer, .ds = DATA, .es = DATA};
    if (r->bytes[0] == (char)0x8e)
        c.dx = DATA;
    c.cs = CODE64;
    c.flags = RFLAGS_FIXED | r->flags;
    memset(&seen, 0, sizeof seen);
    write_dr0((word_t)modes_code);
    write_dr6(DR6_INIT | r->dr6);
    write_dr7(DR7_INIT | r->dr7);
    struct ending e = modes_run(&c, r->bytes, r->length, 0);
    write_dr7(DR7_INIT);
    bool same = e.vector == (r->vector ? r->vector : VECTOR_NONE) && seen.at_start == r->at_start &&
                seen.at_end == r->at_end && seen.dr6_at_start == r->dr6_at_start &&
                seen.dr6_at_end == r->dr6_at_end;
    check(same, r->name,
          "expected #DB %u times before it with DR6 %#x, %u times behind with %#x\ngot %u with %#lx, %u with "
          "%#lx, %s",
          r->at_start, r->dr6_at_start, r->at_end, r->dr6_at_end, seen.at_start,
          (unsigned long)seen.dr6_at_start, seen.at_end, (unsigned long)seen.dr6_at_end,
          fault_name(e.vector));
}

void debug_test(void)
{
    exception_handle(VECTOR_DB, on_debug);
    for (unsigned i = 0; i < array_size(rows); i++)
        test(&rows[i]);
}
