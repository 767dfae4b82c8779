// Paging switched on and off by a 32-bit guest: PAE paging with its PDPTEs, and IA-32e mode up to
// compatibility mode and back. Each way twice: by MOV to CR0 that the processor executes alone, and by one
// that changes NE too, which belongs to the hypervisor, so that it does the whole write (SDM, "PDPTE
// Registers", "Initializing IA-32e Mode").
#include "guests/paging/paging.h"

enum { P = 1, W = 2, LARGE = 0x80, PDPTE_RESERVED = 2, LARGE_PAGE = 2 << 20, GIB = 1 << 30 };
enum { EFER = (int)0xc0000080, TSS16 = 1, TSS32 = 9 };

static uint64_t directory[512] __attribute__((aligned(4096)));
static uint64_t pdpt[512] __attribute__((aligned(4096)));
static uint64_t pml4[512] __attribute__((aligned(4096)));
static const uint32_t landmark = 0x600dcafe;

static struct {
    uint16_t limit;
    uint64_t *base;
} __attribute__((packed)) gdtr;
static uint64_t gdt[8];

static void make_tables(void)
{
    for (unsigned i = 0; i < 512; i++)
        directory[i] = (uint64_t)i * LARGE_PAGE | LARGE | W | P;
    pdpt[0] = (word_t)directory | P;
    pml4[0] = (word_t)pdpt | W | P;
}

// A copy of the GDT with a TSS of `type` in its last place, loaded into TR.
static void load_tr(unsigned type)
{
    static uint8_t tss[104];
    word_t at = (word_t)tss;
    gdt[7] = (sizeof tss - 1) | (uint64_t)(at & 0xffffff) << 16 | (uint64_t)(0x80 | type) << 40 |
             (uint64_t)(at >> 24) << 56;
    __asm__ volatile("lgdt %0; ltr %w1" : : "m"(gdtr), "r"(7 * 8));
}

static void copy_gdt(void)
{
    __asm__ volatile("sgdt %0" : "=m"(gdtr));
    memcpy(gdt, gdtr.base, gdtr.limit + 1u);
    gdtr.limit = sizeof gdt - 1;
    gdtr.base = gdt;
    gdt[5] = 0x00009b000000ffff; // 16-bit code and data
    gdt[6] = 0x000093000000ffff;
    __asm__ volatile("lgdt %0" : : "m"(gdtr));
}

static word_t with_pg(bool on, word_t flip)
{
    word_t cr0 = read_cr0() ^ flip;
    return on ? cr0 | CR0_PG : cr0 & ~CR0_PG;
}

enum { EXIT = CR0_NE };
static const struct {
    const char *name;
    word_t flip_on, flip_off;
} ways[] = {
    {"native",       0,    0   },
    {"emulated",     EXIT, EXIT},
    {"on-emulated",  EXIT, 0   },
    {"off-emulated", 0,    EXIT},
};

static void name_point(char *to, const char *prefix, const char *suffix)
{
    format_text(to, TAP_NAME_MAX, "%s-%s", prefix, suffix);
}

static void test_pae(unsigned i)
{
    char name[TAP_NAME_MAX];
    name_point(name, "pae", ways[i].name);
    write_cr0(with_pg(true, ways[i].flip_on));
    word_t on = read_cr0();
    uint32_t seen = *(volatile const uint32_t *)&landmark, efer = (uint32_t)rdmsr((uint32_t)EFER);
    write_cr0(with_pg(false, ways[i].flip_off));
    check(on & CR0_PG && !(efer & EFER_LMA) && seen == landmark && !(read_cr0() & CR0_PG), name,
          "expected PG, no LMA, then no PG\ngot CR0 %#lx, EFER %#x, then CR0 %#lx", (unsigned long)on, efer,
          (unsigned long)read_cr0());
}

// The PDPTEs are loaded by MOV to CR0 that changes PG, CD or NW, and checked, wherever that is executed.
static void test_pdptes(void)
{
    pdpt[3] = PDPTE_RESERVED | P;
    check_fault("pdpte-reserved-native", FAULT_GP, try_write_cr0(with_pg(true, 0)));
    check_fault("pdpte-reserved-emulated", FAULT_GP, try_write_cr0(with_pg(true, EXIT)));
    pdpt[3] = 0;
    write_cr0(with_pg(true, 0));
    pdpt[3] = PDPTE_RESERVED | P;
    check_fault("pdpte-reserved-cd", FAULT_GP, try_write_cr0(read_cr0() ^ CR0_CD));
    check_fault("pdpte-unused-ne", FAULT_NONE, try_write_cr0(read_cr0() ^ CR0_NE));
    pdpt[3] = 0;
    pdpt[1] = (word_t)directory | P; // memory again, a GiB higher
    word_t cr0 = read_cr0();
    write_cr0(cr0 ^ CR0_CD);
    check_equal("pdpte-loaded-cd", landmark, *(volatile const uint32_t *)((word_t)&landmark + GIB));
    write_cr0(cr0);
    pdpt[1] = 0;
    write_cr0(with_pg(false, 0));
}

// From legacy mode to compatibility mode and back. Nothing may fault in between: the IDT is a 32-bit one.
static void test_long(unsigned i)
{
    char name[TAP_NAME_MAX];
    name_point(name, "compatibility", ways[i].name);
    write_cr0(with_pg(true, ways[i].flip_on));
    uint32_t inside = (uint32_t)rdmsr((uint32_t)EFER);
    write_cr0(read_cr0() ^ CR0_CD);
    write_cr0(read_cr0() ^ CR0_CD);
    cpuid(0, 0);
    outb(0x80, 1);
    write_cr0(with_pg(false, ways[i].flip_off));
    uint32_t outside = (uint32_t)rdmsr((uint32_t)EFER);
    check(inside & EFER_LMA && !(outside & EFER_LMA) && outside & EFER_LME, name,
          "expected LMA, then LME alone\ngot EFER %#x, then %#x", inside, outside);
}

static void test_refused(void)
{
    word_t cr4 = read_cr4();
    write_cr4(cr4 & ~(word_t)CR4_PAE);
    check_fault("long-without-pae-native", FAULT_GP, try_write_cr0(with_pg(true, 0)));
    check_fault("long-without-pae-emulated", FAULT_GP, try_write_cr0(with_pg(true, EXIT)));
    write_cr4(cr4);
    load_tr(TSS16);
    check_fault("long-with-16-bit-tss-native", FAULT_GP, try_write_cr0(with_pg(true, 0)));
    check_fault("long-with-16-bit-tss-emulated", FAULT_GP, try_write_cr0(with_pg(true, EXIT)));
    load_tr(TSS32);
}

int main(const struct start_info *start)
{
    tap_plan(2 * array_size(ways) + 9 + real_points());
    make_tables();
    copy_gdt();
    write_cr4(read_cr4() | CR4_PAE);
    write_cr3((word_t)pdpt);
    real_test(start);
    for (unsigned i = 0; i < array_size(ways); i++)
        test_pae(i);
    test_pdptes();
    pdpt[0] |= W; // no reserved bit any more
    write_cr3((word_t)pml4);
    wrmsr((uint32_t)EFER, rdmsr((uint32_t)EFER) | EFER_LME);
    test_refused();
    for (unsigned i = 0; i < array_size(ways); i++)
        test_long(i);
    return tap_end();
}
