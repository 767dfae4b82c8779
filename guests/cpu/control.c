// Control registers: legal values are held, illegal ones fault (SDM volume 3, "Control Registers").
#include "guests/cpu/cpu.h"

enum { CR4_MCE = 1 << 6, CR4_PGE = 1 << 7, CR4_PCE = 1 << 8, CR4_RESERVED = 1 << 15 };

enum target { CR0, CR4 };

// clang-format off
// Bits that are flipped, read back and flipped again. CR4's are reserved, and fault, where CPUID leaf 1 does
// not offer their feature in EDX (0: every processor has it).
static const struct {
    const char *name;
    enum target target;
    uint32_t flip, feature;
} held[] = {
    {"cr0-ne",         CR0, CR0_NE,          0},
    {"cr0-mp",         CR0, CR0_MP,          0},
    {"cr0-em",         CR0, CR0_EM,          0},
    {"cr0-ts",         CR0, CR0_TS,          0},
    {"cr0-wp",         CR0, CR0_WP,          0},
    {"cr0-am",         CR0, CR0_AM,          0},
    {"cr0-cd",         CR0, CR0_CD,          0},
    {"cr0-cd-nw",      CR0, CR0_CD | CR0_NW, 0},
    {"cr4-de",         CR4, CR4_DE,          1 << 2},
    {"cr4-tsd",        CR4, CR4_TSD,         1 << 4},
    {"cr4-mce",        CR4, CR4_MCE,         1 << 7},
    {"cr4-pge",        CR4, CR4_PGE,         1 << 13},
    {"cr4-pce",        CR4, CR4_PCE,         0},
    {"cr4-osfxsr",     CR4, CR4_OSFXSR,      1 << 24},
    {"cr4-osxmmexcpt", CR4, CR4_OSXMMEXCPT,  1 << 25},
};
// clang-format on

// Values made by setting and clearing bits that must fault with #GP(0) and change nothing.
static const struct {
    const char *name;
    enum target target;
    uint64_t set, clear;
    bool only_64bit;
} refused[] = {
    {"cr0-nw-without-cd",    CR0, CR0_NW,       CR0_CD,  false},
    {"cr0-pg-without-pe",    CR0, CR0_PG,       CR0_PE,  false},
    {"cr0-high-bit",         CR0, 1ull << 40,   0,       true },
    {"cr0-pg-off-in-64bit",  CR0, 0,            CR0_PG,  true },
    {"cr4-vmxe",             CR4, CR4_VMXE,     0,       false},
    {"cr4-smxe",             CR4, CR4_SMXE,     0,       false},
    {"cr4-reserved",         CR4, CR4_RESERVED, 0,       false},
    {"cr4-high-bit",         CR4, 1ull << 63,   0,       true },
    {"cr4-pae-off-in-64bit", CR4, 0,            CR4_PAE, true },
};

enum { OTHER_POINTS = 4 };

unsigned control_points(void)
{
    unsigned n = array_size(held) + OTHER_POINTS;
    for (unsigned i = 0; i < array_size(refused); i++)
        n += is_64bit() || !refused[i].only_64bit;
    return n;
}

static word_t read_target(enum target t)
{
    return t == CR0 ? read_cr0() : read_cr4();
}

static struct fault write_target(enum target t, word_t value)
{
    return t == CR0 ? try_write_cr0(value) : try_write_cr4(value);
}

static void check_held(const char *name, enum target t, uint32_t flip)
{
    word_t before = read_target(t);
    struct fault f = write_target(t, before ^ flip);
    word_t after = read_target(t);
    write_target(t, before);
    word_t back = read_target(t);
    check(f.vector == VECTOR_NONE && after == (before ^ flip) && back == before, name,
          "expected %#lx, then %#lx\ngot %#lx, then %#lx, %s", (unsigned long)(before ^ flip),
          (unsigned long)before, (unsigned long)after, (unsigned long)back, fault_name(f.vector));
}

static void check_refused(const char *name, enum target t, uint64_t set, uint64_t clear)
{
    word_t before = read_target(t);
    struct fault f = write_target(t, (before | (word_t)set) & ~(word_t)clear);
    word_t after = read_target(t);
    if (after != before)
        write_target(t, before);
    check(f.vector == VECTOR_GP && f.error_code == 0 && after == before, name,
          "expected #GP(0) and %#lx\ngot %s, error code %#lx, and %#lx", (unsigned long)before,
          fault_name(f.vector), (unsigned long)f.error_code, (unsigned long)after);
}

#ifdef __x86_64__
static word_t cr8;

static void do_write_cr8(void *p)
{
    __asm__ volatile("mov %0, %%cr8" : : "r"(*(word_t *)p));
}

static void do_read_cr8(void *p)
{
    __asm__ volatile("mov %%cr8, %0" : "=r"(*(word_t *)p));
}
#endif

// The task-priority register is the machine's own: it must not be the processor's (or a guest could hold
// back the hypervisor's interrupts).
static void check_cr8(void)
{
#ifdef __x86_64__
    word_t five = 5, sixteen = 16, zero = 0;
    struct fault f = catch_exception(do_write_cr8, &five);
    catch_exception(do_read_cr8, &cr8);
    check(f.vector == VECTOR_NONE && cr8 == 5, "cr8-held", "expected 5\ngot %lu, %s", (unsigned long)cr8,
          fault_name(f.vector));
    check_fault("cr8-reserved", FAULT_GP, catch_exception(do_write_cr8, &sixteen));
    catch_exception(do_write_cr8, &zero);
#else
    skip("cr8-held", "64-bit mode only");
    skip("cr8-reserved", "64-bit mode only");
#endif
}

void control_test(void)
{
    uint32_t features = cpuid(1, 0).edx;
    for (unsigned i = 0; i < array_size(held); i++) {
        if ((features & held[i].feature) == held[i].feature)
            check_held(held[i].name, held[i].target, held[i].flip);
        else
            check_refused(held[i].name, held[i].target, held[i].flip, 0);
    }
    for (unsigned i = 0; i < array_size(refused); i++) {
        if (is_64bit() || !refused[i].only_64bit)
            check_refused(refused[i].name, refused[i].target, refused[i].set, refused[i].clear);
    }
    write_cr2(0x12345678);
    check_equal("cr2-held", 0x12345678, read_cr2());
    word_t cr3 = read_cr3();
    write_cr3(cr3);
    check_equal("cr3-held", cr3, read_cr3());
    check_cr8();
}
