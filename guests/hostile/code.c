// Exiting instructions in strange places: rewritten while running, across page boundaries, with prefixes.
#include "guests/hostile/hostile.h"

enum { ROUNDS = 256, LONGEST = 15 };

struct output {
    uint64_t ax, bx;
};

// Calls code that ends with RET; RAX and RCX go in, RAX and RBX come out.
static struct output call(const void *code, uint64_t ax, uint64_t cx)
{
    struct output o;
    __asm__ volatile("call *%[code]"
                     : "=a"(o.ax), "=b"(o.bx), "+c"(cx)
                     : [code] "r"(code), "a"(ax)
                     : "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
    return o;
}

struct call {
    const void *code;
    uint64_t ax, cx;
    struct output out;
};

static void do_call(void *p)
{
    struct call *c = p;
    c->out = call(c->code, c->ax, c->cx);
}

// The same two bytes are CPUID and RDTSC in turn; a stale decoding would be seen in EBX.
static void rewrite(void)
{
    static uint8_t code[] = {0x31, 0xdb, 0x0f, 0xa2, 0xc3}; // xor ebx, ebx; cpuid; ret
    uint32_t vendor = cpuid(0, 0).ebx;
    unsigned wrong = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        bool is_cpuid = i % 2;
        ((volatile uint8_t *)code)[3] = is_cpuid ? 0xa2 : 0x31;
        wrong += call(code, 0, 0).bx != (is_cpuid ? vendor : 0);
    }
    check(wrong == 0, "rewritten", "expected 0 stale of %d\ngot %u", ROUNDS, wrong);
}

// Code that overwrites instructions just ahead of it, behind an exit: two NOPs become INC EBX.
static void overwrite_ahead(void)
{
    static uint8_t code[] = {0x48, 0x8d, 0x3d, 0x09, 0x00, 0x00, 0x00, // lea rdi, [rip + 9]: the first NOP
                             0x0f, 0xa2,                               // cpuid
                             0x31, 0xdb,                               // xor ebx, ebx
                             0x66, 0xc7, 0x07, 0xff, 0xc3,             // mov word [rdi], 0xc3ff: inc ebx
                             0x90, 0x90, 0xc3};
    check_equal("overwritten-ahead", 1, call(code, 0, 0).bx);
}

// CPUID whose two bytes lie in two pages, the second of which nobody has touched but by writing code to it.
static void straddle(const struct start_info *start)
{
    unsigned wrong = 0;
    uint32_t vendor = cpuid(0, 0).ebx;
    for (unsigned before = 0; before < 4; before++) {
        uint8_t *code = (uint8_t *)(start->mem_bytes / 2 + (2 * before + 1) * PAGE_BYTES - before);
        memcpy(code, "\x0f\xa2\xc3", 3);
        wrong += call(code, 0, 0).bx != vendor;
    }
    check(wrong == 0, "straddling", "expected 0 wrong of 4\ngot %u", wrong);
}

// Redundant prefixes lengthen the instruction; beyond 15 bytes it is #GP(0) (SDM volume 2, "Instruction
// Format").
static void prefixes(void)
{
    static const uint8_t kinds[] = {0x66, 0x67, 0x2e, 0x3e, 0x26, 0x36, 0x64};
    static uint8_t code[LONGEST + 2];
    uint32_t vendor = cpuid(0, 0).ebx;
    unsigned wrong = 0;
    for (unsigned n = 0; n + 2 <= LONGEST; n++) {
        for (unsigned i = 0; i < n; i++)
            code[i] = kinds[(i + n) % array_size(kinds)];
        memcpy(code + n, "\x0f\xa2\xc3", 3);
        wrong += call(code, 0, 0).bx != vendor;
    }
    check(wrong == 0, "prefixed", "expected 0 wrong of %d\ngot %u", LONGEST - 1, wrong);
    static uint8_t longer[LONGEST + 2];
    memset(longer, 0x3e, LONGEST - 1);
    memcpy(longer + LONGEST - 1, "\x0f\xa2\xc3", 3);
    struct call c = {.code = longer};
    check_fault("too-long", FAULT_GP, catch_exception(do_call, &c));
}

// LOCK and VMCALL do not go together: #UD, not a hypercall.
static void locked(void)
{
    struct call c = {.code = "\xf0\x0f\x01\xc1\xc3", .ax = HC_EXIT};
    check_fault("lock-vmcall", FAULT_UD, catch_exception(do_call, &c));
    struct call d = {.code = "\xf0\x0f\xa2\xc3"};
    check_fault("lock-cpuid", FAULT_UD, catch_exception(do_call, &d));
}

int attack_code(const struct start_info *start)
{
    tap_plan(7);
    rewrite();
    overwrite_ahead();
    straddle(start);
    prefixes();
    locked();
    return tap_end();
}

static void do_jump(void *p)
{
    ((void (*)(void))p)();
}

// Calls to addresses without code: the exceptions come to the machine itself.
int attack_jump_unmapped(const struct start_info *start)
{
    static const uint64_t not_canonical = 1ull << 47;
    (void)start;
    tap_plan(3);
    struct fault f = catch_exception(do_jump, (void *)UNMAPPED);
    check_equal("unmapped", VECTOR_PF, f.vector);
    check_equal("unmapped-cr2", UNMAPPED, f.address);
    check_fault("not-canonical", FAULT_GP, catch_exception(do_jump, (void *)not_canonical));
    return tap_end();
}
